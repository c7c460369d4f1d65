import csv
import io
import os
import pathlib
import re

import pytest

from oi_tfrecord.engine.progress_line import NoProgress, PrintedProgress, ProgressLine, fit_line
from tests.support import small_release
from tests.support.processes import wait_until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Count:
    """A status that a test sets."""

    seconds = 0.005

    def __init__(self) -> None:
        self.value = 0

    def parts(self) -> list[str]:
        return [f"{self.value} done", *(f"part {part} of a line" for part in range(9))]


def run_line(out: io.StringIO) -> None:
    status = Count()
    with ProgressLine(status, out, log_seconds=0.005) as line:
        wait_until(lambda: out.getvalue().count("0 done") >= 2, "two lines are printed")
        status.value = 1
        wait_until(lambda: "1 done" in out.getvalue(), "the new value is printed")
        status.value = 2
    assert not line.is_alive()


def test_a_log_has_whole_lines_from_the_start_to_the_final_value() -> None:
    out = io.StringIO()
    run_line(out)
    text = out.getvalue()
    assert "\r" not in text
    assert "\x1b" not in text
    assert text.endswith("\n")
    lines = text.splitlines()
    assert all(re.match(r"\[\d+:\d\d\] \d done  part 0 .*  part 8 of a line$", line) for line in lines)
    assert lines[0].startswith("[0:00] 0 done")
    assert "] 2 done" in lines[-1]


def test_a_log_of_a_short_run_has_its_start_and_its_end() -> None:
    out = io.StringIO()
    status = Count()
    with ProgressLine(status, out):
        wait_until(lambda: "0 done" in out.getvalue(), "the start is printed")
        status.value = 9
    assert [line[7:13] for line in out.getvalue().splitlines()] == ["0 done", "9 done"]


def test_a_terminal_has_one_line_that_is_gone_at_the_end() -> None:
    out = Terminal()
    run_line(out)
    text = out.getvalue()
    assert "\n" not in text
    assert text.endswith("\r\x1b[2K")
    shown = text.split("\r\x1b[2K")
    assert shown[0] == shown[-1] == ""
    assert shown[1].startswith("0 done")
    # A line that fills the width would wrap on some terminals, and could not be overwritten then.
    assert max(map(len, shown)) <= 79
    assert shown[1].endswith("part 3 of a line")


def test_a_line_has_the_parts_that_fit_and_something_of_the_first() -> None:
    parts = ["56 %", "0:08 left", "10,029 images"]
    assert fit_line(parts, 80) == "56 %  0:08 left  10,029 images"
    assert fit_line(parts, 29) == "56 %  0:08 left"
    assert fit_line(parts, 30) == "56 %  0:08 left  10,029 images"
    assert fit_line(parts, 3) == "56 "
    assert fit_line([], 80) == ""


def test_lines_about_the_work_and_about_the_run_go_to_their_streams() -> None:
    out, err = io.StringIO(), io.StringIO()
    progress = PrintedProgress(out, err)
    progress.plan("5 shards")
    progress.note("resumed")
    with progress.watch(Count()):
        pass
    assert out.getvalue() == "5 shards\n"
    assert err.getvalue().startswith("resumed\n[0:00] 0 done")


def test_no_progress_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress = NoProgress()
    progress.plan("5 shards")
    progress.note("resumed")
    with progress.watch(Count()):
        pass
    assert capfd.readouterr() == ("", "")


def test_the_log_of_a_short_conversion_has_its_start_and_its_end(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=20)
    done = small_release.run_command(release.flags(tmp_path / "out", workers=2))
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stderr.splitlines()
    assert "reading tables  0 rows" in first
    rejects = list(csv.reader((tmp_path / "out" / "rejects-train.csv").open(newline="")))[1:]
    assert len(rejects) == release.expected.rejects
    assert "  16/20 images  " in last
    assert f"  {release.expected.rejects} rejects  " in last
    assert last.endswith("  5/5 shards")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_is_found_and_left_clean(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=20)
    ours, theirs = os.openpty()
    pid = os.posix_spawn(
        small_release.command()[0],
        small_release.command(*release.flags(tmp_path / "out", workers=1)),
        small_release.environment() | {"PYTHONPATH": str(small_release.ROOT)},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs, 2),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(ours)
    assert re.match(rb"\r\x1b\[2K(0 %  reading|searching) tables", shown)
    assert shown.endswith(b"\r\x1b[2K")
    assert b"\n" not in shown
