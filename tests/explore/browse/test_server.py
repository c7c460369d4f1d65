"""The server over HTTP, and the pages in a browser."""

import contextlib
import http.client
import io
import json
import pathlib
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.cli.main import main
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.explore.browse.browsed_dataset import THUMBNAIL, BrowsedDataset
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.browse.search_rows import LABEL_KINDS
from oi_tfrecord.explore.browse.server import make_application
from oi_tfrecord.records.example_writer import bytes_feature, int64_feature
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt
from tests.conftest import REPOSITORY
from tests.support.chromium import (
    ActionChains,
    By,
    Keys,
    Select,
    WebDriverWait,
    errors_of,
    open_chromium,
    requests_of,
    webdriver,
)
from tests.support.few_records import boxes, draw_jpeg, floats, image, make_example, texts, write_shard
from tests.support.mask_release import png_of

SCRIPT = "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
IMAGES = 60
MIDS = ("/m/dog", "/m/cat", "/m/hostile")
ITEMS = (LabelMapItem(1, "/m/dog", "Dog"), LabelMapItem(2, "/m/cat", "Cat"), LabelMapItem(3, "/m/hostile", SCRIPT))
CORNERS = ((0.25, 0.5, 0.75, 1.0), (0.1, 0.1, 0.3, 0.4), (0.0, 0.0, 1.0, 1.0))


def image_id(number: int) -> str:
    return f"{number:04x}{'0' * 12}"


def make_record(number: int) -> bytes:
    """Returns a record with number % 4 boxes; every fifth has a box of a group, every third was drawn freely."""
    count = number % 4
    return make_example(
        **image(160, 120, draw_jpeg(160, 120, (number * 4, 90, 120)), image_id(number)),
        **boxes(*CORNERS[:count], mids=MIDS[:count]),
        object__group_of=int64_feature([int(number % 5 == 0)] * count),
        object__source=texts(*["freeform" if number % 3 == 0 else "xclick"] * count),
        class__text=texts("/m/dog", "/m/cat"),
        class__confidence=floats(1, 0),
        class__source=texts("verification", "crowdsource-verification"),
        attribution__title=texts(SCRIPT),
        attribution__author=texts(f"Author {SCRIPT}"),
        attribution__profile_url=texts("https://example.org/people/?a=1&b=<b>"),
        attribution__landing_url=texts("javascript:document.title='run'"),
        attribution__license=texts("https://creativecommons.org/licenses/by/2.0/"),
    )


def is_group_of(number: int) -> bool:
    return number % 5 == 0 and number % 4 > 0


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


def get(base: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Asks for a path as it is given, `..` and all."""
    connection = http.client.HTTPConnection(base.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def get_json(base: str, path: str, **values: Any) -> Any:
    status, _, body = get(base, f"{path}?{urllib.parse.urlencode(values)}")
    assert status == 200, body
    return json.loads(body)


def test_images_are_listed_by_query(base: str) -> None:
    listed = get_json(base, "/api/images", start=2, count=3)
    assert (listed["total"], [item["id"] for item in listed["images"]]) == (IMAGES, [image_id(n) for n in (2, 3, 4)])
    found = get_json(base, "/api/images", start=0, count=100, group_of="yes")
    assert [item["id"] for item in found["images"]] == [image_id(n) for n in range(IMAGES) if is_group_of(n)]
    assert get_json(base, "/api/images", start=1000, count=3)["images"] == []


def test_the_dataset_lists_flags_and_sources_to_filter_by(base: str) -> None:
    about = get_json(base, "/api/dataset")
    assert (about["splits"], about["flags"], about["sources"]) == (
        [{"name": "train", "records": IMAGES}], ["group_of"], ["freeform", "xclick"]
    )  # fmt: skip


def test_an_image_has_neighbours_among_those_found(base: str) -> None:
    found = [number for number in range(IMAGES) if is_group_of(number)]
    facts = get_json(base, "/api/image", image=f"train/{image_id(found[1])}", group_of="yes")
    assert (facts["place"], facts["total"]) == (1, len(found))
    assert (facts["previous"]["id"], facts["next"]["id"]) == (image_id(found[0]), image_id(found[2]))
    outside = get_json(base, "/api/image", image=f"train/{image_id(found[1] + 1)}", group_of="yes")
    assert (outside["place"], outside["previous"]["id"]) == (None, image_id(found[1]))
    assert outside["next"]["id"] == image_id(found[2])
    last = get_json(base, "/api/image", image=f"train/{image_id(IMAGES - 1)}")
    assert last["next"] is None


def test_images_and_thumbnails_are_served(base: str) -> None:
    status, headers, body = get(base, "/image?record=7")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert body == draw_jpeg(160, 120, (28, 90, 120))
    with Image.open(io.BytesIO(get(base, "/thumbnail?record=7")[2])) as small:
        assert small.width <= THUMBNAIL[0]
        assert small.height <= THUMBNAIL[1]


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/../../../../etc/passwd", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/static/../secret.txt",
        "/browse.js/../../secret.txt", "//etc/passwd", "/etc/passwd", "/label_map.pbtxt", "/report.js", "/vendor",
        "/image?record=../secret.txt", "/image?record=-1", f"/image?record={IMAGES}", "/image", "/thumbnail?record=1e1",
        "/image?record=%D9%A1", "/api/image?image=../secret.txt", "/api/image?image=train/../../secret.txt",
        "/api/image?image=train/0", "/api/image", "/api/images", "/api/images?start=0&count=501",
        "/api/images?start=0&count=9&kind=x",
    ],
)  # fmt: skip
def test_nothing_else_is_served(base: str, path: str) -> None:
    status, headers, body = get(base, path)
    assert status in (400, 404)
    assert b"secret" not in body.replace(path.encode(), b"").replace(b"'../secret.txt'", b"")
    assert b"root:" not in body
    assert headers["Content-Type"].startswith("application/json")


def test_only_this_machines_own_pages_may_ask(base: str) -> None:
    assert get(base, "/api/dataset", Host="evil.example:80")[0] == 403
    assert get(base, "/api/dataset", Host="127.0.0.1.evil.example:80")[0] == 403
    port = base.rpartition(":")[2]
    assert get(base, "/api/dataset", Host=f"localhost:{port}")[0] == 200
    _, headers, _ = get(base, "/")
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


def test_what_is_no_image_is_not_served_as_a_page(tmp_path: pathlib.Path) -> None:
    write_shard(tmp_path / "a-00000-of-00001", [make_example(**image(encoded=b"<html><script>x</script>"))])
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        for path in ("/image?record=0", "/thumbnail?record=0"):
            status, headers, _ = get(base, path)
            assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
            assert headers["X-Content-Type-Options"] == "nosniff"


def test_masks_are_served_white_on_black(tmp_path: pathlib.Path) -> None:
    masks = bytes_feature((png_of(np.eye(4, dtype=bool)), b"no PNG"))
    two = boxes((0, 0, 1, 1), (0, 0, 1, 1), mids=("/m/a", "/m/b"))
    write_shard(tmp_path / "a-00000-of-00001", [make_example(**image(), **two, object__mask=masks)])
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        status, headers, body = get(base, "/mask?record=0&place=0")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(body))), 255 * np.eye(4, dtype=np.uint8))
        assert get(base, "/mask?record=0&place=1")[0] == 500
        assert get(base, "/mask?record=0&place=2")[0] == 500
        assert get(base, "/mask?record=0&place=x")[0] == 400


def test_attribution_is_read_from_the_list_beside_the_records(tmp_path: pathlib.Path) -> None:
    write_shard(
        tmp_path / "train.tfrecord-00000-of-00001",
        [make_example(**image(image_id=name), **texts_of(title)) for name, title in (("a", ""), ("b", "Own title"))],
    )
    rows = (
        'ImageID,Title,Author,AuthorProfileURL,OriginalLandingURL,License\na,"T, ""x""\n",Ann,p,l,CC\nb,T,Bob,p,l,CC\n'
    )
    (tmp_path / "ATTRIBUTION-train.csv").write_text(rows)
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        first = get_json(base, "/api/image", image="train/a")["attribution"]
        assert first == {"title": 'T, "x"\n', "author": "Ann", "profile_url": "p", "landing_url": "l", "license": "CC"}
        second = get_json(base, "/api/image", image="train/b")["attribution"]
        assert (second["title"], second["author"]) == ("Own title", "Bob")


def texts_of(title: str) -> dict[str, bytes]:
    return {"attribution__title": texts(title)} if title else {}


def test_a_record_that_changed_under_the_server_is_an_error_message(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shard = tmp_path / "train-00000-of-00001"
    write_shard(shard, [make_record(3)])
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        shard.write_bytes(b"\xff" * shard.stat().st_size)
        status, _, body = get(base, f"/api/image?image=train/{image_id(3)}")
        assert status == 500
        assert "cannot be read" in json.loads(body)["error"]


def test_errors_of_the_command_are_one_line(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], base: str
) -> None:
    write_shard(tmp_path / "a-00000-of-00001", [make_record(1)])
    port = base.rpartition(":")[2]
    for arguments, problem in (
        ([str(tmp_path / "none")], "there are no records"),
        ([str(tmp_path), f"--port={port}"], "port"),
        ([str(tmp_path), "--port=99999"], "port"),
        ([str(tmp_path), "--prot=1"], "did you mean '--port'"),
    ):
        assert main(["browse", *arguments]) == 1
        *_, line = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert problem in line


@contextlib.contextmanager
def serve(dataset: BrowsedDataset) -> Iterator[str]:
    """Serves a dataset from a thread of this process; gives its address."""
    import asyncio

    from aiohttp import web

    loop = asyncio.new_event_loop()
    runner = web.AppRunner(make_application(dataset), access_log=None)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with open_chromium(width=1000, height=800) as browser:
        yield browser


@pytest.fixture
def page(browser: webdriver.Chrome, base: str) -> Iterator[Page]:
    """The first page; afterwards nothing may have been asked of others, and no error may be on the console."""
    requests_of(browser)
    browser.get(base)
    page = Page(browser)
    page.wait(lambda: page.text("#count") == f"{IMAGES} images" and page.tiles())
    yield page
    assert errors_of(browser) == []
    assert [url for url in requests_of(browser) if not url.startswith(base + "/")] == []


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
        const at = document.getElementById('overlay').getBoundingClientRect();
        const picture = document.getElementById('picture');
        const inside = picture.getBoundingClientRect();
        if (!picture.complete || !picture.naturalWidth) return [];
        return [...document.querySelectorAll('#overlay rect.box')].map((rect) => {
          const box = rect.getBBox();
          return [(box.x + at.x - inside.x) / inside.width, (box.y + at.y - inside.y) / inside.height,
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
    assert "Dog group of freeform" in facts
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
    page.wait(lambda: page.text("#count") == "kind: '</script>' is none of boxes, positive, negative, machine")
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
        browser.get(base)
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
