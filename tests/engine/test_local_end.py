import os
import pathlib
import signal
import subprocess
import sys

import pytest

from oi_tfrecord.engine.local_end import INTERRUPTED, ended_by_interrupt, temporary_folder


def test_interrupts_are_as_before_when_the_block_ends() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ended_by_interrupt():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_command_in_the_background_still_ignores_interrupts() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ended_by_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_temporary_folder_is_gone_at_the_end(tmp_path: pathlib.Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "a").touch()
    with pytest.raises(LookupError), temporary_folder(str(given)):
        raise LookupError
    assert not given.exists()
    with temporary_folder() as made:
        assert pathlib.Path(made).is_dir()
    assert not pathlib.Path(made).exists()


def test_an_interrupt_leaves_no_temporary_folder(tmp_path: pathlib.Path) -> None:
    program = (
        "import os, signal; from oi_tfrecord.engine.local_end import ended_by_interrupt, temporary_folder\n"
        f"os.mkdir({str(tmp_path / 'a')!r})\n"
        f"with temporary_folder({str(tmp_path / 'a')!r}), ended_by_interrupt(): os.kill(os.getpid(), signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == INTERRUPTED, done.stderr
    assert not list(tmp_path.iterdir())
