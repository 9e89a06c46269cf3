#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the NFS checks make of a guest's words, on words written here."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
from labkit import nfs  # noqa: E402

SHRUNK = "dmaudit: warning: -: had 0x1001000 bytes: it is being changed [input.shrunk]~\r"
FAILED = "dmaudit: warning: f: reading at 0x89e000: Input/output error [input.read-failed]~\r"


def lines(protocol):
    """A line per case, by its name, as a good guest writes them."""
    found = {"mounted": f"vers={protocol}: ro,soft,vers={protocol}"}
    for what in ("report", "mappings", "pages", "convert"):
        found[f"same.{what}"] = "status=0 seconds=1 local=0 equal=yes bytes=5:"
    for name in nfs.CUT:
        found[name] = f"status=3 seconds=1 known=2047 unknown=2049 untrue=0: {SHRUNK}"
    for name in nfs.STALE:
        found[name] = f"status=3 seconds=1 known=1412 unknown=2684 untrue=0: {FAILED}"
    found["gone.pages"] = f"status=3 seconds=11 known=2362 unknown=1734 untrue=0: {FAILED}"
    found["gone.report"] = "status=2 seconds=4 other=1: dmaudit: f: Input/output error~\r"
    return found


def info(change=None, planted="pages=4096 known=6 unknown=0 untrue=1"):
    """All that a guest writes; `change` is (protocol, case, words or None for no line)."""
    text = f"LAB kernel 6.1\r\nLAB nfs - planted {planted}: \r\n"
    for protocol in nfs.PROTOCOLS:
        cases = lines(protocol)
        if change and change[0] == protocol:
            cases[change[1]] = change[2]
        text += "".join(f"LAB nfs {protocol} {name} {words}\n" for name, words in cases.items() if words is not None)
    return text


def failed(*words, **planted):
    return [check.name for check in nfs.checks(info(words or None, **planted)) if not check.good]


class Nfs(unittest.TestCase):
    def test_a_good_guest(self):
        self.assertEqual(failed(), [])
        said = nfs.told(info())
        self.assertEqual(said["4.2", "cut.amid"].number("unknown"), 2049)
        self.assertEqual(said["3", "gone.report"].errors, "dmaudit: f: Input/output error")
        self.assertEqual(said["3", "gone.report"].number("untrue"), -1)

    def test_every_line_is_needed(self):
        for protocol in nfs.PROTOCOLS:
            for name in lines(protocol):
                self.assertEqual(failed(protocol, name, None), [f"nfs.{name.split('.')[0]} {protocol}"]
                                 if name.startswith("same") else [f"nfs.{name} {protocol}"])
        self.assertIn("checks can fail", [check.name for check in nfs.checks("") if not check.good])

    def test_other_answers_than_the_local_ones(self):
        good = lines("3")["same.report"]
        for old, new in (("equal=yes", "equal=no"), ("local=0", "local=3"), ("bytes=5", "bytes=0"), ("bytes=5", ""),
                         ("status=0 seconds=1 local=0", "status=2 seconds=1 local=2")):
            self.assertEqual(failed("3", "same.report", good.replace(old, new)), ["nfs.same 3"], new)

    def test_pages_that_are_not_there(self):
        for name in (*nfs.CUT, *nfs.STALE, "gone.pages"):
            good = lines("4.2")[name]
            for old, new in (("untrue=0", "untrue=1"), ("untrue=0", ""), ("status=3", "status=1"), ("status=3", "status=137")):
                self.assertEqual(failed("4.2", name, good.replace(old, new)), [f"nfs.{name} 4.2"], (name, new))

    def test_all_known_of_what_is_gone(self):
        for name in (*nfs.CUT, "gone.pages"):
            words = f"status=0 seconds=1 known={nfs.PAGES} unknown=0 untrue=0:"
            self.assertEqual(failed("4.2", name, words), [f"nfs.{name} 4.2"])

    def test_a_server_may_keep_an_open_file(self):
        whole = "status=0 seconds=1 known={} unknown=0 untrue=0:".format
        for name in nfs.STALE:
            self.assertEqual(failed("4.2", name, whole(nfs.PAGES)), [])
            self.assertEqual(failed("4.2", name, whole(nfs.PAGES - 1)), [f"nfs.{name} 4.2"])

    def test_a_reason_and_an_end(self):
        for name in (*nfs.CUT, *nfs.STALE, "gone.pages", "gone.report"):
            words = lines("3")[name].split(":")[0]
            self.assertEqual(failed("3", name, f"{words}: "), [f"nfs.{name} 3"])
        for name in ("gone.pages", "gone.report"):
            for seconds in (0, nfs.GONE_SECONDS - 1, nfs.GONE_SECONDS):
                words = lines("3")[name].replace("seconds=11", f"seconds={seconds}").replace("seconds=4", f"seconds={seconds}")
                self.assertEqual(failed("3", name, words), [] if seconds < nfs.GONE_SECONDS else [f"nfs.{name} 3"])

    def test_no_program_can_open_it(self):
        words = "status=137 seconds=61 other={}: Killed".format
        self.assertEqual(failed("4.2", "gone.report", words(137)), [])
        self.assertEqual(failed("4.2", "gone.report", words(1)), ["nfs.gone.report 4.2"])
        self.assertEqual(failed("4.2", "gone.report", words("")), ["nfs.gone.report 4.2"])

    def test_another_protocol_is_mounted(self):
        self.assertEqual(failed("4.2", "mounted", "vers=4.1: ro"), ["nfs.mounted 4.2"])

    def test_untrue_rows_are_counted_in_the_guest(self):
        for planted in ("pages=4096 known=6 unknown=0 untrue=0", "pages=0 known=6 unknown=0 untrue=6",
                        "pages=4096 known=0 unknown=0 untrue=1"):
            self.assertEqual(failed(planted=planted), ["checks can fail"])


if __name__ == "__main__":
    unittest.main()
