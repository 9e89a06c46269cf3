# SPDX-License-Identifier: GPL-2.0-or-later
"""A dump that ends early never gives an all-clear that the whole dump would not give."""

import concurrent.futures
import os
import shutil
import unittest

from support import CliTest, NAMES, ONE_IN, WORKERS, check_cut, fixture, golden_rows


class CutTest(CliTest):
    def cut(self, name, folder):
        path = folder / name
        shutil.copyfile(fixture(name), path)
        total = path.stat().st_size
        whole = golden_rows(name)
        wrong = []
        # A distilled dump holds little that can be missed: only near its end is more left than an error.
        sizes = [total - 1 - 500 * step for step in range(40)]
        sizes += [total * percent // 100 for percent in range(100)]
        for size in sorted(sizes, reverse=True)[::ONE_IN]:
            os.truncate(path, size)
            _, problem = check_cut(path, whole)
            if problem:
                wrong.append(f"{name} cut to {size} of {total} bytes: {problem}")
        return wrong

    def test_every_percent_of_every_fixture(self):
        folder = self.scratch()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            wrong = sum(pool.map(lambda name: self.cut(name, folder), NAMES), [])
        self.assertFalse(wrong, "\n".join(wrong))


if __name__ == "__main__":
    unittest.main()
