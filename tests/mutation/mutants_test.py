#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of mutants fits the sources: each fragment is there once. Runs none of them."""

import dataclasses
import unittest

import mutants


class ListTest(unittest.TestCase):
    def test_fits(self):
        found = mutants.load()
        self.assertGreaterEqual(len(found), 40)
        self.assertEqual(list(mutants.problems(found)), [])

    def test_notices(self):
        one = mutants.load()[0]
        for wrong in (dataclasses.replace(one, new=one.old), dataclasses.replace(one, old="not in any source"),
                      dataclasses.replace(one, old="return"), dataclasses.replace(one, file="src/none.cc")):
            self.assertEqual(len(list(mutants.problems([wrong]))), 1, wrong)
        self.assertEqual(len(list(mutants.problems([one, one]))), 1)


if __name__ == "__main__":
    unittest.main()
