// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <memory>
#include <span>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/run.h"
#include "report/hex_dump.h"

namespace dmaudit::cli {
namespace {

// Shows `size` bytes from `start` on; false when any of them is unknown.
bool Show(const PhysicalMemory& memory, PhysAddr start, uint64_t size, HexDump& hex,
          const Output& out) {
  const uint32_t page_size = memory.page_size();
  const std::unique_ptr<DecodeContext> context = memory.MakeContext();
  Page page;
  bool known = true;
  while (size != 0 && out.ok()) {
    const uint32_t offset = static_cast<uint32_t>(start.OffsetIn(page_size));
    const uint32_t end =
        static_cast<uint32_t>(std::min<uint64_t>(page_size, offset + size));  // in the page
    memory.ReadPage(start.AlignDown(page_size), *context, page);
    for (const PageExtent& extent : page.extents) {
      const uint32_t from = std::max(extent.offset, offset);
      const uint32_t to = std::min(extent.offset + extent.size, end);
      if (from >= to) continue;
      const PhysAddr at(page.base.value() + from);
      if (IsReadable(extent.state)) {
        hex.Known(at, std::span(page.bytes).subspan(from, to - from));
      } else {
        hex.Unknown(at, to - from, extent.state);
        known = false;
      }
    }
    size -= end - offset;
    start = PhysAddr(start.value() + (end - offset));
  }
  return known;
}

}  // namespace

Result<int> RunRead(const CommandSyntax&, const Options& options) {
  DiagnosticSink sink;
  const Result<Dump> dump = OpenOneDump(options, sink);
  if (!dump) return tl::unexpected<Error>(dump.error());
  OutputFile out(options.output);
  HexDump hex(out);
  const bool known = Show(*dump->memory, options.address, options.length, hex, out);
  hex.Finish();
  ReportReadFaults(*dump, sink);
  PrintDiagnostics(sink, options);
  const Status written = out.Close();
  if (!written) return tl::unexpected<Error>(written.error());
  return known ? kExitClean : kExitIncomplete;
}

}  // namespace dmaudit::cli
