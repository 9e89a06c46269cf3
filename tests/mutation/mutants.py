# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of mutants, and whether it still fits the sources."""

import dataclasses
import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = pathlib.Path(__file__).with_name("mutants.toml")


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    kind: str
    old: str
    new: str
    why: str

    def apply(self, text):
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has {text.count(self.old)} times, expected once: {self.old}")
        return text.replace(self.old, self.new)

    def line(self, text):
        return text[:text.index(self.old)].count("\n") + 1


def load():
    with open(LIST, "rb") as stream:
        return [Mutant(**entry) for entry in tomllib.load(stream)["mutant"]]


def problems(mutants, root=ROOT):
    """What is wrong with the list, one line each."""
    seen = set()
    for mutant in mutants:
        if mutant.name in seen:
            yield f"{mutant.name}: twice in the list"
        seen.add(mutant.name)
        if mutant.old == mutant.new:
            yield f"{mutant.name}: changes nothing"
        if "\n" in mutant.old or "\n" in mutant.new:
            yield f"{mutant.name}: changes more than a line"
        path = root / mutant.file
        if not mutant.file.startswith("src/") or not path.is_file():
            yield f"{mutant.name}: no source file {mutant.file}"
            continue
        try:
            mutant.apply(path.read_text())
        except ValueError as error:
            yield str(error)
