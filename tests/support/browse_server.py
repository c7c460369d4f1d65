"""Records for the browser, and its server as tests ask it."""

import asyncio
import contextlib
import http.client
import json
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from oi_tfrecord.explore.browse.access import LOOPBACK, format_address, make_access
from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
from oi_tfrecord.explore.browse.server import make_application
from oi_tfrecord.records.example_writer import int64_feature
from oi_tfrecord.records.label_map import LabelMapItem
from tests.support.few_records import boxes, draw_jpeg, floats, image, make_example, texts

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


def get(base: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Asks for a path as it is given, `..` and all."""
    parts = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(parts.netloc)
    with contextlib.closing(connection):
        connection.putrequest("GET", parts.path + path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def get_json(base: str, path: str, **values: Any) -> Any:
    status, _, body = get(base, f"{path}?{urllib.parse.urlencode(values)}")
    assert status == 200, body
    return json.loads(body)


@contextlib.contextmanager
def serve(dataset: BrowsedDataset) -> Iterator[str]:
    """Serves a dataset from a thread of this process; gives its address."""
    loop = asyncio.new_event_loop()
    access = make_access(LOOPBACK)
    runner = web.AppRunner(make_application(dataset, access), access_log=None)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield format_address(LOOPBACK, runner.addresses[0][1], access).rstrip("/")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
