"""Where every test must run, a skipped one fails with what it needs; elsewhere it is skipped."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

SKIPS = {
    "test": "def test_it():\n    pytest.skip('needs a thing')",
    "mark": "@pytest.mark.skipif(True, reason='needs a thing')\ndef test_it():\n    pass",
    "fixture": "@pytest.fixture\ndef thing():\n    pytest.skip('needs a thing')\ndef test_it(thing):\n    pass",
    "module": "pytest.skip('needs a thing', allow_module_level=True)",
    "import": "pytest.importorskip('no_such_module_at_all', reason='needs a thing')",
}


@pytest.mark.parametrize(
    ("everything", "code"), [("1", pytest.ExitCode.TESTS_FAILED), ("", pytest.ExitCode.OK)], ids=["CI", "elsewhere"]
)
def test_a_skip_fails_where_every_test_must_run(everything: str, code: int, tmp_path: pathlib.Path) -> None:
    for name, text in SKIPS.items():
        (tmp_path / f"test_{name}.py").write_text(f"import pytest\n{text}\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.no_skips",
        "--continue-on-collection-errors",
        "-rsfE",
    ]
    done = subprocess.run(
        [*command, "-n", "1", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OI_TFRECORD_CI": everything},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout
    printed = done.stdout.splitlines()[-1]
    assert done.stdout.count("needs a thing") >= len(SKIPS)
    if everything:
        assert "skipped" not in printed
        # Before the test itself a failure is an error.
        assert "1 failed, 4 errors" in printed
    else:
        assert f"{len(SKIPS)} skipped" in printed
