# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's scratch folder: downloads, unpacked kernels, initramfs images, runs."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

LAB_SOURCE = Path(__file__).resolve().parent.parent


class LabError(Exception):
    """Something the lab needs could not be had; the run fails."""


def root():
    """The scratch folder, outside the source tree."""
    given = os.environ.get("DMAUDIT_LAB_DIR")
    if given:
        folder = Path(given)
    else:
        cache_home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        folder = Path(cache_home) / "dmaudit-lab"
    folder = folder.resolve()
    if LAB_SOURCE in folder.parents or folder == LAB_SOURCE:
        raise LabError(f"the lab's folder {folder} lies inside the source tree")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(command, **options):
    """Runs a command to its end; a failure carries the last lines it printed."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.STDOUT)
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("timeout", 900)
    try:
        done = subprocess.run([str(word) for word in command], check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{command[0]}: {error}") from error
    text = (done.stdout or b"").decode("utf-8", "replace")
    if done.returncode != 0:
        tail = " / ".join(text.strip().splitlines()[-4:])
        raise LabError(f"{' '.join(str(word) for word in command)}: status {done.returncode}: {tail}")
    return text


def claim_run(name, whose):
    """(claim, folder): an empty folder for a run of this name, its own for as long as the claim is held."""
    folder = root() / "run" / name
    folder.parent.mkdir(exist_ok=True)
    claim = open(folder.with_name(f"{name}.lock"), "wb")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LabError(f"another run has {whose}") from error
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return claim, folder


def digest(*parts):
    """A short name for content: what an image was made from."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:16]


@contextlib.contextmanager
def lock(path):
    """Holds the lock of what is at `path`: cells run side by side, in processes of their own, and share the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / f".{path.name}.lock", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def made_once(path, make):
    """Returns `path`, made by make(temporary) and renamed when it is not there yet."""
    with lock(path):
        return path if path.exists() else _made(path, make)


def _made(path, make):
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    if temporary.is_dir():
        shutil.rmtree(temporary)
    try:
        make(temporary)
        temporary.rename(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        elif temporary.exists():
            temporary.unlink()
    return path
