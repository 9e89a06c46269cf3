// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/kernel_view.h"

#include <fmt/format.h>

namespace dmaudit {
namespace {

std::string_view IdOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
      return error.message.starts_with("symbol ") ? "kernel.no-symbol" : "kernel.no-type";
    case ErrorCode::kUnknown:
    case ErrorCode::kIo:
      return "kernel.unreadable";
    case ErrorCode::kLimit:
      return "kernel.limit";
    default:
      return "kernel.damaged";
  }
}

}  // namespace

void ReportFailure(DiagnosticSink& sink, Effect effect, std::string_view context,
                   const Error& error) {
  sink.Report(IdOf(error), effect, fmt::format("{}: {}", context, error.message));
}

Result<uint32_t> ReadIntVariable(const KernelView& kernel, std::string_view symbol) {
  const Result<KernelVa> address = kernel.symbols.Find(symbol);
  if (!address) return tl::unexpected<Error>(address.error());
  const Result<uint32_t> value = kernel.reader.ReadU32(*address);
  if (!value) return Within(symbol, value.error());
  return value;
}

}  // namespace dmaudit
