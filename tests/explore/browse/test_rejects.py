"""The page of rejects."""

import pathlib

import pytest

from oi_tfrecord.dataset.rejects_csv import format_header
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.browse.rejects import read_rejects
from tests.support.browse_server import get_json, image_id, make_record, serve
from tests.support.few_records import write_shard


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Records of two images; a box of the first is rejected, and a whole image without a record."""
    folder = tmp_path_factory.mktemp("rejected")
    write_shard(folder / "train.tfrecord-00000-of-00001", [make_record(1), make_record(2)])
    lines = (
        f"boxes,boxes.csv,17,{image_id(1)},malformed_row,<b>\n",
        f"images,missing.jpg,,{'f' * 16},image_missing,\n",
        f"boxes,boxes.csv,18,{image_id(1)},malformed_row,\n",
    )
    (folder / "rejects-train.csv").write_text(format_header() + "".join(lines))
    return folder


def test_rejects_come_in_pages_and_by_reason(rejected: pathlib.Path) -> None:
    page = read_rejects(str(rejected), ["train", "none"], "", 1, 1)
    assert (page.total, page.reasons) == (3, {"malformed_row": 2, "image_missing": 1})
    assert [row.fields["ImageID"] for row in page.rows] == ["f" * 16]
    chosen = read_rejects(str(rejected), ["train"], "malformed_row", 0, 9)
    assert (chosen.total, [row.fields["Line"] for row in chosen.rows]) == (2, ["17", "18"])


def test_a_person_sees_reason_row_and_picture(rejected: pathlib.Path) -> None:
    from tests.support.browse_page import Page
    from tests.support.chromium import By, Keys, Select, errors_of, open_chromium

    dataset = BrowsedDataset(str(rejected), open_index(str(rejected), "", 1, NoProgress()))
    with serve(dataset) as base, open_chromium(1000, 800) as browser:
        assert get_json(base, "/api/rejects", start=0, count=1)["rejects"][0]["record"] == 0
        page = Page(browser)
        browser.get(base + "/")
        page.wait(lambda: page.tiles())
        page.one("#open-rejects").click()
        page.wait(lambda: page.text("#reject-count") == "3 rejects")
        rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#reject-rows tr")]
        assert "malformed_row <b>" in rows[0]
        assert "boxes.csv, line 17" in rows[0]
        assert len(browser.find_elements(By.CSS_SELECTOR, "#reject-rows img")) == 2
        Select(page.one("#reject-reason")).select_by_value("malformed_row")
        page.wait(lambda: page.text("#reject-count") == "2 rejects")
        assert "The line is no CSV row" in page.text("#reject-meaning")
        page.one("#reject-rows a").click()
        page.wait(lambda: page.shown() == image_id(1))
        page.press(Keys.ESCAPE)
        page.wait(lambda: page.query() == {"rejects": "malformed_row"})
        page.press(Keys.ESCAPE)
        page.wait(lambda: page.query() == {})
        assert not page.one("#rejects").is_displayed()
        assert errors_of(browser) == []
