"""Searches by class, filters and orders, by what a person does on the page."""

import pytest

from tests.support.browse_page import Page
from tests.support.browse_server import IMAGES, image_id
from tests.support.chromium import By, Keys, Select

DOGS = [image_id(number) for number in range(IMAGES) if number % 4 > 0]
CATS = [image_id(number) for number in range(IMAGES) if number % 4 > 1]


def rows(page: Page) -> list[str]:
    return [row.text for row in page.browser.find_elements(By.CSS_SELECTOR, "#class-rows li")]


def chips(page: Page) -> list[str]:
    return [chip.text.strip() for chip in page.browser.find_elements(By.CSS_SELECTOR, "#chips button")]


def count_is(page: Page, images: int) -> None:
    page.wait(lambda: page.text("#count") == f"{images} {'image' if images == 1 else 'images'}")


def test_classes_are_listed_with_their_counts_and_found_by_typing(page: Page) -> None:
    page.wait(lambda: len(rows(page)) == 3)
    assert rows(page)[0].split("\n") == ["Dog", f"{len(DOGS)} boxes {IMAGES} present"]
    assert rows(page)[1].split("\n") == ["Cat", f"{len(CATS)} boxes {IMAGES} absent"]
    page.one("#class-search").send_keys("ca")
    page.wait(lambda: len(rows(page)) == 1)
    page.one("#class-rows .name").click()
    count_is(page, len(CATS))
    assert page.query() == {"class": "/m/cat"}
    assert chips(page) == ["Cat: boxes ✕"]
    page.browser.back()
    count_is(page, IMAGES)
    assert not page.one("#in-force").is_displayed()


def test_a_count_searches_what_it_counts(page: Page) -> None:
    page.wait(lambda: len(rows(page)) == 3)
    page.one("#class-rows li:nth-child(2) .count:nth-of-type(2)").click()
    count_is(page, IMAGES)
    assert page.query() == {"class": "/m/cat", "kind": "negative"}
    assert chips(page) == ["Cat: labels: absent ✕"]


def test_several_classes_are_joined_by_any_and_all(page: Page) -> None:
    page.wait(lambda: len(rows(page)) == 3)
    for place in (1, 2):
        page.one(f"#class-rows li:nth-child({place}) input").click()
        page.wait(lambda place=place: len(chips(page)) == place)
    count_is(page, len(DOGS))
    Select(page.one("[name=match]")).select_by_value("all")
    count_is(page, len(CATS))
    page.wait(lambda: page.query() == {"class": "/m/dog,/m/cat", "match": "all"})
    page.one("#chips button").click()
    count_is(page, len(CATS))
    assert chips(page) == ["Cat: boxes ✕"]


def test_names_work_in_links(page: Page) -> None:
    page.browser.get(page.browser.current_url + "?class=dog,CAT&match=all")
    count_is(page, len(CATS))
    assert chips(page) == ["Dog: boxes ✕", "Cat: boxes ✕"]
    assert page.one("#search").get_attribute("value") == "Dog, Cat"


def test_an_empty_result_says_why_and_offers_to_clear(page: Page) -> None:
    page.browser.get(page.browser.current_url + "?class=Cat,Foo&match=all&min_boxes=9")
    count_is(page, 0)
    reasons = page.text("#empty")
    assert f"class Cat: {len(CATS)} images alone" in reasons
    assert "no class is called Foo" in reasons
    assert "at least 9 boxes: 0 images alone" in reasons
    buttons = page.browser.find_elements(By.CSS_SELECTOR, "#empty li button")
    buttons[2].click()
    page.wait(lambda: len(chips(page)) == 2)
    page.one("#empty > button").click()
    count_is(page, IMAGES)
    assert page.query() == {}
    assert not page.one("#empty").is_displayed()


@pytest.mark.parametrize("order", ["boxes", "hash", "random"])
def test_images_are_sorted_also_from_page_to_page(page: Page, order: str) -> None:
    before = page.tiles()
    Select(page.one("[name=sort]")).select_by_value(order)
    page.wait(lambda: page.query() == {"sort": order})
    page.wait(lambda: page.tiles() and page.tiles() != before)
    found = page.tiles()
    if order == "boxes":
        assert found[0] == image_id(3)
    page.one(f'.tile[title="{found[1]}"]').click()
    page.wait(lambda: page.shown() == found[1])
    assert page.text("#place") == f"2 of {IMAGES}"
    page.press(Keys.ARROW_RIGHT)
    page.wait(lambda: page.shown() == found[2])


def test_another_seed_is_another_order(page: Page) -> None:
    page.browser.get(page.browser.current_url + "?sort=random&seed=1")
    page.wait(page.tiles)
    before = page.tiles()
    page.one("[name=seed]").clear()
    page.one("[name=seed]").send_keys("2", Keys.TAB)
    page.wait(lambda: page.query() == {"sort": "random", "seed": "2"})
    page.wait(lambda: page.tiles() and page.tiles() != before)


def test_boxes_are_drawn_on_the_tiles(page: Page) -> None:
    plain = page.one(f'.tile[title="{image_id(3)}"] img').get_attribute("src")
    page.one("[data-view=boxes]").click()
    page.wait(lambda: page.query() == {"tiles": "boxes"})
    drawn = page.wait(lambda: page.one(f'.tile[title="{image_id(3)}"] img').get_attribute("src"))
    assert drawn == plain + "&draw=boxes"
    page.wait(lambda: page.browser.execute_script("return document.querySelector('.tile img').naturalWidth"))
