"""Images are marked, and their ImageIDs saved for `convert` and `resample`, by what a person does."""

import pathlib

from tests.support.browse_page import Page
from tests.support.browse_server import IMAGES, get, image_id
from tests.support.chromium import By, Keys


def marked(page: Page) -> list[str]:
    return [tile.get_attribute("title") for tile in page.browser.find_elements(By.CSS_SELECTOR, ".tile.marked")]


def test_marked_images_are_saved_as_a_list(page: Page, tmp_path: pathlib.Path) -> None:
    page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.press(Keys.ARROW_RIGHT, "x", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "x")
    page.wait(lambda: marked(page) == [image_id(0), image_id(2)])
    page.one(f'.tile[title="{image_id(1)}"] .mark').click()
    page.wait(lambda: marked(page) == [image_id(0), image_id(1), image_id(2)])
    # On the page of the image, and in the same session after the page is loaded again.
    page.press(Keys.ENTER)
    page.wait(lambda: page.shown() == image_id(2))
    page.press("x")
    assert page.one("#mark").get_attribute("aria-pressed") == "false"
    page.press(Keys.ESCAPE)
    page.browser.refresh()
    page.wait(lambda: marked(page) == [image_id(0), image_id(1)])
    assert page.text("#save-marks") == "Save 2 marked images"
    page.one("#save-marks").click()
    saved = tmp_path / "image_ids.txt"
    page.wait(saved.exists)
    page.wait(lambda: saved.read_text() == f"{image_id(0)}\n{image_id(1)}\n")
    page.one("#clear-marks").click()
    assert marked(page) == []
    assert not page.one("#save-marks").is_displayed()


def test_all_images_that_are_found_are_listed(base: str) -> None:
    status, headers, body = get(base, "/image_ids.txt?class=cat")
    assert (status, headers["Content-Disposition"]) == (200, 'attachment; filename="image_ids.txt"')
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert body.decode().split() == [image_id(number) for number in range(IMAGES) if number % 4 > 1]
    assert get(base, "/image_ids.txt?kind=x")[0] == 400
