"""A plugin of pytest: the end of a run lists what was skipped, and how to have it run."""

from collections import Counter
from typing import Any

import pytest


def reasons(reports: list[Any]) -> Counter[str]:
    """Counts skipped tests and modules by their reason.

    Args:
        reports: reports of pytest whose outcome is `skipped`.
    """
    texts = (report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in reports)
    return Counter(text.removeprefix("Skipped: ") for text in texts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints a line per reason, the most frequent first."""
    counted = reasons(terminalreporter.stats.get("skipped", []))
    if not counted:
        return
    terminalreporter.section("skipped tests and modules, with the command that has them run", bold=False)
    for reason, count in counted.most_common():
        terminalreporter.line(f"{count:6,}  {reason}")
    terminalreporter.line("        everything: make everything test")
