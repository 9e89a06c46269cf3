# SPDX-License-Identifier: GPL-2.0-or-later
"""-o FILE: complete or not at all; and what happens when nobody takes the output."""

import json
import os
import pathlib
import subprocess
import unittest

from support import CliTest, DMAUDIT, NAMES, environment, fixture, run

DUMP = fixture(NAMES[0])
COMMANDS = (["report"], ["report", "--format", "json"], ["mappings"],
            ["mappings", "--format", "ndjson"], ["inherit", "-q", "--format", "json"], ["info"])


class OutputFileTest(CliTest):
    def test_the_file_is_what_standard_output_would_be(self):
        for command in COMMANDS:
            with self.subTest(command):
                folder = self.scratch()
                plain = run(*command, DUMP)
                ran = run(*command, DUMP, "-o", folder / "out")
                self.assertEqual((ran.status, ran.out), (plain.status, ""))
                self.assertEqual((folder / "out").read_bytes(), plain.raw)
                self.no_leftovers(folder, "out")

    def test_an_existing_file_is_replaced_whole(self):
        folder = self.scratch()
        (folder / "out").write_text("old\n" * 100000)
        run("mappings", DUMP, "-o", "out", cwd=folder)
        self.assertEqual((folder / "out").read_bytes(), run("mappings", DUMP).raw)
        self.no_leftovers(folder, "out")

    def test_a_link_stays_a_link(self):
        folder = self.scratch()
        (folder / "real").write_text("old")
        (folder / "link").symlink_to("real")
        run("info", DUMP, "-o", folder / "link")
        self.assertTrue((folder / "link").is_symlink())
        self.assertEqual((folder / "real").read_bytes(), run("info", DUMP).raw)

    def test_a_failure_leaves_the_old_file(self):
        for command in (["report"], ["mappings"], ["info"], ["distill"]):
            with self.subTest(command):
                folder = self.scratch()
                (folder / "out").write_text("old")
                (folder / "bad").write_bytes(b"no dump at all")
                self.cannot_run(run(*command, folder / "bad", "-o", folder / "out"), folder / "bad")
                self.assertEqual((folder / "out").read_text(), "old")
                self.no_leftovers(folder, "bad", "out")

    def test_with_json_the_file_gets_the_reason(self):
        folder = self.scratch()
        (folder / "out").write_text("old")
        self.cannot_run(run("--format", "json", folder / "none", "-o", folder / "out"),
                        folder / "none")
        text = (folder / "out").read_text(encoding="utf-8")
        self.assertIn("No such file", json.loads(text)["error"]["message"])
        self.no_leftovers(folder, "out")

    def test_no_such_folder(self):
        folder = self.scratch()
        for command in COMMANDS + (["distill"],):
            target = folder / "none" / "out"
            self.cannot_run(run(*command, DUMP, "-o", target), target)
            self.no_leftovers(folder)

    def test_a_folder_that_cannot_be_written(self):
        if os.geteuid() == 0:
            # Nothing is forbidden to root; in /proc no file can be made.
            target = pathlib.Path("/proc/dmaudit-test-out")
        else:
            folder = self.scratch()
            folder.chmod(0o500)
            self.addCleanup(folder.chmod, 0o700)
            target = folder / "out"
        for command in (["report"], ["mappings"], ["distill"]):
            self.cannot_run(run(*command, DUMP, "-o", target), target)
            self.assertFalse(target.exists())

    def test_the_output_is_a_folder(self):
        folder = self.scratch()
        for command in COMMANDS + (["distill"],):
            self.cannot_run(run(*command, DUMP, "-o", folder), folder)
            self.no_leftovers(folder)

    def test_an_empty_name(self):
        for command in COMMANDS + (["distill"],):
            self.cannot_run(run(*command, DUMP, "-o", ""), "-o")

    def test_a_dash_is_standard_output(self):
        folder = self.scratch()
        self.assertEqual(run("info", DUMP, "-o", "-", cwd=folder).raw, run("info", DUMP).raw)
        for command in ("convert", "distill"):
            with self.subTest(command):
                written = run(command, DUMP, "-o", folder / "new")
                piped = run(command, DUMP, "-o", "-", cwd=folder)
                self.assertEqual(piped.status, written.status)
                self.assertEqual(piped.raw, (folder / "new").read_bytes())
        self.assertEqual(os.listdir(folder), ["new"])

    def test_a_full_disk(self):
        for command in COMMANDS + (["distill"],):
            with self.subTest(command):
                ran = run(*command, DUMP, "-o", "/dev/full")
                self.assertEqual(ran.status, 2, ran)
                self.assertIn("/dev/full", ran.err)
                self.assertIn("No space left", ran.err)

    def test_a_file_that_may_not_grow(self):
        folder = self.scratch()
        (folder / "out").write_text("old")
        limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "sh", DMAUDIT]
        for command in (["mappings", "-q"], ["distill", "-q"]):
            done = subprocess.run([*limited, *command, DUMP, "-o", folder / "out"], check=False,
                                  capture_output=True, env=environment())
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(b"File too large", done.stderr)
            self.assertEqual((folder / "out").read_text(), "old")
            self.no_leftovers(folder, "out")

    def test_the_dump_is_never_overwritten(self):
        folder = self.scratch()
        (folder / "dump").write_bytes(DUMP.read_bytes())
        (folder / "link").symlink_to("dump")
        (folder / "hard").hardlink_to(folder / "dump")
        for command in COMMANDS + (["distill"],):
            for name in ("dump", "link", "hard"):
                with self.subTest(command, name=name):
                    self.cannot_run(run(*command, "dump", "-o", name, cwd=folder), name)
                    self.assertEqual((folder / name).read_bytes(), DUMP.read_bytes())
        self.no_leftovers(folder, "dump", "hard", "link")

    def test_no_other_input_is_overwritten(self):
        folder = self.scratch()
        (folder / "other").write_text("a table or a kernel")
        (folder / "link").symlink_to("other")
        (folder / "hard").hardlink_to(folder / "other")
        for option in ("--acpi-dmar", "--vmlinux"):
            for command in (["report"], ["mappings"], ["inherit"], ["distill"]):
                for name in ("other", "link", "hard"):
                    with self.subTest(command, option=option, name=name):
                        ran = run(*command, DUMP, option, "other", "-o", name, cwd=folder)
                        self.cannot_run(ran, f"-o {name}: this is the file given with {option}")
                        self.assertEqual((folder / name).read_text(), "a table or a kernel")
        self.no_leftovers(folder, "other", "hard", "link")


class StandardOutputTest(CliTest):
    def test_a_full_disk(self):
        for command in COMMANDS:
            with self.subTest(command), open("/dev/full", "wb") as full:
                ran = run(*command, DUMP, stdout=full)
                self.assertEqual(ran.status, 2, ran)
                self.assertIn("No space left", ran.err)
        for option in ("--help", "--version"):
            with open("/dev/full", "wb") as full:
                ran = run(option, stdout=full)
                self.assertEqual(ran.status, 2, ran)
                self.assertIn("No space left", ran.err)

    def closed(self, redirections, *arguments):
        done = subprocess.run(["sh", "-c", f'exec "$@" {redirections}', "sh", DMAUDIT, *arguments],
                              check=False, capture_output=True, env=environment())
        self.assertIn(done.returncode, (0, 1, 2, 3))
        return done

    def test_closed(self):
        for command in COMMANDS:
            done = self.closed(">&-", *command, DUMP)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(b"stdout", done.stderr)

    def test_descriptors_that_are_closed_are_not_taken_for_others(self):
        # Without care the output would be opened as descriptor 2, and diagnostics written into it.
        dump = self.scratch() / "cut"
        dump.write_bytes(DUMP.read_bytes()[:-1])
        for command in (["mappings", "--format", "ndjson"], ["report", "-v"], ["distill"]):
            expected = self.scratch() / "out"
            plain = run(*command, dump, "-o", expected)
            self.assertIn("warning", plain.err)
            for redirections in (">&- 2>&-", "<&- >&- 2>&-", "2>&-", "<&-"):
                with self.subTest(command, redirections=redirections):
                    out = self.scratch() / "out"
                    done = self.closed(redirections, *command, dump, "-o", out)
                    self.assertEqual(done.returncode, plain.status)
                    self.assertEqual(out.read_bytes(), expected.read_bytes())

    def test_a_reader_that_leaves(self):
        done = subprocess.run(["sh", "-c", 'trap "" PIPE; "$@"; echo $? >&2', "sh", DMAUDIT,
                               "mappings", DUMP, "-o", "/dev/full"], check=False,
                              capture_output=True, env=environment())
        self.assertEqual(done.stderr.splitlines()[-1], b"2")
        ours, theirs = os.pipe()
        os.close(ours)
        with os.fdopen(theirs, "wb") as pipe:
            process = subprocess.run([DMAUDIT, "mappings", DUMP], stdout=pipe, check=False,
                                     stderr=subprocess.PIPE, env=environment())
        # Killed by SIGPIPE, as any filter is.
        self.assertEqual((process.returncode, process.stderr), (-13, b""))


if __name__ == "__main__":
    unittest.main()
