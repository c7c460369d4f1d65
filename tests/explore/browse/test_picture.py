"""The page of an image: zooming, panning, and pointing at boxes, by what a person does."""

import io
import pathlib
import re
from typing import Any

import pytest
from PIL import Image

from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.browse.query import Query
from oi_tfrecord.explore.show import ShowOptions, show
from tests.support.browse_page import Page
from tests.support.browse_server import CORNERS, image_id
from tests.support.chromium import ActionChains, Keys


@pytest.fixture
def picture(page: Page) -> Page:
    """The page of an image of 160 x 120 pixels with three boxes."""
    page.browser.get(page.browser.current_url + f"?image=train/{image_id(7)}")
    page.wait(lambda: page.shown() == image_id(7))
    page.wait(lambda: page.browser.execute_script("return document.getElementById('picture').naturalWidth"))
    return page


def place_of(page: Page, selector: str = "#picture") -> dict[str, Any]:
    """Left, top, width and height of an element on the screen."""
    script = """
        const at = document.querySelector(arguments[0]).getBoundingClientRect();
        return [at.x, at.y, at.width, at.height];
    """
    return dict(zip(("x", "y", "width", "height"), page.browser.execute_script(script, selector), strict=True))


def centre_of(box: int, picture: dict[str, Any]) -> tuple[float, float]:
    ymin, xmin, ymax, xmax = CORNERS[box]
    return picture["x"] + (xmin + xmax) / 2 * picture["width"], picture["y"] + (ymin + ymax) / 2 * picture["height"]


def test_the_picture_fills_its_pane(picture: Page) -> None:
    pane, shown = place_of(picture, "#pane"), place_of(picture)
    assert shown["width"] / shown["height"] == pytest.approx(160 / 120, abs=0.01)
    assert max(shown["width"] / pane["width"], shown["height"] / pane["height"]) == pytest.approx(1, abs=0.01)


def test_wheel_and_keys_zoom_and_pan(picture: Page) -> None:
    before = place_of(picture)
    pane = picture.one("#pane")
    picture.press("+")
    assert place_of(picture)["width"] == pytest.approx(1.25 * before["width"])
    picture.press("0")
    assert place_of(picture) == pytest.approx(before)
    picture.press("1")
    assert (place_of(picture)["width"], picture.text("#zoom-size")) == (160, "100 %")
    picture.press("-")
    assert place_of(picture)["width"] == pytest.approx(128)
    picture.press("0")
    picture.browser.execute_script(
        "const at = arguments[0].getBoundingClientRect(); arguments[0].dispatchEvent(new WheelEvent('wheel', "
        "{deltaY: -200, clientX: at.x + 10, clientY: at.y + 20, cancelable: true}))", pane
    )  # fmt: skip
    zoomed = place_of(picture)
    assert zoomed["width"] > 1.3 * before["width"]
    # The pixel under the pointer stays there.
    at = place_of(picture, "#pane")
    ratio = zoomed["width"] / before["width"]
    assert zoomed["x"] - at["x"] - 10 == pytest.approx(ratio * (before["x"] - at["x"] - 10), abs=1)
    ActionChains(picture.browser).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP).perform()
    ActionChains(picture.browser).key_up(Keys.SHIFT).perform()
    assert place_of(picture)["x"] == pytest.approx(zoomed["x"] + 80, abs=1)
    assert picture.shown() == image_id(7)
    panned = place_of(picture)
    ActionChains(picture.browser).drag_and_drop_by_offset(pane, -30, 20).perform()
    assert place_of(picture)["x"] == pytest.approx(panned["x"] - 30, abs=1)
    assert place_of(picture)["y"] == pytest.approx(panned["y"] + 20, abs=1)


def test_pointing_answers_both_ways(picture: Page) -> None:
    active = "return [...document.querySelectorAll(arguments[0])].map((one) => Number(one.dataset.place))"
    x, y = centre_of(1, place_of(picture))
    chain = ActionChains(picture.browser)
    chain.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    chain.perform()
    picture.wait(lambda: picture.browser.execute_script(active, "#facts li.active") == [1])
    assert picture.browser.execute_script(active, "#overlay g.active") == [1]
    # The third box covers the whole image, so the smaller one was meant.
    ActionChains(picture.browser).move_to_element(picture.one("#facts li[data-place='2']")).perform()
    picture.wait(lambda: picture.browser.execute_script(active, "#overlay g.active") == [2])


def test_classes_are_hidden_and_shown(picture: Page) -> None:
    picture.one("#facts input[aria-label='Show Dog']").click()
    count = "return document.querySelectorAll('#overlay rect.box').length"
    assert picture.browser.execute_script(count) == 2
    # The class stays hidden on the next image.
    picture.press(Keys.ARROW_LEFT)
    picture.wait(lambda: picture.shown() == image_id(6))
    picture.wait(lambda: picture.browser.execute_script(count) == 1)
    picture.one("#facts input[aria-label='Show Dog']").click()
    assert picture.browser.execute_script(count) == 2


def test_badges_are_filled_and_can_be_read(picture: Page) -> None:
    script = """return [...document.querySelectorAll('.badge')].map((one) => {
        const style = getComputedStyle(one); return [style.backgroundColor, style.color]; })"""
    pairs = picture.browser.execute_script(script)
    assert len({background for background, _ in pairs}) == 3
    for background, ink in pairs:
        assert contrast(*(tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (background, ink))) >= 4.5


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Returns the contrast of two colours by WCAG 2.2."""

    def luminance(colour: tuple[int, ...]) -> float:
        shares = [value / 255 for value in colour]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_show_draws_in_the_same_colours(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    dataset = BrowsedDataset(str(folder), open_index(str(folder), "", 1, NoProgress()))
    boxes = dataset.describe_image(1, Query())["boxes"]
    show(ShowOptions(f"{folder}/train.tfrecord-00000-of-00002:1", png=str(tmp_path / "drawn.png")))
    drawn = Image.open(io.BytesIO((tmp_path / "drawn.png").read_bytes()))
    ymin, _, ymax, xmax = CORNERS[0]
    pixel = drawn.getpixel((int(xmax * 160) - 1, int((ymin + ymax) / 2 * 120)))
    assert "#{:02x}{:02x}{:02x}".format(*pixel) == boxes[0]["colour"]
