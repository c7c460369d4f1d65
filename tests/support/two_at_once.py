"""Runs two conversions into one folder at the same time, of which one may be killed, by given schedules.

Run as a script, so that it forks before any thread is started: `two_at_once.py FILE`, where FILE holds a JSON list of
schedules with the keys of `Schedule`. Prints a JSON list per schedule: the exit code of each run, and what each printed
on standard error.
"""

import dataclasses
import json
import os
import pathlib
import select
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from oi_tfrecord.cli.main import main
from oi_tfrecord.engine.run_pipeline import import_beam_quietly

CHANGES = ("replace", "rename", "unlink", "mkdir")
"""Functions of `os` that are counted."""

_HOLD_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When the second run starts, and which run is killed.

    Attributes:
        first, second: flags of each run.
        begin: the second run starts before this change that the first makes, counted from 1.
        killed: which run is killed, 0 or 1; -1 for none.
        kill: the run is killed before this change.
    """

    first: list[str]
    second: list[str]
    begin: int
    killed: int
    kill: int


def watch(actions: Mapping[int, Callable[[], Any]]) -> None:
    """Calls functions before the changes of these numbers that this process makes to the file system."""
    count = 0

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count in actions:
                actions[count]()
            return change(*arguments, **options)

        return run

    for name in CHANGES:
        setattr(os, name, watched(getattr(os, name)))


def start(flags: list[str], actions: Mapping[int, Callable[[], Any]], err: pathlib.Path, unused: int) -> int:
    """Forks a process that converts; returns its id. The process closes the descriptor `unused`."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.close(unused)
        descriptor = os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        watch(actions)
        code = main(["convert", *flags])
    finally:
        os._exit(code)


def run(schedule: Schedule, folder: pathlib.Path) -> list[Any]:
    """Runs a schedule; returns the exit codes and what was printed on standard error."""
    receiving, sending = os.pipe()
    awaiting, releasing = os.pipe()

    def let_second_begin() -> None:
        os.write(sending, b"b")
        # The second run makes a change or ends, as it is refused; or it waits for a lock that this run holds.
        select.select([awaiting], [], [], _HOLD_SECONDS)

    kill = {schedule.kill: lambda: os.kill(os.getpid(), signal.SIGKILL)}
    begin = {schedule.begin: let_second_begin}
    release = {1: lambda: os.write(releasing, b"r")}
    errors = [folder / "first", folder / "second"]
    # A kill at the very change at which the second run starts comes after the start.
    both = {**begin, **kill} if schedule.kill != schedule.begin else begin
    first = start(schedule.first, both if schedule.killed == 0 else begin, errors[0], unused=releasing)
    os.close(sending)
    # Ends also if the first run ends before it makes so many changes.
    os.read(receiving, 1)
    os.close(receiving)
    second = start(schedule.second, release | kill if schedule.killed == 1 else release, errors[1], unused=awaiting)
    os.close(releasing)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in (first, second)]
    os.close(awaiting)
    return [*codes, *(path.read_text() for path in errors)]


def run_all(path: str) -> None:
    import_beam_quietly()
    file = pathlib.Path(path)
    for schedule in json.loads(file.read_text()):
        print(json.dumps(run(Schedule(**schedule), file.parent)), flush=True)


if __name__ == "__main__":
    run_all(*sys.argv[1:])
