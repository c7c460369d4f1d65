"""A headless Chromium for tests, driven by Selenium.

Chromium and its driver are Debian's `chromium` and `chromium-driver`, which `.ci/run` installs. Without them a test is
skipped.
"""

import base64
import contextlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.optional import require

require("selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains as ActionChains  # noqa: E402
from selenium.webdriver.common.by import By as By  # noqa: E402
from selenium.webdriver.common.keys import Keys as Keys  # noqa: E402
from selenium.webdriver.support.ui import Select as Select  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait as WebDriverWait  # noqa: E402

FLAGS = (
    "--headless",
    # Chromium's sandbox does not work for root, as which CI runs; the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def open_chromium(width: int = 1200, height: int = 900, dark: bool = False) -> Iterator[webdriver.Chrome]:
    """Starts a browser.

    Args:
        width: width of the page in pixels; it may be narrower than the window of a desktop.
        height: height of the page in pixels.
        dark: whether the browser prefers a dark colour scheme.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium is not installed: make chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options, Service(driver))
        try:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
            yield browser
        finally:
            browser.quit()


def requests_of(browser: webdriver.Chrome) -> list[str]:
    """Returns the URLs that the browser asked for since the last call, without those of its own pages."""
    urls = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            urls.append(message["params"]["request"]["url"])
    return [url for url in urls if not url.startswith(("data:", "blob:", "about:", "chrome:"))]


def errors_of(browser: webdriver.Chrome) -> list[str]:
    """Returns what the page's console holds since the last call."""
    return [entry["message"] for entry in browser.get_log("browser")]


def screenshot(browser: webdriver.Chrome, path: pathlib.Path, whole: bool = False) -> None:
    """Writes what the browser shows, or the whole page, to a PNG file."""
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole})
    path.write_bytes(base64.b64decode(shot["data"]))
