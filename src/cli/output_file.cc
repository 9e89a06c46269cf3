// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/output_file.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace dmaudit::cli {

Status OutputFile::Open() {
  if (file_) return {};
  Result<AtomicFile> file = AtomicFile::Create(path_.empty() ? "/dev/stdout" : path_);
  if (!file) return tl::unexpected<Error>(file.error());
  file_.emplace(std::move(*file));
  return {};
}

Status OutputFile::Sink(std::string_view text) {
  const Status opened = Open();
  if (!opened) return opened;
  return file_->Append(text);
}

Status OutputFile::Close() {
  const Status flushed = Flush();
  if (!flushed) return flushed;
  const Status opened = Open();  // an empty report is still a file
  if (!opened) return opened;
  return file_->Commit();
}

bool StdoutIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

bool TerminalIsDumb() {
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && std::string_view(terminal) == "dumb";
}

}  // namespace dmaudit::cli
