"""Shows how far a run is in a notebook: a bar that is updated in the output of its cell."""

import html
import re
import sys
import threading
from typing import Any

from oi_tfrecord.engine.progress_line import Status

BAR_SECONDS = 0.5
"""Time between two updates of the bar."""

_PERCENT = re.compile(r"(?P<percent>\d+(?:\.\d+)?) ?%")


def is_notebook() -> bool:
    """Returns whether IPython runs this program for a notebook, and not for a terminal; imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def format_bar(parts: list[str]) -> str:
    """Returns HTML of a bar, and the parts of a status beside the bar.

    Args:
        parts: texts; the first percentage in the first text is the length of the bar.
    """
    found = _PERCENT.search(parts[0]) if parts else None
    bar = f'<progress max="100" value="{found["percent"]}"></progress> ' if found else ""
    return f"{bar}<span>{html.escape('  '.join(parts))}</span>"


class NotebookBar(threading.Thread):
    """Shows a status in a notebook until it is stopped; the last status stays."""

    def __init__(self, status: Status):
        """Shows nothing before `start`.

        Args:
            status: describes the run.
        """
        super().__init__(daemon=True)
        from IPython.display import HTML, display

        self._html: Any = HTML
        self._status = status
        self._stop_event = threading.Event()
        # The output belongs to the cell that runs now; a thread of its own would have none.
        self._handle: Any = display(HTML(""), display_id=True)

    def __enter__(self) -> "NotebookBar":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_event.set()
        self.join()
        self._show()

    def run(self) -> None:
        """Shows the status until the block ends."""
        self._show()
        while not self._stop_event.wait(max(BAR_SECONDS, self._status.seconds)):
            self._show()

    def _show(self) -> None:
        if parts := list(self._status.parts()):
            self._handle.update(self._html(format_bar(parts)))
