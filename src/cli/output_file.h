// SPDX-License-Identifier: GPL-2.0-or-later
// Output to a file that appears complete or not at all, or to standard output.
#ifndef DMAUDIT_CLI_OUTPUT_FILE_H_
#define DMAUDIT_CLI_OUTPUT_FILE_H_

#include <optional>
#include <string>

#include "report/output.h"
#include "vmcore/write/atomic_file.h"

namespace dmaudit::cli {

class OutputFile : public Output {
 public:
  // An empty path is standard output.
  explicit OutputFile(std::string path = "") : path_(std::move(path)) {}

  // Ends the output: all of it is written and, for a file, in its place; or the file is as it was
  // before.
  Status Close();

 protected:
  Status Sink(std::string_view text) override;

 private:
  Status Open();

  std::string path_;
  std::optional<AtomicFile> file_;
};

// Whether standard output is a terminal.
bool StdoutIsTerminal();
// Whether $TERM says that the terminal understands no escape sequences.
bool TerminalIsDumb();

}  // namespace dmaudit::cli

#endif  // DMAUDIT_CLI_OUTPUT_FILE_H_
