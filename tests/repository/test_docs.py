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

import oi_tfrecord
from oi_tfrecord.cli.commands import COMMANDS, load_command
from oi_tfrecord.cli.help import describe_flags
from tests.support.docs_blocks import ROOT, blocks, pages
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


def test_python_lines_of_the_readme_pass_mypy(tmp_path: pathlib.Path) -> None:
    require("mypy")
    [code] = [block.text for block in blocks(ROOT / "README.md") if block.language == "python"]
    file = tmp_path / "readme.py"
    file.write_text(f"{code}\nreveal_type(records)\n")
    # The package is checked by its own settings, so only the lines of the README count here.
    flags = ["--strict", "--follow-imports=silent", "--config-file", ROOT / "pyproject.toml"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "--cache-dir", tmp_path / "cache", file],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "oi_tfrecord.dataset.record_dataset.RecordDataset" in done.stdout


def test_the_python_page_has_all_public_names() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    found = re.findall(r"^::: oi_tfrecord\.(\w+)$", page, re.MULTILINE)
    assert sorted(found) == sorted(set(oi_tfrecord.__all__) - {"__version__"})


def test_files_that_pages_name_are_there() -> None:
    places = r"(?:oi_tfrecord|tests|configs|templates|examples|docs)"
    found = {path for page in pages() for path in re.findall(rf"`({places}/[\w./-]+\.\w+)`", page.read_text("utf-8"))}
    assert len(found) > 5
    assert [path for path in sorted(found) if not (ROOT / path).is_file()] == []


def test_the_walks_name_files_of_the_package() -> None:
    """A name without a folder lies in the folder of the name before it."""
    page = (ROOT / "docs" / "background" / "how-it-works.md").read_text("utf-8")
    found = []
    for row in page.splitlines():
        folder = ROOT / "oi_tfrecord"
        for name in re.findall(r"`([\w/]+\.py)`", row) if row.startswith("| ") else ():
            found.append(ROOT / "oi_tfrecord" / name if "/" in name else folder / name)
            folder = found[-1].parent
    assert len(found) > 25
    assert [path for path in found if not path.is_file()] == []


BEAM_FLAGS = {
    "azure_connection_string", "blob_service_endpoint", "environment_cache_millis", "flink_master", "hdfs_host",
    "job_endpoint", "labels", "machine_type", "no_auth", "number_of_execution_retries", "object_reuse", "project",
    "requester_pays", "runner", "s3_access_key_id", "s3_endpoint_url", "s3_region_name", "s3_secret_access_key",
    "s3_session_token", "sdk_container_image", "setup_file", "use_public_ips",
}  # fmt: skip
"""Flags of Beam that pages name."""

THIRD_PARTY_FLAGS = {
    "additional-pipeline-options",
    "max-workers",
    "parameters",
    "worker-machine-type",
    "add-opens",
    "build-arg",
    "checksum-algorithm",
    "hex",
    "parallelism",
}
"""Flags of gcloud, gsutil, aws, Java, Docker and Flink's job server that pages name."""


def test_flags_that_pages_name_are_there() -> None:
    declared = {
        name.removeprefix("[no]")
        for command in COMMANDS
        for flag in describe_flags(load_command(command))
        for name in re.findall(r"^--([^=]+)", flag.usage)
    }
    named: dict[str, str] = {}
    for page in pages():
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`([^`\n]+)`", text):
            if "tests.benchmarks" not in code:
                named |= dict.fromkeys(re.findall(r"(?:^| )--([\w-]+)", code), str(page))
    assert {"prices", "select"} <= set(named)
    unknown = set(named) - declared - BEAM_FLAGS - THIRD_PARTY_FLAGS - {"help", "version"}
    assert {name: named[name] for name in unknown} == {}
