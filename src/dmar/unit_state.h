// SPDX-License-Identifier: GPL-2.0-or-later
// UnitState: the register state of one DMA-remapping hardware unit as far as it is known, each
// value with its origin. Registers are MMIO and never in a dump; whoever fills this (kernel
// discovery, a command-line option, a test) says where each value came from.
#ifndef DMAUDIT_DMAR_UNIT_STATE_H_
#define DMAUDIT_DMAR_UNIT_STATE_H_

#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/known.h"

namespace dmaudit {

struct UnitState {
  std::string name;      // "dmar0"
  uint16_t segment = 0;  // PCI segment
  Known<PhysAddr> register_base;
  Known<uint32_t> version;             // VER_REG: 7:4 major, 3:0 minor
  Known<uint64_t> cap;                 // CAP_REG
  Known<uint64_t> ecap;                // ECAP_REG
  Known<uint32_t> gcmd;                // enables as in GSTS: 31 TES, 26 QIES, 25 IRES, ...
  Known<uint64_t> rtaddr;              // RTADDR_REG: 63:12 root table, 11:10 translation table mode
  Known<uint64_t> iqa;                 // IQA_REG
  Known<uint64_t> irta;                // IRTA_REG
  Known<uint64_t> pqa;                 // PQA_REG
  Known<unsigned> host_address_width;  // HAW, bits
  // Devices that exist in the unit's scope, as far as the kernel enumerated them; not known for the
  // unit that covers all the rest of its segment.
  Known<uint64_t> scope_devices;
  bool ignored =
      false;  // the kernel does not drive this unit: devices behind it are not translated
  // Entries may be those of an earlier kernel: translation was on when this one took the unit over,
  // or whether it was could not be read.
  bool inherited = false;
};

}  // namespace dmaudit

#endif  // DMAUDIT_DMAR_UNIT_STATE_H_
