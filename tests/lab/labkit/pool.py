# SPDX-License-Identifier: GPL-2.0-or-later
"""Work side by side, each piece in a process of its own: what one leaves open, or computes for long, is no other's."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import traceback

from .cache import LabError

_FORK = multiprocessing.get_context("fork")


def _stop(number, _frame):
    # Once: what is being cleaned up is not interrupted again.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def _work(work, piece, end):
    # A terminal's interrupt comes to every process; the parent's word ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    status = 1
    try:
        end.send(work(piece))
        status = 0
    except KeyboardInterrupt:
        pass
    except BaseException:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def each(pieces, jobs, work):
    """Yields what work(piece) returns for each of `pieces`, `jobs` at a time, in the order in which they end.

    Left before its end, it ends the work that goes on, and waits until that has cleaned up. LabError when a process
    ends without an answer.
    """
    waiting, running = list(pieces), {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                own, given = _FORK.Pipe(duplex=False)
                process = _FORK.Process(target=_work, args=(work, waiting.pop(0), given))
                process.start()
                given.close()
                running[own] = process
            for end in multiprocessing.connection.wait(list(running)):
                try:
                    answer = end.recv()
                except EOFError:
                    answer = None
                end.close()
                process = running.pop(end)
                process.join()
                if answer is None:
                    raise LabError(f"a process ended with {process.exitcode} and no answer")
                yield answer
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()
