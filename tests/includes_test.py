#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the names of libraries that a file uses against the headers it includes, itself or through headers of this project.

The builds read these headers before every file, so that no compiler misses an include line."""
import pathlib
import re
import sys
import tempfile

# Header: what needs it. A name that several headers declare is left to the compiler where one of them is sure to be there.
NEEDED_BY = {
    "algorithm": r"std::(?:ranges::)?(?:sort|stable_sort|is_sorted|find|find_if|find_if_not|any_of|all_of|none_of|count|count_if"
                 r"|copy|copy_n|copy_if|fill|fill_n|equal|search|lower_bound|upper_bound|equal_range|binary_search"
                 r"|partition_point|unique|remove_if|reverse|rotate|transform|max_element|min_element|minmax_element"
                 r"|for_each|shuffle|clamp|mismatch|set_difference|includes|generate|adjacent_find"
                 r"|lexicographical_compare|nth_element|partition|replace|contains|starts_with)\(|std::(?:ranges::)?(?:min|max|minmax)\(",
    "array": r"std::(?:array|to_array)\b",
    "atomic": r"std::atomic\b",
    "bit": r"std::(?:countr_zero|countl_zero|countr_one|popcount|has_single_bit|bit_ceil|bit_floor|bit_width|bit_cast|endian)\b",
    "cctype": r"std::(?:isprint|isdigit|isalpha|isalnum|isspace|isxdigit|tolower|toupper)\b",
    "cerrno": r"\berrno\b",
    "charconv": r"std::(?:from_chars|to_chars)\b",
    "chrono": r"std::chrono\b",
    "climits": r"\b(?:CHAR_BIT|U?(?:INT|LONG|CHAR|SHRT)_(?:MAX|MIN))\b",
    "cmath": r"std::(?:sqrt|log2|pow|floor|ceil|round|lround)\(",
    "compare": r"\boperator<=>|std::(?:strong|weak|partial)_ordering\b",
    "concepts": r"std::(?:integral|signed_integral|unsigned_integral|same_as|convertible_to|derived_from|invocable)\b",
    "condition_variable": r"std::condition_variable\b",
    "cstddef": r"std::(?:byte|ptrdiff_t)\b|(?<![\w:])(?:std::)?size_t\b",
    "cstdint": r"(?<![\w:])(?:std::)?u?int(?:8|16|32|64)_t\b|\bU?INT(?:8|16|32|64)_(?:MAX|MIN)\b",
    "cstdio": r"std::(?:FILE|fopen|fclose|fwrite|fread|fputs|fflush|printf|snprintf|remove)\b|(?<!\w)std(?:out|err|in)\b",
    "cstdlib": r"std::(?:getenv|exit|_Exit|abort|strtoul|strtoull|strtol|system|free|malloc)\b|\bEXIT_(?:SUCCESS|FAILURE)\b",
    "cstring": r"std::(?:memcpy|memcmp|memmove|memset|strlen|strcmp|strerror)\(",
    "deque": r"std::deque\b",
    "filesystem": r"std::filesystem\b",
    "fstream": r"std::[io]?fstream\b",
    "functional": r"std::(?:function|less|greater|hash|bind_front|invoke|identity|ref|cref)\b",
    "initializer_list": r"std::initializer_list\b",
    "iterator": r"std::(?:back_inserter|inserter|next|prev|distance|advance|make_move_iterator)\(",
    "limits": r"std::numeric_limits\b",
    "list": r"std::list\b",
    "map": r"std::(?:multi)?map\b",
    "memory": r"std::(?:unique_ptr|shared_ptr|weak_ptr|make_unique|make_shared|enable_shared_from_this|addressof)\b",
    "mutex": r"std::(?:mutex|lock_guard|unique_lock|scoped_lock|once_flag|call_once)\b",
    "new": r"std::(?:nothrow|bad_alloc|hardware_destructive_interference_size)\b",
    "numeric": r"std::(?:accumulate|iota|gcd|lcm|reduce|midpoint|partial_sum)\b",
    "optional": r"std::(?:optional|nullopt)\b",
    "random": r"std::(?:mt19937|mt19937_64|uniform_int_distribution|random_device)\b",
    "regex": r"std::(?:regex|smatch|cmatch)\b",
    "set": r"std::(?:multi)?set\b",
    "span": r"std::(?:span|as_bytes|as_writable_bytes|dynamic_extent)\b",
    "sstream": r"std::[io]?stringstream\b",
    "stdexcept": r"std::(?:runtime_error|logic_error|invalid_argument|out_of_range)\b",
    "string": r"std::(?:string|to_string|getline|stoul|stoull|stoi|stol)\b",
    "string_view": r"std::string_view\b",
    "system_error": r"std::(?:error_code|system_error|generic_category)\b",
    "thread": r"std::(?:jthread|thread|this_thread)\b",
    "tuple": r"std::(?:tuple|make_tuple|tie|forward_as_tuple)\b",
    "type_traits": r"std::(?:is_\w+_v|enable_if_t|conditional_t|remove_\w+_t|decay_t|underlying_type_t|make_unsigned_t"
                   r"|make_signed_t|invoke_result_t|common_type_t)\b",
    "unordered_map": r"std::unordered_(?:multi)?map\b",
    "unordered_set": r"std::unordered_(?:multi)?set\b",
    "utility": r"std::(?:move|forward|exchange|swap|pair|make_pair|in_place|declval|as_const|index_sequence"
               r"|make_index_sequence|integer_sequence)\b",
    "variant": r"std::(?:variant|visit|monostate|get_if|holds_alternative)\b",
    "vector": r"std::vector\b",
    "fmt/format.h": r"\bfmt::",
    "tl/expected.hpp": r"\btl::",
    "doctest/doctest.h": r"\b(?:TEST_CASE|SUBCASE|CHECK|REQUIRE|CAPTURE|INFO)\(",
}
# Headers that promise what another has.
ALSO = {"fmt/ranges.h": "fmt/format.h", "fmt/chrono.h": "fmt/format.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)
# Text of which nothing is a use: comments, raw strings, strings, characters.
NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])\'', re.S)


class Tree:
    def __init__(self, root):
        self.roots = [root / "src", root / "tests", root]
        self.reached = {}

    def find(self, path, name):
        for folder in [path.parent, *self.roots]:
            if (folder / name).is_file():
                return (folder / name).resolve()
        return None

    def reach(self, path):
        """The headers of libraries that `path` includes, itself or through headers of this project."""
        if path in self.reached:
            return self.reached[path]
        self.reached[path] = set()  # a header that includes itself in the end adds nothing
        headers = set()
        for bracket, name in INCLUDE.findall(path.read_text()):
            own = self.find(path, name) if bracket == '"' else None
            headers |= self.reach(own) if own else {name, ALSO.get(name, name)}
        self.reached[path] = headers
        return headers


def missing(tree, path):
    """(header, a name that needs it) for each header that `path` lacks."""
    # Include lines go first: the name of an own header is a string.
    text = NO_CODE.sub(" ", INCLUDE.sub("", path.read_text()))
    for header, names in NEEDED_BY.items():
        if header in tree.reach(path):
            continue
        used = re.search(names, text)
        if used:
            yield header, used.group().strip("(")


def check(root):
    tree = Tree(root)
    paths = sorted(p for folder in ("src", "tests", "bench") for p in (root / folder).rglob("*") if p.suffix in (".cc", ".h"))
    found = [f"{path.relative_to(root)}: {name} needs <{header}>" for path in paths for header, name in missing(tree, path)]
    return paths, found


def can_fail():
    """A name without its header is seen; in text that is no code, or with a header of a header, it is none."""
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder).resolve() / "src"
        src.mkdir()
        (src / "a.h").write_text("#include <vector>\nstd::vector<int> a();\n")
        (src / "b.cc").write_text('#include "a.h"\nstd::vector<int> b;  // no std::map\nconst char* c = "std::map";\n')
        (src / "d.cc").write_text("#include <map>\nstd::map<int, int> d;\nstd::vector<int> e;\n")
        return check(src.parent)[1] == ["src/d.cc: std::vector needs <vector>"]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    if not can_fail():
        print("a missing header is not seen")
        return 1
    paths, found = check(root)
    print("\n".join(found))
    if len(paths) < 100:
        print(f"only {len(paths)} files under {root}: wrong folder?")
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
