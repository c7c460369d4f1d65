"""The pages of the browser in Chromium, as a person uses them."""

import urllib.parse
from collections.abc import Callable
from typing import Any

from tests.support.chromium import ActionChains, By, WebDriverWait, webdriver


class Page:
    """What a test asks of the page."""

    def __init__(self, browser: webdriver.Chrome):
        self.browser = browser

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.browser, 20, ignored_exceptions=[Exception]).until(lambda _: condition())

    def one(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def press(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()

    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.browser.current_url).query))

    def tiles(self) -> list[str]:
        """ImageIDs of the tiles, in order."""
        return self.browser.execute_script(
            "return [...document.querySelectorAll('.tile')].filter((tile) => tile.title)"
            ".sort((a, b) => a.dataset.place - b.dataset.place).map((tile) => tile.title)"
        )

    def shown(self) -> str:
        """ImageID of the image that is open."""
        return self.text("#facts h2") if self.one("#viewer").is_displayed() else ""
