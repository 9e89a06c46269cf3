// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>

#include "base/number.h"
#include "base/text.h"
#include "cli/discovery_arguments.h"
#include "cli/output_file.h"
#include "report/layout.h"

namespace dmaudit::cli {
namespace {

namespace po = boost::program_options;

constexpr uint64_t kDefaultReadLength = 256;
// 80 MB of text: whoever wants more wants `convert`.
constexpr uint64_t kMaxReadLength = uint64_t{16} << 20;
// Far more than pays; a typing error must not start a million threads.
constexpr uint64_t kMaxJobs = 256;

void DescribeWhich(po::options_description& options) {
  options.add_options()("which", po::value<std::string>()->value_name("crashed|capture|ADDRESS"),
                        "of several kernels in the dump the one that crashed, the one that was "
                        "started to save it, or the one whose VMCOREINFO text is at ADDRESS (hex)");
}

// What is known of the kernel and its units beside the dump; InterpretDiscovery reads it.
void DescribeDiscovery(po::options_description& options) {
  auto add = options.add_options();
  add("unit", po::value<std::vector<std::string>>()->composing()->value_name("UNIT"),
      "a DMAR unit as you know it, NAME,SEG,CAP,ECAP,RTADDR (hex): wins over the dump, and needs "
      "no kernel in it (repeatable)");
  add("root", po::value<std::vector<std::string>>()->composing()->value_name("ROOT"),
      "a root table as you know it, PA[,legacy|scalable] (hex); the rest of its unit stays unknown "
      "(repeatable)");
  add("roads", po::value<std::string>()->value_name("LIST"),
      fmt::format("only these ways to symbols, types and units, or all but those named with no- "
                  "in front ({})",
                  DescribeRoads())
          .c_str());
  DescribeWhich(options);
  add("vmlinux", po::value<std::string>()->value_name("FILE"),
      "vmlinux or debug file of the kernel: its symbols and DWARF go before what the dump holds");
  add("force-vmlinux", "use it even though it is of another kernel");
  add("acpi-dmar", po::value<std::string>()->value_name("FILE"),
      "the machine's DMAR table (acpidump -b): adds what memory lacks of it, and is held against "
      "the kernel's copies");
  add("debuginfod",
      "where the dump lacks symbols or types and no vmlinux is found, ask the servers of "
      "$DEBUGINFOD_URLS for one");
}

po::options_description Describe(const CommandSyntax& syntax) {
  po::options_description options("Options", 98, 60);
  auto add = options.add_options();
  if (syntax.audit_options) {
    add("crashkernel", po::value<std::vector<std::string>>()->composing()->value_name("START-END"),
        "crash kernel memory, replaces what the dump says (hex, END included; repeatable)");
    add("slot,s", po::value<std::string>()->value_name("[[SEG:]BUS:]DEV.FN"),
        "only these devices, as for lspci -s");
  }
  if (syntax.discovery_options) {
    DescribeDiscovery(options);
  } else if (syntax.which_option) {
    DescribeWhich(options);
  }
  if (syntax.name == "report") {
    add("fail-on", po::value<std::string>()->value_name("critical|warning|never"),
        "least severity that makes the exit status 1 (default critical)");
  }
  if (syntax.capture_option) {
    add("capture-cmdline", po::value<std::string>()->value_name("STRING"),
        "command line of the capture kernel, replaces what the dump says; elfcorehdr= is taken as "
        "given");
  }
  if (syntax.crc32_option) {
    add("crc32", "decode every page: one row per page with its state and the CRC-32 of its bytes");
  }
  if (syntax.codec_option) {
    add("codec", po::value<std::string>()->value_name("zstd|zlib|lzo|snappy|raw"),
        "compression of the pages of a kdump file (default zstd)");
  }
  if (syntax.crc32_option || syntax.codec_option) {
    add("jobs,j", po::value<std::string>()->value_name("N"),
        syntax.crc32_option ? "with --crc32: threads that work on pages (default: one for each "
                              "processor)"
                            : "threads that work on pages (default: one for each processor)");
  }
  if (!syntax.formats.empty()) {
    std::string names;
    for (const std::string& format : syntax.formats) names += (names.empty() ? "" : "|") + format;
    add("format", po::value<std::string>()->value_name(names),
        fmt::format("output format (default {})", syntax.formats[0]).c_str());
  }
  add("raw", po::value<std::string>()->implicit_value("0")->value_name("ADDRESS"),
      "VMCORE is bare memory from ADDRESS on (hex, default 0), with no header that says so");
  add("output,o", po::value<std::string>()->value_name("FILE"),
      syntax.output_required ? "the file to write, complete or not at all"
                             : "write there instead of standard output, complete or not at all");
  if (syntax.brief) {
    add("color", po::value<std::string>()->value_name("auto|always|never"),
        "colour the text (default auto: on a terminal)");
  }
  add("spool-dir", po::value<std::string>()->value_name("DIR"),
      "where a dump that comes through a pipe is kept meanwhile (default $TMPDIR or /var/tmp)");
  add("spool-limit", po::value<std::string>()->value_name("SIZE"),
      "at most that much of it; K, M, G, T are powers of 1024 (default 32G)");
  add("quiet,q", syntax.brief
                     ? "no diagnostics on standard error; a text report is its first two lines"
                     : "no diagnostics and no progress on standard error");
  add("verbose,v", syntax.brief
                       ? "everything: all devices, all ranges, entry chains, origins of values"
                       : "every diagnostic, however many there are of a kind");
  add("help,h", "this text");
  return options;
}

Error Usage(std::string message) { return {ErrorCode::kUsage, std::move(message)}; }

template <typename T>
Result<T> Choose(const po::variables_map& values, const char* name,
                 const std::vector<std::pair<std::string_view, T>>& choices, T fallback) {
  if (values.count(name) == 0) return fallback;
  const std::string& text = values[name].as<std::string>();
  for (const auto& [word, value] : choices) {
    if (text == word) return value;
  }
  return tl::unexpected<Error>(
      Usage(fmt::format("--{}: no such choice: {}", name, EscapeForTerminal(text))));
}

Status InterpretDiscovery(const po::variables_map& values, DiscoveryOptions& discovery) {
  const auto texts = [&values](const char* name) {
    return values.count(name) == 0 ? std::vector<std::string>()
                                   : values[name].as<std::vector<std::string>>();
  };
  for (const std::string& text : texts("unit")) {
    Result<UserUnit> unit = ParseUserUnit(text);
    if (!unit) return tl::unexpected<Error>(Usage("--unit: " + unit.error().message));
    for (const UserUnit& other : discovery.units) {
      if (other.name != unit->name) continue;
      return tl::unexpected<Error>(
          Usage(fmt::format("--unit: {} is given twice", EscapeForTerminal(unit->name))));
    }
    discovery.units.push_back(*std::move(unit));
  }
  for (const std::string& text : texts("root")) {
    const Result<UserRoot> root = ParseUserRoot(text);
    if (!root) return tl::unexpected<Error>(Usage("--root: " + root.error().message));
    discovery.roots.push_back(*root);
  }
  if (values.count("vmlinux") != 0) {
    discovery.vmlinux = values["vmlinux"].as<std::string>();
    if (discovery.vmlinux.empty()) {
      return tl::unexpected<Error>(Usage("--vmlinux: the file name is empty"));
    }
  }
  if (values.count("acpi-dmar") != 0) {
    discovery.acpi_dmar = values["acpi-dmar"].as<std::string>();
    if (discovery.acpi_dmar.empty()) {
      return tl::unexpected<Error>(Usage("--acpi-dmar: the file name is empty"));
    }
  }
  if (values.count("which") != 0) {
    const Result<WhichKernel> which = ParseWhichKernel(values["which"].as<std::string>());
    if (!which) return tl::unexpected<Error>(Usage("--which: " + which.error().message));
    discovery.which = *which;
  }
  discovery.force_vmlinux = values.count("force-vmlinux") != 0;
  if (discovery.force_vmlinux && discovery.vmlinux.empty()) {
    return tl::unexpected<Error>(Usage("--force-vmlinux: no --vmlinux given"));
  }
  discovery.debuginfod = values.count("debuginfod") != 0;
  if (values.count("roads") != 0) {
    const Result<Roads> roads = Roads::Parse(values["roads"].as<std::string>());
    if (!roads) return tl::unexpected<Error>(Usage("--roads: " + roads.error().message));
    discovery.roads = *roads;
  }
  if (!(discovery.units.empty() && discovery.roots.empty()) &&
      !discovery.roads.Allows(Road::kUser)) {
    return tl::unexpected<Error>(
        Usage("--roads closes the way of --unit and --root (user), which are given"));
  }
  return {};
}

// Takes PA [LEN] from the end of the operands. Two numbers at the end are both, so a file whose
// name is a number is given as ./NAME.
Status TakeAddress(const CommandSyntax& syntax, Options& options) {
  std::vector<std::string>& operands = options.paths;
  const auto from_end = [&operands](size_t i) { return operands[operands.size() - i]; };
  const auto usage = [&syntax](std::string_view reason, const std::string& text) {
    return tl::unexpected<Error>(
        Usage(fmt::format("{}: {}: {}", syntax.name, reason, EscapeForTerminal(text))));
  };
  if (operands.size() < 2) return usage("no address given", syntax.operands.data());
  options.length = kDefaultReadLength;
  if (operands.size() > 2 && ParseHex(from_end(2))) {
    const std::optional<uint64_t> length = ParseNumber(from_end(1));
    if (!length || *length == 0 || *length > kMaxReadLength) {
      return usage(fmt::format("not a length from 1 to {}", kMaxReadLength), from_end(1));
    }
    options.length = *length;
    operands.pop_back();
  }
  const std::optional<uint64_t> address = ParseHex(from_end(1));
  if (!address) return usage("not an address in hexadecimal", from_end(1));
  options.address = PhysAddr(*address);
  if (!options.address.Plus(options.length - 1)) {
    return usage("the end is beyond 64 bits", from_end(1));
  }
  operands.pop_back();
  return {};
}

// The dump and the place in it.
Status InterpretInput(const CommandSyntax& syntax, const po::variables_map& values,
                      Options& options) {
  if (values.count("path") == 0) {
    return tl::unexpected<Error>(
        Usage(fmt::format("{}: no {} given", syntax.name, syntax.operands)));
  }
  options.paths = values["path"].as<std::vector<std::string>>();
  if (syntax.address_operands) {
    if (const Status taken = TakeAddress(syntax, options); !taken) return taken;
  }
  if (std::count(options.paths.begin(), options.paths.end(), "-") > 1) {
    return tl::unexpected<Error>(Usage("standard input is given more than once"));
  }
  if (values.count("spool-dir") != 0) options.spool.folder = values["spool-dir"].as<std::string>();
  if (values.count("spool-limit") != 0) {
    const Result<uint64_t> limit = ParseSize(values["spool-limit"].as<std::string>());
    if (!limit) return tl::unexpected<Error>(Usage("--spool-limit: " + limit.error().message));
    options.spool.limit = *limit;
  }
  if (values.count("raw") != 0) {
    const std::string& text = values["raw"].as<std::string>();
    const std::optional<uint64_t> base = ParseHex(text);
    if (!base) {
      return tl::unexpected<Error>(
          Usage(fmt::format("--raw: not a hexadecimal address: {}", EscapeForTerminal(text))));
    }
    options.open.raw_base = PhysAddr(*base);
  }
  return {};
}

// Work on pages: how they are written, and by how many threads.
Status InterpretPages(const CommandSyntax& syntax, const po::variables_map& values,
                      Options& options) {
  if (syntax.codec_option) {
    // Levels by measurement: above these, time grows faster than size shrinks.
    const Result<StoreCodec> codec = Choose<StoreCodec>(values, "codec",
                                                        {{"zstd", StoreCodec::kZstd},
                                                         {"zlib", StoreCodec::kZlib},
                                                         {"lzo", StoreCodec::kLzo},
                                                         {"snappy", StoreCodec::kSnappy},
                                                         {"raw", StoreCodec::kRaw}},
                                                        StoreCodec::kZstd);
    if (!codec) return tl::unexpected<Error>(codec.error());
    options.kdump.codec = *codec;
    options.kdump.level = 1;
    options.kdump.fast = true;
  }
  options.crc32 = values.count("crc32") != 0;
  if (values.count("jobs") != 0) {
    if (syntax.crc32_option && !options.crc32) {
      return tl::unexpected<Error>(Usage("-j: without --crc32 no page is decoded"));
    }
    const std::string& text = values["jobs"].as<std::string>();
    const std::optional<uint64_t> jobs = ParseDecimal(text);
    if (!jobs || *jobs < 1 || *jobs > kMaxJobs) {
      return tl::unexpected<Error>(Usage(
          fmt::format("-j: not a number from 1 to {}: {}", kMaxJobs, EscapeForTerminal(text))));
    }
    options.jobs = static_cast<unsigned>(*jobs);
  }
  return {};
}

// What is audited, and what makes a run fail.
Status InterpretAudit(const po::variables_map& values, Options& options) {
  if (values.count("crashkernel") != 0) {
    for (const std::string& text : values["crashkernel"].as<std::vector<std::string>>()) {
      const Result<PhysRange> range = ParsePhysRange(text);
      if (!range) return tl::unexpected<Error>(Usage("--crashkernel: " + range.error().message));
      options.audit.crashkernel.push_back(*range);
    }
  }
  if (values.count("slot") != 0) {
    const std::string& text = values["slot"].as<std::string>();
    options.audit.devices = ParseBdfFilter(text);
    if (!options.audit.devices) {
      return tl::unexpected<Error>(Usage(
          fmt::format("-s: not [[SEG:]BUS:]DEV.FN in hexadecimal: {}", EscapeForTerminal(text))));
    }
  }
  if (values.count("capture-cmdline") != 0) {
    options.capture_command_line = values["capture-cmdline"].as<std::string>();
  }
  const Result<FailOn> fail_on = Choose<FailOn>(
      values, "fail-on",
      {{"critical", FailOn::kCritical}, {"warning", FailOn::kWarning}, {"never", FailOn::kNever}},
      FailOn::kCritical);
  if (!fail_on) return tl::unexpected<Error>(fail_on.error());
  options.fail_on = *fail_on;
  return {};
}

// Where the answer goes, in which form, and what is said beside it.
Status InterpretOutput(const CommandSyntax& syntax, const po::variables_map& values,
                       Options& options) {
  options.quiet = values.count("quiet") != 0;
  options.verbose = values.count("verbose") != 0;
  if (values.count("output") != 0) {
    options.output = values["output"].as<std::string>();
    if (options.output.empty()) return tl::unexpected<Error>(Usage("-o: the file name is empty"));
    if (options.output == "-" && syntax.output_required) {
      if (StdoutIsTerminal()) {
        return tl::unexpected<Error>(Usage("-o -: standard output is a terminal"));
      }
      // What has to be written by position goes through a temporary file.
      options.output = "/dev/stdout";
    }
    if (options.output == "-") options.output.clear();  // standard output
  }
  if (syntax.output_required && options.output.empty()) {
    return tl::unexpected<Error>(
        Usage(fmt::format("{}: no output file given (-o FILE)", syntax.name)));
  }
  const Result<ColourMode> colour = Choose<ColourMode>(
      values, "color",
      {{"auto", ColourMode::kAuto}, {"always", ColourMode::kAlways}, {"never", ColourMode::kNever}},
      ColourMode::kAuto);
  if (!colour) return tl::unexpected<Error>(colour.error());
  options.colour = *colour;
  if (syntax.formats.empty()) return {};
  options.format = syntax.formats[0];
  if (values.count("format") != 0) options.format = values["format"].as<std::string>();
  if (std::find(syntax.formats.begin(), syntax.formats.end(), options.format) ==
      syntax.formats.end()) {
    return tl::unexpected<Error>(
        Usage(fmt::format("--format: no such choice: {}", EscapeForTerminal(options.format))));
  }
  if (syntax.codec_option && options.format == "elf" && values.count("codec") != 0) {
    return tl::unexpected<Error>(Usage("--codec: an ELF file holds pages as they are"));
  }
  return {};
}

Result<Options> Interpret(const CommandSyntax& syntax, const po::variables_map& values) {
  Options options;
  if (values.count("help") != 0) {
    options.help = true;
    return options;
  }
  Status status = InterpretInput(syntax, values, options);
  if (status) status = InterpretPages(syntax, values, options);
  if (status) status = InterpretAudit(values, options);
  if (status) status = InterpretDiscovery(values, options.audit.discovery);
  if (status) status = InterpretOutput(syntax, values, options);
  if (!status) return tl::unexpected<Error>(status.error());
  return options;
}

}  // namespace

Result<uint64_t> ParseSize(std::string_view text) {
  constexpr std::string_view kSuffixes = "KMGT";
  std::string_view digits = text;
  uint64_t unit = 1;
  if (const size_t suffix = text.empty() ? text.npos : kSuffixes.find(text.back());
      suffix != text.npos) {
    digits.remove_suffix(1);
    unit = uint64_t{1} << (10 * (suffix + 1));
  }
  const std::optional<uint64_t> number = ParseDecimal(digits);
  const std::optional<uint64_t> size = number ? CheckedMul(*number, unit) : std::nullopt;
  if (size) return *size;
  return Fail(ErrorCode::kUsage, "not a size: {}", EscapeForTerminal(text));
}

Result<PhysRange> ParsePhysRange(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const std::optional<uint64_t> start = ParseHex(text.substr(0, dash));
    const std::optional<uint64_t> end = ParseHex(text.substr(dash + 1));
    if (start && end && *start <= *end) return PhysRange{PhysAddr(*start), PhysAddr(*end)};
  }
  return Fail(ErrorCode::kUsage, "not START-END in hexadecimal: {}", EscapeForTerminal(text));
}

Result<Options> ParseOptions(const CommandSyntax& syntax,
                             const std::vector<std::string>& arguments) {
  po::options_description all = Describe(syntax);
  all.add_options()("path", po::value<std::vector<std::string>>());
  po::positional_options_description operands;
  operands.add("path", -1);
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  // Boost reports misuse by exceptions; they end here.
  try {
    po::variables_map values;
    // Of an option whose value may be missing, Boost takes the next argument as the value.
    std::vector<std::string> adjusted = arguments;
    const auto end = std::find(adjusted.begin(), adjusted.end(), "--");
    std::replace(adjusted.begin(), end, std::string("--raw"), std::string("--raw=0"));
    po::store(
        po::command_line_parser(adjusted).options(all).positional(operands).style(style).run(),
        values);
    return Interpret(syntax, values);
  } catch (const po::error& error) {
    return tl::unexpected<Error>(
        Usage(fmt::format("{}: {}", syntax.name, EscapeForTerminal(error.what()))));
  }
}

std::string HelpText(const CommandSyntax& syntax) {
  std::ostringstream options;
  options << Describe(syntax);
  StringOutput summary;
  WriteWrapped("", syntax.summary, summary);
  const bool judges = syntax.name == "report";
  const std::string_view status =
      judges ? "  0  no finding at or above --fail-on, and everything was seen\n"
               "  1  a finding at or above --fail-on\n"
               "  2  cannot run\n"
               "  3  no such finding, but not everything was seen\n"
             : "  0  done, and everything was seen\n"
               "  2  cannot run\n"
               "  3  done, but not everything was seen or is known\n";
  return fmt::format("Usage: dmaudit {} [OPTION]... {}\n{}\n{}\nExit status:\n{}", syntax.name,
                     syntax.operands, summary.text(), options.str(), status);
}

}  // namespace dmaudit::cli
