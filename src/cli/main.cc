// SPDX-License-Identifier: GPL-2.0-or-later
// dmaudit: which device could DMA where when the kernel died.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/text.h"
#include "base/version.h"
#include "cli/commands.h"
#include "cli/output_file.h"
#include "kernel/vmlinux_reader.h"
#include "report/layout.h"
#include "report/report.h"
#include "vmcore/dump.h"

namespace dmaudit::cli {
namespace {

std::string Overview() {
  std::string text =
      "Usage: dmaudit [COMMAND] [OPTION]... VMCORE...\n"
      "Tell from a crash dump alone which device could DMA where when the kernel died,\n"
      "and whether any of it could have hit the crash kernel.\n\nCommands:\n";
  StringOutput commands;
  for (const Command& command : Commands()) {
    WriteWrapped(fmt::format("  {:<9} ", command.syntax.name), command.syntax.summary, commands);
  }
  text += commands.text();
  text +=
      "VMCORE is a file, or - for standard input; a split dump is given by all of its parts.\n"
      "Without COMMAND: report. `dmaudit COMMAND --help` lists its options.\n"
      "`dmaudit --version` tells the version and what it was built with.\n\n"
      "Exit status:\n"
      "  0  no finding at or above --fail-on, and everything was seen\n"
      "  1  a finding at or above --fail-on (default critical)\n"
      "  2  cannot run: usage, unreadable or unknown input\n"
      "  3  no such finding, but not everything was seen\n";
  return text;
}

int Complain(const Error& error) {
  std::fputs(fmt::format("dmaudit: {}\n", EscapeForTerminal(error.message)).c_str(), stderr);
  if (error.code == ErrorCode::kUsage) std::fputs("Try 'dmaudit --help'.\n", stderr);
  return kExitCannotRun;
}

int Print(std::string_view text) {
  OutputFile out;
  out.Write(text);
  const Status written = out.Close();
  return written ? kExitClean : Complain(written.error());
}

// A file that is read, and what it is called where it is about to be written over.
struct InputFile {
  std::string path;
  std::string_view name;
};

std::vector<InputFile> InputFiles(const Options& options) {
  std::vector<InputFile> files;
  for (const std::string& path : options.paths) files.push_back({path, "the dump itself"});
  const DiscoveryOptions& discovery = options.audit.discovery;
  files.push_back({discovery.vmlinux, "the file given with --vmlinux"});
  files.push_back({discovery.acpi_dmar, "the file given with --acpi-dmar"});
  return files;
}

// Inputs are evidence: writing the output over one of them is always a mistake.
Status CheckOutput(const Options& options) {
  struct stat output {};
  if (options.output.empty() || stat(options.output.c_str(), &output) != 0) return {};
  for (const InputFile& file : InputFiles(options)) {
    struct stat input {};
    const bool opened =
        file.path == "-" ? fstat(STDIN_FILENO, &input) == 0 : stat(file.path.c_str(), &input) == 0;
    if (!opened || !S_ISREG(input.st_mode)) continue;
    if (input.st_dev == output.st_dev && input.st_ino == output.st_ino) {
      return Fail(ErrorCode::kUsage, "-o {}: this is {}", options.output, file.name);
    }
  }
  return {};
}

// Options in front of a command make it an operand: say so rather than that there is no such file.
Status CheckOperands(const Options& options) {
  for (const std::string& path : options.paths) {
    for (const Command& command : Commands()) {
      if (path != command.syntax.name || access(path.c_str(), F_OK) == 0) continue;
      return Fail(ErrorCode::kUsage, "{}: the command comes first: dmaudit {} [OPTION]... {}", path,
                  path, command.syntax.operands);
    }
  }
  return {};
}

// A file opened while one of these is closed would get its number, and diagnostics would be written
// into it. For reading only: what is written there still fails.
void HoldStandardDescriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) < 0) (void)open("/dev/null", O_RDONLY);
  }
}

// Machines read standard output (or -o FILE, where it can be written): they get the reason there
// too.
void WriteFailure(const std::vector<std::string>& paths, const Error& error,
                  const std::string& output) {
  for (const std::string& place : {output, std::string()}) {
    OutputFile out(place);
    WriteJsonError(paths, error, out);
    if (out.Close()) return;
  }
}

// Whether arguments that could not be parsed ask for JSON all the same.
bool AsksForJson(const Command& command, const std::vector<std::string>& arguments) {
  const std::vector<std::string>& formats = command.syntax.formats;
  if (std::find(formats.begin(), formats.end(), "json") == formats.end()) return false;
  bool json = false;  // the last --format counts
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--format=")) json = arguments[i] == "--format=json";
    if (arguments[i] == "--format" && i + 1 < arguments.size()) json = arguments[i + 1] == "json";
  }
  return json;
}

int Main(std::vector<std::string> arguments) {
  if (arguments.empty()) {
    std::fputs(Overview().c_str(), stderr);
    return kExitCannotRun;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    for (const Command& command : Commands()) {
      if (arguments.size() > 1 && arguments[1] == command.syntax.name) {
        return Print(HelpText(command.syntax));
      }
    }
    return Print(Overview());
  }
  const Command* command = &Commands()[0];
  for (const Command& candidate : Commands()) {
    if (arguments[0] != candidate.syntax.name) continue;
    command = &candidate;
    arguments.erase(arguments.begin());
    break;
  }
  if (!arguments.empty() && arguments[0] == "--version") {
    return Print(fmt::format("dmaudit {}\ncodecs: {}\ndebuginfo: {}\n", kVersion, SupportedCodecs(),
                             DebuginfoSupport()));
  }
  const Result<Options> options = ParseOptions(command->syntax, arguments);
  if (!options) {
    if (AsksForJson(*command, arguments)) WriteFailure({}, options.error(), "");
    return Complain(options.error());
  }
  if (options->help) return Print(HelpText(command->syntax));
  for (const Status& check : {CheckOperands(*options), CheckOutput(*options)}) {
    if (check) continue;
    if (options->format == "json") WriteFailure(options->paths, check.error(), "");
    return Complain(check.error());
  }
  const Result<int> status = command->run(command->syntax, *options);
  if (status) return *status;
  if (options->format == "json") WriteFailure(options->paths, status.error(), options->output);
  return Complain(status.error());
}

}  // namespace
}  // namespace dmaudit::cli

int main(int argc, char** argv) {
  dmaudit::cli::HoldStandardDescriptors();
  // A write beyond the limit of a file's size fails, as on a full disk, instead of ending us with a
  // half file on the disk.
  (void)signal(SIGXFSZ, SIG_IGN);
  // Nothing of ours throws; what the libraries throw (no memory, above all) must not look like a
  // finding.
  try {
    return dmaudit::cli::Main({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dmaudit: %s\n", error.what());
  }
  return dmaudit::cli::kExitCannotRun;
}
