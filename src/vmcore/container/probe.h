// SPDX-License-Identifier: GPL-2.0-or-later
// What kind of file this is, told by its content.
#ifndef DMAUDIT_VMCORE_CONTAINER_PROBE_H_
#define DMAUDIT_VMCORE_CONTAINER_PROBE_H_

#include <string_view>

#include "base/result.h"
#include "vmcore/io/byte_source.h"

namespace dmaudit {

enum class Container { kElf, kKdump, kFlattened, kLime, kAvml };

// The container this version reads, or an error that names the format, why it is not read, and what
// to do. `path` names the file.
Result<Container> ProbeContainer(const ByteSource& source, std::string_view path);

}  // namespace dmaudit

#endif  // DMAUDIT_VMCORE_CONTAINER_PROBE_H_
