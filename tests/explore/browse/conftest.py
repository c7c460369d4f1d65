"""The server of a few records, and a page of it in Chromium; only the tests of pages need Chromium."""

import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_pbtxt
from tests.conftest import REPOSITORY
from tests.support.browse_server import IMAGES, ITEMS, make_record
from tests.support.few_records import write_shard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("browse") / "records"
    for shard in range(2):
        numbers = range(shard * IMAGES // 2, (shard + 1) * IMAGES // 2)
        write_shard(folder / f"train.tfrecord-0000{shard}-of-00002", [make_record(number) for number in numbers])
    (folder / "label_map.pbtxt").write_text(format_pbtxt(LabelMap(ITEMS)))
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def base(folder: pathlib.Path) -> Iterator[str]:
    """The address of the command's server."""
    command = [sys.executable, "-m", "oi_tfrecord", "browse", str(folder), "--port=0", "--workers=1"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        address = next(line.split()[1] for line in lines if line.startswith("browse"))
        yield address.rstrip("/")
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from tests.support.chromium import open_chromium

    with open_chromium(width=1000, height=800) as browser:
        yield browser


@pytest.fixture
def page(browser: Any, base: str) -> Iterator[Any]:
    """The first page; afterwards nothing may have been asked of others, and no error may be on the console."""
    from tests.support.browse_page import Page
    from tests.support.chromium import errors_of, requests_of

    requests_of(browser)
    browser.get(base + "/")
    page = Page(browser)
    page.wait(lambda: page.text("#count") == f"{IMAGES} images" and page.tiles())
    yield page
    assert errors_of(browser) == []
    assert [url for url in requests_of(browser) if not url.startswith(base + "/")] == []
