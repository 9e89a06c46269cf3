// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a kdump file has descriptors for as many pages as its bitmap says.
#ifndef DMAUDIT_VMCORE_CONTAINER_KDUMP_COUNT_H_
#define DMAUDIT_VMCORE_CONTAINER_KDUMP_COUNT_H_

#include <cstdint>

#include "vmcore/container/kdump_header.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

// Descriptors belong to the set bits in order: one bit that is lost, or set by damage, gives all
// pages behind it the content of others.
enum class BitCount {
  kAgrees,      // data begin where the descriptors for as many pages as there are bits end
  kFits,        // nothing speaks against the bits of this file, and nothing tells of all
  kTooFew,      // there are descriptors for more pages of this file
  kTooMany,     // there are descriptors for fewer pages of this file
  kUnreadable,  // what tells could not be read
  kUnclear,     // those for the pages of this file end where they should, those of the dump do not
};

// Holds the bits against what the file shows of its writer's count. makedumpfile, from 1.1 on
// (write_kdump_pages and its successors: cd_page->offset), and QEMU (write_dump_pages: offset_data)
// put the data of the pages right behind room for the descriptors of all pages of the dump, also in
// the parts of a split one, whose own descriptors are fewer; first a page of zeros, whether any
// page is one or not. So the lowest place of data tells the count. Of a writer that leaves another
// gap there it does not: the answer is kUnclear, or, where the gap has room for a whole number of
// descriptors, kTooFew.
//
// `total` are the bits of the whole bitmap, `own` those of the frames that this file is to have.
BitCount CompareBitCount(const ByteSource& source, const KdumpHeader& header, uint64_t total,
                         uint64_t own);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_KDUMP_COUNT_H_
