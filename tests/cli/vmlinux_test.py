# SPDX-License-Identifier: GPL-2.0-or-later
"""--vmlinux: the same report by way of a symbol table and DWARF; other kernels' files are refused."""

import contextlib
import ctypes.util
import functools
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from roads import same_report
from small_vmlinux import build
from support import CliTest, DMAUDIT, environment, fixture, run

# Legacy kernel and fixed address; scalable kernel and KASLR.
NAMES = ("debian12-6.1-rmrr", "debian-sid-7.2-first-stage")
ROADS = ("vmlinux,dwarf", "vmlinux", "dwarf", "vmlinux,btf-symbols", "vmlinux,btf-search")
HAS_DEBUGINFO = "debuginfo: none" not in subprocess.run(
    [DMAUDIT, "--version"], text=True, check=True, capture_output=True).stdout


@contextlib.contextmanager
def server(folder):
    """A debuginfod server of the files in a folder: its address and the paths it is asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):  # the name that the server looks for
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", asked
        finally:
            running.shutdown()
            thread.join()


def report_of(*words):
    ran = run("--format", "json", *words)
    return ran, ran.json()


@unittest.skipUnless(HAS_DEBUGINFO, "a build without libdw")
class VmlinuxTest(CliTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="dmaudit-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.files = {name: build(fixture(name), cls.folder / name) for name in NAMES}

    def test_the_same_report(self):
        for name, path in self.files.items():
            _, whole = report_of(fixture(name))
            ran, report = report_of("--vmlinux", path, fixture(name))
            self.valid_json(ran)
            self.assertEqual(report["kernel"]["symbols_from"], f"symbol table of {path}")
            self.assertEqual(report["kernel"]["types_from"], f"DWARF ({path})")
            self.assertEqual(same_report("", whole, report), (True, ""), ran)
            for roads in ROADS:
                with self.subTest(name, roads=roads):
                    ran, report = report_of("--vmlinux", path, "--roads", roads, fixture(name))
                    self.assertEqual(same_report(roads, whole, report), (True, ""), ran)
                    where = report["kernel"]
                    # A list that names no way to symbols leaves them all, the given file first.
                    self.assertEqual("vmlinux" in roads or roads == "dwarf",
                                     "symbol table" in where["symbols_from"])
                    self.assertEqual("btf" not in roads, "DWARF" in where["types_from"])

    def test_of_another_kernel(self):
        one, other = NAMES
        for command in ("report", "mappings", "info"):
            self.cannot_run(run(command, "--vmlinux", self.files[other], fixture(one)),
                            "another kernel", "build id", "--force-vmlinux")
        # Right addresses and layouts, another build id: forcing is right, and said.
        path = build(fixture(one), self.folder / "rebuilt", build_id="ab" * 20)
        self.cannot_run(run("--vmlinux", path, fixture(one)), "ab" * 20)
        _, whole = report_of(fixture(one))
        ran, report = report_of("--vmlinux", path, "--force-vmlinux", fixture(one))
        self.assertFalse(report["complete"])
        self.assertTrue(any("--force-vmlinux" in gap for gap in report["incomplete_because"]), ran)
        for key in ("units", "domains", "findings"):
            self.assertEqual(report[key], whole[key])

    def test_damaged_files_leave_the_other_ways(self):
        name = NAMES[0]
        whole = self.files[name].read_bytes()
        _, plain = report_of(fixture(name))
        path = self.folder / "damaged"
        for size in (0, 3, 64, 1000, len(whole) // 2, len(whole) - 100):
            path.write_bytes(whole[:size])
            ran, report = report_of("--vmlinux", path, fixture(name))
            self.assertTrue(any(d["id"] == "kernel.vmlinux" for d in report["diagnostics"]), ran)
            self.assertEqual(report["findings"], plain["findings"])
            self.assertEqual(report["complete"], plain["complete"])

    def test_misuse(self):
        name = NAMES[0]
        self.cannot_run(run("--vmlinux", "", fixture(name)), "--vmlinux")
        self.cannot_run(run("--force-vmlinux", fixture(name)), "--vmlinux")
        self.cannot_run(run("--vmlinux", self.folder / "none", fixture(name)), "--vmlinux", "/none: No such file")

    def test_servers_are_asked_only_when_named(self):
        ran = run("--debuginfod", "--roads", "vmlinux", fixture(NAMES[1]),
                  env=environment(DEBUGINFOD_URLS=""))
        self.assertEqual(ran.status, 3, ran)
        self.assertIn("$DEBUGINFOD_URLS names no server", ran.out + ran.err)

    @unittest.skipUnless(ctypes.util.find_library("debuginfod"), "no libdebuginfod")
    def test_a_server_is_asked_by_build_id(self):
        name = NAMES[1]
        _, whole = report_of(fixture(name))
        build_id = whole["kernel"]["build_id"]["value"]
        served, cache = self.folder / "served", self.folder / "cache"
        place = served / "buildid" / build_id
        place.mkdir(parents=True)
        cache.mkdir()
        with server(served) as (address, asked):
            surroundings = environment(DEBUGINFOD_URLS=address, DEBUGINFOD_CACHE_PATH=str(cache))
            # Never unasked, not even with a server in the environment.
            run("--roads", "vmlinux", fixture(name), env=surroundings)
            self.assertEqual(asked, [])
            ran = run("--debuginfod", "--roads", "vmlinux", fixture(name), env=surroundings)
            self.assertEqual(asked, [f"/buildid/{build_id}/debuginfo"])
            self.assertEqual(ran.status, 3, ran)
            self.assertIn("debuginfod: ", ran.err)
            # That there is no such file is remembered for a while.
            for kept in cache.rglob("debuginfo"):
                kept.unlink()
            (place / "debuginfo").write_bytes(self.files[name].read_bytes())
            ran = run("--debuginfod", "--roads", "vmlinux", "--format", "json", fixture(name), env=surroundings)
            self.assertEqual(same_report("vmlinux", whole, ran.json()), (True, ""), ran)
            self.assertIn(str(cache), ran.json()["kernel"]["symbols_from"])
            # A server that answers with the file of another kernel.
            for kept in cache.rglob("debuginfo"):
                kept.unlink()
            (place / "debuginfo").write_bytes(self.files[NAMES[0]].read_bytes())
            ran = run("--debuginfod", "--roads", "vmlinux", fixture(name), env=surroundings)
            self.assertIn("another kernel", ran.err)

    @unittest.skipUnless(ctypes.util.find_library("debuginfod") and shutil.which("dwz"), "no libdebuginfod or no dwz")
    def test_a_server_has_what_dwz_moved_to_another_file(self):
        name = NAMES[1]
        _, whole = report_of(fixture(name))
        folder = self.folder / "dwz"
        folder.mkdir()
        for copy in ("one", "two"):
            shutil.copy(self.files[name], folder / copy)
        subprocess.run(["dwz", "-L", "none", "-l", "none", "-m", "common", "-r", "one", "two"], cwd=folder, check=True)
        notes = subprocess.run(["readelf", "-n", "common"], cwd=folder, text=True, check=True, capture_output=True)
        build_id = re.search("Build ID: ([0-9a-f]+)", notes.stdout).group(1)
        served, cache = folder / "served", folder / "cache"
        place = served / "buildid" / build_id
        place.mkdir(parents=True)
        cache.mkdir()
        os.rename(folder / "common", place / "debuginfo")
        words = ["--vmlinux", folder / "one", "--roads", "vmlinux,dwarf", fixture(name)]
        with server(served) as (address, asked):
            surroundings = environment(DEBUGINFOD_URLS=address, DEBUGINFOD_CACHE_PATH=str(cache))
            ran = run(*words, env=surroundings)
            self.assertEqual(asked, [])
            self.assertEqual(ran.status, 3, ran)
            self.assertIn("supplementary file", ran.err)
            ran = run("--debuginfod", "--format", "json", *words, env=surroundings)
            self.assertEqual(asked, [f"/buildid/{build_id}/debuginfo"])
            self.assertEqual(same_report("vmlinux", whole, ran.json()), (True, ""), ran)


if __name__ == "__main__":
    unittest.main()
