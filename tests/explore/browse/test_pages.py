"""The pages in a browser."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.browse.search_rows import LABEL_KINDS
from oi_tfrecord.records.example_writer import bytes_feature
from tests.support.browse_page import Page
from tests.support.browse_server import CORNERS, IMAGES, MIDS, SCRIPT, image_id, is_group_of, serve
from tests.support.chromium import By, Keys, Select, WebDriverWait, errors_of, open_chromium
from tests.support.few_records import boxes, draw_jpeg, floats, image, make_example, write_shard
from tests.support.mask_release import png_of


def test_search_by_class(page: Page) -> None:
    page.press("/")
    page.press("do")
    page.wait(lambda: page.text("#suggestions li span") == "Dog")
    page.press(Keys.ARROW_DOWN, Keys.ENTER)
    dogs = [image_id(number) for number in range(IMAGES) if number % 4 > 0]
    page.wait(lambda: page.text("#count") == f"{len(dogs)} images")
    assert page.query() == {"class": "/m/dog"}
    assert page.tiles() == dogs[: len(page.tiles())]


@pytest.mark.parametrize(("typed", "wanted"), [("CAT", {"class": "/m/cat"}), ("/m/cat", {"class": "/m/cat"})])
def test_search_by_name_or_mid_without_choosing(page: Page, typed: str, wanted: dict[str, str]) -> None:
    page.press("/", typed, Keys.ENTER)
    page.wait(lambda: page.query() == wanted)
    page.wait(lambda: page.text("#count") == f"{sum(number % 4 > 1 for number in range(IMAGES))} images")


def test_search_by_image_id(page: Page) -> None:
    page.press("/", "002", Keys.ENTER)
    page.wait(lambda: page.text("#count") == "16 images")
    assert page.query() == {"id": "002"}
    page.press("/", "none", Keys.ENTER)
    page.wait(lambda: page.text("#count") == "no class or ImageID is called none")


def test_filters(page: Page) -> None:
    page.one("#filters summary").click()

    def expect(condition: Callable[[int], bool]) -> None:
        found = [image_id(number) for number in range(IMAGES) if condition(number)]
        page.wait(lambda: page.text("#count") == f"{len(found)} images")
        page.wait(lambda: page.tiles() == found[: len(page.tiles())] and page.tiles())

    Select(page.one("[name=group_of]")).select_by_value("yes")
    expect(is_group_of)
    Select(page.one("[name=source]")).select_by_value("freeform")
    expect(lambda number: is_group_of(number) and number % 3 == 0)
    Select(page.one("[name=group_of]")).select_by_value("")
    page.one("[name=min_boxes]").send_keys("2", Keys.TAB)
    expect(lambda number: number % 3 == 0 and number % 4 >= 2)
    assert page.query() == {"source": "freeform", "min_boxes": "2"}
    assert page.text("#filters summary") == "Filters (2)"
    page.browser.back()
    expect(lambda number: number % 3 == 0 and number % 4 > 0)
    page.one("#clear").click()
    expect(lambda number: True)
    assert page.query() == {}


def test_open_next_and_close(page: Page) -> None:
    page.one(f'.tile[title="{image_id(3)}"]').click()
    page.wait(lambda: page.shown() == image_id(3))
    assert page.query() == {"image": f"train/{image_id(3)}"}
    page.press(Keys.ARROW_RIGHT)
    page.wait(lambda: page.shown() == image_id(4))
    page.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    page.wait(lambda: page.shown() == image_id(2))
    assert page.text("#place") == f"3 of {IMAGES}"
    # Keys that come before the image is there are not lost.
    page.browser.execute_script(
        "for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowLeft'])"
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))"
    )
    page.wait(lambda: page.shown() == image_id(5))
    page.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    page.wait(lambda: page.shown() == image_id(2))
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.one("#viewer").is_displayed())
    assert page.query() == {}
    # From there, the arrows go through the grid, and Enter opens.
    page.press(Keys.ARROW_RIGHT, Keys.ENTER)
    page.wait(lambda: page.shown() == image_id(3))
    page.browser.back()
    page.wait(lambda: not page.one("#viewer").is_displayed())


def test_boxes_are_drawn_where_they_are(page: Page) -> None:
    page.browser.get(page.browser.current_url + f"?image=train/{image_id(3)}")
    # All at once, as the boxes are drawn again when the picture is there.
    read = """
        const picture = document.getElementById('picture');
        const inside = picture.getBoundingClientRect();
        if (!picture.complete || !picture.naturalWidth) return [];
        return [0, 1, 2].map((place) => {
          const rect = document.querySelector(`#overlay [data-place="${place}"] rect.box`);
          const box = rect.getBoundingClientRect();
          return [(box.x - inside.x) / inside.width, (box.y - inside.y) / inside.height,
            box.width / inside.width, box.height / inside.height, rect.getAttribute('stroke')];
        });
    """
    drawn = page.wait(lambda: page.browser.execute_script(read))
    expected = [[xmin, ymin, xmax - xmin, ymax - ymin] for ymin, xmin, ymax, xmax in CORNERS]
    assert np.array([box[:4] for box in drawn]) == pytest.approx(np.array(expected), abs=0.01)
    assert len({box[4] for box in drawn}) == len(MIDS)
    page.press("b")
    assert page.browser.find_elements(By.CSS_SELECTOR, "#overlay rect.box") == []


def test_masks_are_drawn_over_the_image(tmp_path: pathlib.Path) -> None:
    masks = bytes_feature((png_of(np.eye(64, dtype=bool)), png_of(np.eye(64, dtype=bool))))
    features = image(64, 64, encoded=draw_jpeg(64, 64), image_id=image_id(1)) | boxes(*CORNERS[:2], mids=MIDS[:2])
    example = make_example(**features, object__mask=masks, object__mask__weight=floats(1, 0))
    write_shard(tmp_path / "train-00000-of-00001", [example])
    index = open_index(str(tmp_path), "", 1, NoProgress())
    with serve(BrowsedDataset(str(tmp_path), index)) as base, open_chromium() as browser:
        browser.get(f"{base}/?image=train/{image_id(1)}")
        count = "return document.querySelectorAll('#overlay rect.mask').length"
        WebDriverWait(browser, 20).until(lambda _: browser.execute_script(count) == 1)
        assert errors_of(browser) == []


def test_facts_of_an_image_and_programs_in_its_texts(page: Page) -> None:
    page.browser.get(page.browser.current_url + f"?image=train/{image_id(15)}")
    page.wait(lambda: page.shown() == image_id(15))
    facts = page.text("#facts")
    assert SCRIPT in facts
    assert f"Author {SCRIPT}" in facts
    assert "✓ Dog verification" in facts
    assert "✗ Cat crowdsource-verification" in facts
    assert "80 × 60 px · x 0.500–1.000, y 0.250–0.750 group of freeform" in facts
    links = [link.get_attribute("href") for link in page.browser.find_elements(By.CSS_SELECTOR, "#facts dl a")]
    assert links == [
        "https://example.org/people/?a=1&b=%3Cb%3E", "https://creativecommons.org/licenses/by/2.0/"
    ]  # fmt: skip
    page.one("#facts summary").click()
    assert ["image/object/group_of", "int64", "3", "1,", "1,", "1"] in [
        line.split() for line in page.text("#facts pre").splitlines()
    ]
    assert page.browser.title == f"{image_id(15)} · oi-tfrecord browse"
    assert page.browser.find_elements(By.CSS_SELECTOR, "#facts script, #facts img") == []


def test_a_deep_link_shows_the_same(page: Page) -> None:
    link = f"{page.browser.current_url}?class=%2Fm%2Fcat&group_of=yes&image=train%2F{image_id(10)}"
    page.browser.get(link)
    page.wait(lambda: page.shown() == image_id(10))
    found = [number for number in range(IMAGES) if number % 4 > 1 and number % 5 == 0]
    assert page.text("#place") == f"{found.index(10) + 1} of {len(found)}"
    page.press(Keys.ARROW_RIGHT)
    page.wait(lambda: page.shown() == image_id(found[found.index(10) + 1]))
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.text("#count") == f"{len(found)} images")
    assert page.query() == {"class": "/m/cat", "group_of": "yes"}
    assert page.one("#search").get_attribute("value") == "Cat"


def test_a_missing_image_is_an_error_on_the_page(page: Page) -> None:
    page.browser.get(page.browser.current_url + "?image=train/none")
    page.wait(lambda: page.text("#count") == "there is no such image")
    assert not page.one("#viewer").is_displayed()
    # The console shows the answer 404, which is expected.
    assert [error for error in errors_of(page.browser) if " 404 " not in error] == []


def test_a_bad_address_is_an_error_on_the_page(page: Page) -> None:
    page.browser.get(page.browser.current_url + "?kind=%3C/script%3E")
    page.wait(
        lambda: page.text("#count") == "kind: '</script>' is none of auto, boxes, positive, machine, negative, masks"
    )
    assert [error for error in errors_of(page.browser) if " 400 " not in error] == []


def test_a_narrow_window(base: str) -> None:
    with open_chromium(width=400, height=700, dark=True) as browser:
        page = Page(browser)
        for query in ("", f"?image=train/{image_id(7)}"):
            browser.get(f"{base}/{query}")
            page.wait(lambda: page.tiles())
            page.wait(lambda query=query: not query or page.shown())
            assert browser.execute_script("return document.documentElement.scrollWidth") == 400
        assert browser.execute_script("return document.getElementById('facts').getBoundingClientRect().right") <= 400
        assert page.one("#close").rect["x"] + page.one("#close").rect["width"] <= 400


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(base: str, dark: bool) -> None:
    """The contrast of each text to what is behind the text is at least 4.5 (WCAG 2.2)."""
    with open_chromium(width=1400, height=900, dark=dark) as browser:
        page = Page(browser)
        for query in (
            "?class=dog,cat&tiles=boxes",
            "?class=none&min_boxes=9",
            f"?image=train/{image_id(7)}",
            "?rejects=all",
        ):
            browser.get(f"{base}/{query}")
            page.wait(lambda: page.text("#count") and page.text("#class-rows"))
            page.wait(lambda query=query: "image=" not in query or page.shown())
            assert browser.execute_script(LOW_CONTRAST) == []


LOW_CONTRAST = """
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = (colour) => colour.slice(0, 3).map((value) => value / 255)
    .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4))
    .reduce((sum, share, place) => sum + share * [0.2126, 0.7152, 0.0722][place], 0.05);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.body.querySelectorAll('*')) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()).length;
    const style = getComputedStyle(element);
    if ((!text && !element.placeholder) || !element.getClientRects().length || style.opacity === '0') continue;
    const inks = [style.color, ...(element.placeholder ? [getComputedStyle(element, '::placeholder').color] : [])];
    for (const ink of inks) {
      const [one, other] = [light(parse(ink)), light(behind(element))].sort((a, b) => a - b);
      if (other / one < 4.5 && !element.disabled) low.push([element.outerHTML.slice(0, 80), other / one]);
    }
  }
  return low;
"""


def make_large(index: BrowseIndex, records: int) -> BrowseIndex:
    """Returns an index of many records, all of them the same one."""
    ids = np.char.mod(b"%016x", np.arange(records)).astype("S16")
    none = {f"{kind}_record": np.zeros(0, np.uint32) for kind in ("box", *LABEL_KINDS)}
    starts = {f"{kind}_start": np.zeros(len(index.classes) + 1, np.int64) for kind in ("box", *LABEL_KINDS)}
    repeated = {name: np.repeat(index.arrays[name][:1], records, 0) for name in ("offset", "length", "width", "height")}
    arrays = {
        **none,
        **starts,
        **repeated,
        "image_id": ids,
        "id_order": np.arange(records, dtype=np.uint32),
        "boxes": np.zeros(records, np.uint32),
        "masks": np.zeros(len(index.classes), np.uint32),
        "box_source": np.zeros(0, np.uint16),
        "box_flags": np.zeros(0, np.uint16),
        "attribution": np.full((records, 2), -1),
    }
    bounds = np.array([0, records])
    return BrowseIndex(index.splits, bounds, index.shards[:1], bounds, index.classes, index.sources, arrays)


def test_a_million_images_are_scrolled_through(folder: pathlib.Path) -> None:
    records = 1_000_000
    index = make_large(open_index(str(folder), "", 1, NoProgress()), records)
    with serve(BrowsedDataset(str(folder), index)) as base, open_chromium(width=400, height=700) as browser:
        page = Page(browser)
        browser.get(base + "/")
        page.wait(lambda: page.text("#count") == "1,000,000 images" and page.tiles())
        # In steps, as a wheel makes them, no image is left out.
        seen = {int(tile, 16) for tile in page.tiles()}
        for _ in range(40):
            browser.execute_script("document.getElementById('grid').scrollBy(0, 150)")
            page.wait(
                lambda: len(page.tiles()) == browser.execute_script("return document.querySelectorAll('.tile').length")
            )
            seen |= {int(tile, 16) for tile in page.tiles()}
        assert max(seen) > 60
        assert seen == set(range(max(seen) + 1))
        # In a jump, to the middle of all.
        browser.execute_script("const g = document.getElementById('grid'); g.scrollTop = g.scrollHeight / 2")
        middle = page.wait(lambda: [tile for tile in page.tiles() if abs(int(tile, 16) - records / 2) < records / 100])
        assert middle
        page.press(Keys.END)
        page.wait(lambda: page.tiles()[-1:] == [f"{records - 1:016x}"])
        page.press(Keys.ENTER)
        page.wait(lambda: page.shown() == f"{records - 1:016x}")
        page.press(Keys.ARROW_LEFT)
        page.wait(lambda: page.shown() == f"{records - 2:016x}")
        page.press(Keys.ESCAPE, Keys.HOME)
        page.wait(lambda: page.tiles()[:1] == [f"{0:016x}"])
        # What was scrolled past is gone from the document.
        assert browser.execute_script("return document.querySelectorAll('.tile').length") < 60
        assert errors_of(browser) == []
