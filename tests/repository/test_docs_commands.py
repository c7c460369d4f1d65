"""The commands of README and docs, run as they stand in the page; a block that cannot be run here says why."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.support.docs_blocks import ROOT, Block, blocks, pages

GET_STARTED = ROOT / "docs" / "get-started.md"

RUN = {
    page: [block for block in blocks(page) if block.language in ("sh", "python") and not block.not_run]
    for page in pages()
}

# The other pages continue in the folder that this one leaves.
OTHERS = [page for page, found in RUN.items() if found and page not in (ROOT / "README.md", GET_STARTED)]


def run_block(block: Block, folder: pathlib.Path) -> None:
    """Runs a block in a folder, with the command `oi-tfrecord` of this tree."""
    commands = folder.parent / "bin"
    commands.mkdir(exist_ok=True)
    for name, code in {"oi-tfrecord": " -m oi_tfrecord", "python": ""}.items():
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{code} "$@"\n')
        (commands / name).chmod(0o755)
    program = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
    done = subprocess.run(
        [*program, block.text], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder in which the commands of the page to get started ran. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("started") / "work"
    folder.mkdir()
    for block in RUN[GET_STARTED]:
        run_block(block, folder)
    return folder


def test_get_started(started: pathlib.Path) -> None:
    names = {path.name for path in (started / "sample" / "records").iterdir()}
    assert {"manifest.json", "label_map.pbtxt", "report.html", "rejects-train.csv"} <= names
    assert (started / "record.png").is_file()


def test_every_entry_of_a_manifest_is_explained(started: pathlib.Path) -> None:
    manifest = json.loads((started / "sample" / "records" / "manifest.json").read_text("utf-8"))
    page = (ROOT / "docs" / "reference" / "manifest.md").read_text("utf-8")
    assert [entry for entry in manifest["splits"]["train"] if f"| `{entry}` |" not in page] == []


def test_readme(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    assert len(RUN[ROOT / "README.md"]) >= 2
    for block in RUN[ROOT / "README.md"]:
        run_block(block, folder)
    listed = {line.split("`")[1] for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line[:3] == "| `"}
    assert {"report.html", "train.tfrecord-00000-of-00004"} <= listed
    assert [name for name in listed if not (folder / "sample" / "records" / name).exists()] == []


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_page(page: pathlib.Path, started: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(started, folder)
    for block in RUN[page]:
        run_block(block, folder)


def test_most_guides_have_commands_that_are_run() -> None:
    assert len(OTHERS) >= 8


def test_reasons_not_to_run_are_of_this_kind() -> None:
    found = {block.not_run for page in pages() for block in blocks(page)} - {""}
    assert all(reason.startswith(("needs ", "serves ")) for reason in found), found
