"""Kills a conversion before each change of some kinds that it makes to the file system, and runs it again.

Run as a script, so that it forks before any thread is started:
`kill_points.py KINDS TEMPLATE FOLDER UNTIL '["--flag", ...]' '["--flag", ...]'`.

KINDS are names of functions of `os`, with commas between. For point n, TEMPLATE is copied to FOLDER/n, the
conversion with the first flags is killed there, and the one with the second flags runs to its end;
`{output_dir}` in the flags stands for FOLDER/n. Prints one JSON list per point: the call, the path that it makes
or deletes, and the exit code of the second run. Ends with the run that is not killed any more, or before the
first path that holds UNTIL.
"""

import json
import os
import pathlib
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from oi_tfrecord.engine.run_pipeline import import_beam_quietly
from tests.support.small_release import convert

RENAMES = ("rename", "replace")


def kill_before(point: int, kinds: Sequence[str], channel: int) -> None:
    """Makes this process end before its change number `point`, and write which change that is."""
    count = 0

    def watched(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == point:
                # A rename is known by the path that it gives, any other change by its only path.
                os.write(channel, json.dumps([name, str(arguments[name in RENAMES])]).encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)

        return run

    for name in kinds:
        setattr(os, name, watched(name, getattr(os, name)))


def in_child(run: Callable[[int], int]) -> tuple[int, bytes]:
    """Runs a function in a forked process; returns its exit code and what it wrote to the channel."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        code = 99
        try:
            code = run(sending)
        finally:
            os._exit(code)
    os.close(sending)
    with os.fdopen(receiving, "rb") as stream:
        printed = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed


def main(kinds: str, template: str, folder: str, until: str, first: str, second: str) -> None:
    import_beam_quietly()
    for point in range(1, 10_000):
        output_dir = pathlib.Path(folder) / str(point)
        shutil.copytree(template, output_dir)

        def run(flags: str, output_dir: pathlib.Path = output_dir) -> int:
            return convert([flag.replace("{output_dir}", str(output_dir)) for flag in json.loads(flags)])

        def killed(channel: int, point: int = point, run: Callable[[str], int] = run) -> int:
            kill_before(point, kinds.split(","), channel)
            return run(first)

        code, printed = in_child(killed)
        if code != -signal.SIGKILL:
            print(json.dumps(["end", "", code]))
            return
        call, path = json.loads(printed)
        if until and until in path:
            return
        print(json.dumps([call, path, in_child(lambda channel, run=run: run(second))[0]]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
