# SPDX-License-Identifier: GPL-2.0-or-later
"""What `convert` shows while it works, and what is left of its file when it does not get to the end."""

import contextlib
import os
import pathlib
import pty
import re
import resource
import signal
import subprocess
import time
import unittest

from support import CliTest, DMAUDIT, NAMES, TIMEOUT, environment, fixture, run

DUMP = fixture(NAMES[0])
# Bytes that do not shrink: a tenth of a second and more of work for one thread.
LONG = 160 << 20
FORMATS = (["--codec", "zlib"], ["--format", "elf"])


def on_terminal(*arguments, **changes):
    """(exit status, what a terminal on standard error got)"""
    ours, theirs = pty.openpty()
    with subprocess.Popen([DMAUDIT, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=theirs, env=environment(**changes)) as child:
        os.close(theirs)
        got = b""
        # The end of a terminal that nobody writes to any more is an error.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                got += part
        os.close(ours)
        return child.wait(timeout=TIMEOUT), got.decode()


def at_work(child, folder):
    """Whether a program has a file in `folder` open that is not there yet, with a temporary name or none."""
    if list(folder.glob(".dmaudit-*")):
        return True
    for link in pathlib.Path(f"/proc/{child.pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            name = os.readlink(link)
            if name.startswith(f"{folder}/") and name.endswith(" (deleted)"):
                return True
    return False


def can_be_unnamed(folder):
    try:
        os.close(os.open(folder, os.O_RDWR | os.O_TMPFILE))
    except OSError:
        return False
    return True


class ConvertOutputTest(CliTest):
    def long(self):
        """Bare memory that takes a while, and a folder for what comes of it."""
        folder = self.scratch()
        (folder / "out").mkdir()
        block = os.urandom(1 << 20)
        with open(folder / "memory", "wb") as file:
            for _ in range(LONG >> 20):
                file.write(block)
        return folder / "memory", folder / "out"

    def disturbed(self, memory, folder, options, disturb, command="convert"):
        """(exit status, standard error) of a conversion, or of another command, to which `disturb` happens while it is at
        work on its file. One that was too fast for that does not count."""
        for _ in range(10):
            (folder / "new").write_text("old")
            with subprocess.Popen([DMAUDIT, command, "--raw", "-j", "1", *options, str(memory),
                                   "-o", str(folder / "new")], stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, env=environment(), text=True) as child:
                try:
                    while child.poll() is None and not at_work(child, folder):
                        time.sleep(0.001)
                    child.send_signal(signal.SIGSTOP)
                    in_time = at_work(child, folder)
                    if in_time:
                        disturb(child)
                    child.send_signal(signal.SIGCONT)
                    _, err = child.communicate(timeout=TIMEOUT)
                finally:
                    child.kill()
            if in_time:
                return child.returncode, err
        raise AssertionError("it always ended before anything could happen to it")

    def test_a_bar_on_a_terminal(self):
        memory, folder = self.long()
        for options in FORMATS:
            status, got = on_terminal("convert", "--raw", "-j", "1", *options, memory, "-o",
                                      folder / "new", LC_ALL="C.UTF-8")
            self.assertEqual(status, 3)  # bare memory has no states
            if options != FORMATS[0] and "%" not in got:
                continue  # done before the first bar was due
            steps = re.findall(r"\r\x1b\[K\[#* *\] +(\d+)%  [\d.]+ [KMGT]?i?B/s  \d+:\d\d left", got)
            self.assertTrue(steps, got)
            self.assertEqual([int(step) for step in steps], sorted(int(step) for step in steps))
            # The bar is gone before anything else is said.
            self.assertRegex(got, r"left\r\x1b\[Kdmaudit: warning: ")
            self.assertTrue(got.endswith("\n"), got)

    def test_no_bar_where_it_is_not_wanted_or_cannot_be_taken_away(self):
        memory, folder = self.long()
        target = ("--raw", "-j", "1", "--format", "elf", memory, "-o", folder / "new")
        self.assertEqual(on_terminal("convert", "-q", *target), (3, ""))
        self.assertNotIn("%", on_terminal("convert", *target, TERM="dumb")[1])
        self.assertNotIn("%", run("convert", *target).err)

    def test_a_signal_leaves_nothing(self):
        memory, folder = self.long()
        for options in FORMATS:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                with self.subTest(options, signal=number):
                    ended = self.disturbed(memory, folder, options,
                                           lambda child: child.send_signal(number))
                    self.assertEqual(ended, (2, "dmaudit: interrupted\n"))
                    self.assertEqual((folder / "new").read_text(), "old")
                    self.no_leftovers(folder, "new")

    def test_a_kill_leaves_no_file_of_that_name(self):
        memory, folder = self.long()
        for command, options in (("convert", FORMATS[0]), ("pages", ["--crc32"])):
            for number in (signal.SIGKILL, signal.SIGQUIT):
                with self.subTest(command, signal=number):
                    self.disturbed(memory, folder, options, lambda child, number=number: child.send_signal(number), command)
                    self.assertEqual((folder / "new").read_text(), "old")
                    if can_be_unnamed(folder):
                        self.no_leftovers(folder, "new")
                        continue
                    left, _ = sorted(os.listdir(folder))
                    self.assertRegex(left, r"^\.dmaudit-[0-9a-f]{16}\.tmp$")
                    (folder / left).unlink()

    def test_a_copy_is_for_its_owner_alone(self):
        folder = self.scratch()
        for options in (["convert"], ["convert", "--format", "elf"], ["distill"]):
            run(*options, DUMP, "-o", folder / "new")
            self.assertEqual((folder / "new").stat().st_mode & 0o777, 0o600, options)
            (folder / "new").chmod(0o640)
            run(*options, DUMP, "-o", folder / "new")
            self.assertEqual((folder / "new").stat().st_mode & 0o777, 0o640, options)
            (folder / "new").unlink()
        run("report", DUMP, "-o", folder / "report")
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual((folder / "report").stat().st_mode & 0o777, 0o666 & ~mask)

    def test_a_file_that_cannot_be_without_a_name(self):
        folder = self.scratch()
        # Without its descriptors in /proc a file that has no name can get none.
        alone = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/$$/fd && exec "$@"', "sh"]
        if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("needs root")
        (folder / "new").write_text("old")
        done = subprocess.run([*alone, DMAUDIT, "convert", DUMP, "-o", folder / "new"], check=False,
                              capture_output=True, text=True, env=environment(), timeout=TIMEOUT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        run("convert", DUMP, "-o", folder / "other")
        self.assertEqual((folder / "new").read_bytes(), (folder / "other").read_bytes())
        self.assertEqual(sorted(os.listdir(folder)), ["new", "other"])

    def test_a_limit_of_the_size_is_a_full_disk(self):
        memory, folder = self.long()
        for options in FORMATS:
            (folder / "new").write_text("old")
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
            done = subprocess.run([DMAUDIT, "convert", "--raw", *options, memory, "-o", folder / "new"],
                                  check=False, capture_output=True, text=True, env=environment(),
                                  timeout=TIMEOUT, preexec_fn=limit)
            self.assertEqual(done.returncode, 2, done)
            self.assertEqual(done.stderr,
                             f"dmaudit: {folder / 'new'}: write failed: File too large\n")
            self.assertEqual((folder / "new").read_text(), "old")
            self.no_leftovers(folder, "new")

    def test_a_full_disk(self):
        memory, folder = self.long()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False,
                          capture_output=True).returncode != 0:
            self.skipTest("mounting is not permitted")
        try:
            for options in FORMATS:
                (folder / "new").write_text("old")
                self.cannot_run(run("convert", "--raw", *options, memory, "-o", folder / "new"),
                                folder / "new", "No space left")
                self.assertEqual((folder / "new").read_text(), "old")
                self.no_leftovers(folder, "new")
        finally:
            subprocess.run(["umount", folder], check=True)

    def test_a_source_that_ends_early(self):
        memory, folder = self.long()
        for options in FORMATS:
            os.truncate(memory, LONG)
            status, err = self.disturbed(memory, folder, options,
                                         lambda _: os.truncate(memory, 8192))
            self.assertEqual(status, 3, err)
            self.assertIn("beyond the end of the original", err)
            self.assertIn("[input.shrunk]", err)
            rows = run("pages", "-q", "--format", "ndjson", folder / "new").rows()
            self.assertLessEqual({row["state"] for row in rows}, {"data", "truncated"})
            self.assertEqual(int(rows[-1]["end"], 16), LONG - 1)
            self.assertEqual(rows[-1]["state"], "truncated")

    def test_the_place_of_the_file(self):
        folder = self.scratch()
        (folder / "old").write_text("old")
        (folder / "link").symlink_to("old")
        (folder / "nowhere").symlink_to("none")
        (folder / "folder").mkdir()
        copy = pathlib.Path(folder / "dump")
        copy.write_bytes(DUMP.read_bytes())
        (folder / "same").symlink_to("dump")
        os.link(copy, folder / "hard")
        for kind in ("kdump", "elf"):
            for target, word in (("folder", "directory"), ("nowhere", "No such file"),
                                 ("none/new", "No such file"), ("dump", "the dump itself"),
                                 ("same", "the dump itself"), ("hard", "the dump itself")):
                self.cannot_run(run("convert", "--format", kind, copy, "-o", folder / target), word)
            self.assertEqual(run("convert", "--format", kind, copy, "-o", folder / "link").status, 0)
            self.assertTrue((folder / "link").is_symlink())
            self.assertEqual(run("pages", "--crc32", folder / "old").out,
                             run("pages", "--crc32", DUMP).out)
        self.assertEqual(copy.read_bytes(), DUMP.read_bytes())
        self.no_leftovers(folder, "old", "link", "nowhere", "folder", "dump", "same", "hard")


if __name__ == "__main__":
    unittest.main()
