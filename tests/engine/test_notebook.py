import io
import sys
import types

import pytest

from oi_tfrecord.engine import notebook
from oi_tfrecord.engine.notebook import format_bar, is_notebook
from oi_tfrecord.engine.progress_line import PrintedProgress, ProgressLine


class Halfway:
    seconds = 0.0

    def parts(self) -> list[str]:
        return ["56 %", "0:08 left", "<1 image>"]


class FakeNotebook:
    """Stands for IPython in a notebook: keeps what a cell's output shows."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.shell = types.SimpleNamespace(kernel=object())

    def get_ipython(self) -> object:
        return self.shell

    def display(self, text: str, display_id: bool) -> "FakeNotebook":
        self.shown.append(text)
        return self

    def update(self, text: str) -> None:
        self.shown.append(text)


@pytest.fixture
def ipython(monkeypatch: pytest.MonkeyPatch) -> FakeNotebook:
    fake = FakeNotebook()
    monkeypatch.setitem(sys.modules, "IPython", fake)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(HTML=str, display=fake.display))  # type: ignore[arg-type]
    return fake


def test_a_bar_has_the_length_of_the_percentage_and_no_markup_of_the_status() -> None:
    assert format_bar(["56 %", "<b>"]) == '<progress max="100" value="56"></progress> <span>56 %  &lt;b&gt;</span>'
    assert format_bar(["listing archives"]) == "<span>listing archives</span>"


def test_a_notebook_shows_a_bar_whose_last_status_stays(ipython: FakeNotebook) -> None:
    with PrintedProgress().watch(Halfway()):
        pass
    assert ipython.shown[0] == ""
    assert ipython.shown[-1] == format_bar(Halfway().parts())


def test_a_stream_that_is_given_gets_lines_in_a_notebook_too(ipython: FakeNotebook) -> None:
    assert isinstance(PrintedProgress(err=io.StringIO()).watch(Halfway()), ProgressLine)


def test_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch, ipython: FakeNotebook) -> None:
    assert is_notebook()
    ipython.shell = types.SimpleNamespace()
    assert not is_notebook()
    assert isinstance(PrintedProgress().watch(Halfway()), ProgressLine)
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.is_notebook()
