"""Processes that a test starts, as /proc and the clock show them."""

import pathlib
import time
from collections.abc import Callable

HANG_SECONDS = 240.0
"""After this a wait is given up as a hang; nothing is asserted about speed."""


def wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not done():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.001)


def processes_of(session: int, command: str = "") -> list[int]:
    """Returns the processes of a session that still run (zombies do not) and have `command` in their command line."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            state, _, _, owner = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            line = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):
            continue
        if int(owner) == session and state != "Z" and command in line:
            found.append(int(folder.name))
    return found
