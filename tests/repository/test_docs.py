"""The site of docs/ builds without a broken link, and the README is short and fit for a package index."""

import pathlib
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.docs_blocks import ROOT
from tests.support.optional import require

README = (ROOT / "README.md").read_text("utf-8")


def test_the_site_builds_strictly(tmp_path: pathlib.Path) -> None:
    require("mkdocs")
    require("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "reference" / "python.html").read_text("utf-8")
    assert "RecordDataset" in page
    for path in (tmp_path / "site").rglob("*.html"):
        assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=\"https?:", path.read_text("utf-8")), path
        assert "<!-- table:" not in path.read_text("utf-8"), path


def test_a_broken_link_fails_the_build(tmp_path: pathlib.Path) -> None:
    require("mkdocs")
    require("mkdocstrings")
    for name in ("docs", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "oi_tfrecord").symlink_to(ROOT / "oi_tfrecord")
    page = tmp_path / "docs" / "get-started.md"
    page.write_text(page.read_text("utf-8") + "\n[nowhere](guides/sql.md#no-such-heading)\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no-such-heading" in done.stderr


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_links_of_the_readme_lead_to_files() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert len(targets) > 20
    missing = [target for target in targets if not (ROOT / target.partition("#")[0]).is_file()]
    assert not missing
    assert all(path.stat().st_size < 200_000 for path in (ROOT / "docs" / "assets").iterdir())


@pytest.fixture
def describe(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """The function of setup.py that makes the long description."""
    monkeypatch.setattr("setuptools.setup", lambda **_: None)
    found: dict[str, Any] = runpy.run_path(str(ROOT / "setup.py"))
    return found["describe"]


def test_a_package_index_gets_absolute_links(describe: Callable[[str, str], str]) -> None:
    text = describe(README, "https://example.com/oi_tfrecord")
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]+)\)", text))
    assert "(https://example.com/oi_tfrecord/raw/main/docs/assets/browse.jpg)" in text
    assert "[SQL](https://example.com/oi_tfrecord/blob/main/docs/guides/sql.md)" in text


def test_without_an_address_a_package_index_gets_no_dead_links(describe: Callable[[str, str], str]) -> None:
    text = describe(README, "")
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]+)\)", text))
    assert "browse.jpg" not in text
    assert "| query annotations in DuckDB or PostgreSQL | SQL |" in text
