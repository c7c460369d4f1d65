"""A plugin of pytest: where every test must run (OI_TFRECORD_CI=1, which .ci/run sets), a skipped one fails."""

import os
from collections.abc import Generator

import pytest

EVERYTHING = os.environ.get("OI_TFRECORD_CI") == "1"


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if EVERYTHING and report.skipped:
        # With its place, as xdist reports collectors that failed with the same words once.
        reason = "{}, line {}: {}".format(*report.longrepr) if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nEvery test must run where OI_TFRECORD_CI=1: install what this one needs."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
