"""Serves a dataset to a web browser on this machine."""

import asyncio
import functools
import hashlib
import io
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from aiohttp import web
from PIL import Image

from oi_tfrecord import storage
from oi_tfrecord.dataset.attribution_csv import name_fields, parse_row, split_rows
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import read_record
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.image_page import describe_image, media_type
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.index_files import attribution_path
from oi_tfrecord.explore.browse.query import Query, find_classes, find_images, parse_query
from oi_tfrecord.explore.browse.shard_rows import FLAG_NAMES, flag_bits
from oi_tfrecord.explore.web_assets import embed, read_asset
from oi_tfrecord.images.pixel_budget import DECODED_AT_ONCE
from oi_tfrecord.records.example_reader import ExampleError, RecordFault, Values, get_bytes, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY

HOST = "127.0.0.1"

MOST_IMAGES = 500
"""Images that one answer lists."""

FIRST_IMAGES = 100
"""Images that the page comes with; as many as browse.js asks for at once."""

PLACEHOLDER = "{FIRST}"

MOST_CLASSES = 20

THUMBNAIL = (256, 192)
"""Pixels; a quarter of the common 1024 x 768, to which a JPEG is decoded without scaling."""

SMALL_BYTES = 32 << 10
"""A browser draws such an image sooner than a smaller one is made of it."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

FILES = {
    "/browse.js": ("browse.js", "text/javascript"),
    "/browse.css": ("browse.css", "text/css"),
    "/theme.css": ("theme.css", "text/css"),
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Dataset:
    """A dataset and its index, as the pages ask for it."""

    def __init__(self, output_dir: str, index: BrowseIndex):
        """Initializes the instance.

        Args:
            output_dir: folder of the records.
            index: of them.
        """
        self.index = index
        self._output_dir = output_dir
        label_map = read_label_map(output_dir)
        items = label_map.items if label_map else ()
        self._names = {item.name: item.display_name for item in items}
        self._mid_of = {item.id: item.name for item in items}
        self._attribution = {split: self._open_attribution(split) for split in index.splits}
        # So that a browser keeps no picture of records that were others.
        places = (index.arrays[name].tobytes() for name in ("image_id", "offset"))
        self._version = hashlib.sha256(b"".join(places)).hexdigest()[:16]
        # Pillow looks for its plugins when the first picture is opened.
        Image.preinit()
        self._find = functools.lru_cache(maxsize=32)(functools.partial(find_images, index))

    def describe(self) -> dict[str, Any]:
        """Returns the splits and what can be filtered by."""
        flags = self.index.arrays["box_flags"]
        known = int(np.bitwise_or.reduce(flags)) if len(flags) else 0
        sizes = np.diff(self.index.split_starts).tolist()
        return {
            "splits": [{"name": name, "records": size} for name, size in zip(self.index.splits, sizes, strict=True)],
            "records": self.index.records,
            "flags": [flag for flag in FLAG_NAMES if known & flag_bits(flag)[1]],
            "sources": sorted(filter(None, self.index.sources)),
        }

    def list_images(self, query: Query, start: int, count: int) -> dict[str, Any]:
        """Returns the number of images that a query finds, and some of them."""
        found = self._find(query)
        shown = found[max(start, 0) :][: min(max(count, 0), MOST_IMAGES)]
        images = [self._item(record) for record in shown.tolist()]
        return {"version": self._version, "total": len(found), "start": start, "images": images}

    def list_classes(self, text: str) -> dict[str, Any]:
        """Returns the classes that a text may mean, and how many ImageIDs begin with it."""
        images = len(self.index.with_id(text)) if text else 0
        return {"classes": find_classes(self.index, self._names, text, MOST_CLASSES), "images": images}

    def describe_image(self, record: int, query: Query) -> dict[str, Any]:
        """Returns the facts of an image, and its neighbours among those that a query finds."""
        found = self._find(query)
        place = int(np.searchsorted(found, record))
        inside = place < len(found) and int(found[place]) == record
        after = place + 1 if inside else place
        facts = describe_image(self._example(record), self._names, self._mid_of)
        facts["attribution"] = self._listed_attribution(record) | facts["attribution"]
        shard, offset, _ = self.index.place_of(record)
        return {
            "version": self._version,
            **self._item(record),
            **facts,
            "shard": shard,
            "offset": offset,
            "place": place if inside else None,
            "total": len(found),
            "previous": self._item(int(found[place - 1])) if place > 0 else None,
            "next": self._item(int(found[after])) if after < len(found) else None,
        }

    def find_record(self, split: str, image_id: str) -> int | None:
        """Returns the number of an image's record; None if there is none."""
        for record in self.index.with_id(image_id).tolist():
            if self.index.id_of(record) == image_id and self.index.split_of(record) == split:
                return int(record)
        return None

    def read_image(self, record: int) -> tuple[bytes, str]:
        """Returns the encoded image of a record, and its media type."""
        encoded = get_bytes(self._example(record), ENCODED_KEY)
        return encoded, media_type(encoded)

    def make_thumbnail(self, record: int) -> tuple[bytes, str]:
        """Returns a small JPEG of a record's image, and its media type; a small file is served as it is."""
        encoded, kind = self.read_image(record)
        if len(encoded) <= SMALL_BYTES:
            return encoded, kind
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                image.draft("RGB", (THUMBNAIL[0], THUMBNAIL[1]))
                with DECODED_AT_ONCE.hold(image.width * image.height):
                    image.thumbnail(THUMBNAIL)
                out = io.BytesIO()
                image.convert("RGB").save(out, "JPEG", quality=80)
        except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError):
            # A browser may make something of an image that Pillow does not.
            return encoded, kind
        return out.getvalue(), "image/jpeg"

    def _item(self, record: int) -> dict[str, Any]:
        return {
            "record": record,
            "split": self.index.split_of(record),
            "id": self.index.id_of(record),
            "boxes": int(self.index.arrays["boxes"][record]),
        }

    def _example(self, record: int) -> Mapping[str, Values]:
        shard, offset, length = self.index.place_of(record)
        return parse_example(read_record(storage.join(self._output_dir, shard), offset, length))

    def _open_attribution(self, split: str) -> tuple[str, list[str]] | None:
        """Returns path and column names of a split's attribution file."""
        if (path := attribution_path(self._output_dir, split)) is None:
            return None
        with storage.open_read(path) as stream:
            return path, parse_row(next((row for _, row in split_rows(stream)), b""))

    def _listed_attribution(self, record: int) -> dict[str, str]:
        held = self._attribution[self.index.split_of(record)]
        offset, length = self.index.arrays["attribution"][record].tolist()
        if held is None or offset < 0:
            return {}
        path, header = held
        return name_fields(header, parse_row(storage.read_range(path, offset, length)))


def make_application(dataset: Dataset) -> web.Application:
    """Returns the server: what it shows are the pages of the package and records by number, never a file by name."""
    application = web.Application(middlewares=[_guard])
    application.router.add_get("/", functools.partial(_send_page, dataset, read_asset("browse.html")))
    for path, (name, kind) in FILES.items():
        application.router.add_get(path, functools.partial(_send_file, read_asset(name), kind))
    application.router.add_get("/api/dataset", functools.partial(_send_json, lambda values: dataset.describe()))
    application.router.add_get(
        "/api/classes", functools.partial(_send_json, lambda values: dataset.list_classes(values.get("q", "")))
    )
    application.router.add_get("/api/images", functools.partial(_send_json, functools.partial(_images, dataset)))
    application.router.add_get("/api/image", functools.partial(_send_json, functools.partial(_image, dataset)))
    application.router.add_get("/image", functools.partial(_send_bytes, dataset, dataset.read_image))
    application.router.add_get("/thumbnail", functools.partial(_send_bytes, dataset, dataset.make_thumbnail))
    return application


def serve(dataset: Dataset, port: int, on_start: Callable[[str], None]) -> None:
    """Serves a dataset on the loopback until it is interrupted.

    Args:
        dataset: what to serve.
        port: to listen on; 0 takes a free one.
        on_start: called with the address once the server listens.

    Raises:
        ConfigError: if the port cannot be had.
    """
    try:
        listening = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise ConfigError("port", f"{port} cannot be had: {error}; 0 takes a free one") from error
    on_start(f"http://{HOST}:{listening.getsockname()[1]}/")
    web.run_app(make_application(dataset), sock=listening, print=None, access_log=None)


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answers only this machine's own browser, and turns errors of the asker into messages."""
    # A page elsewhere whose name is made to mean 127.0.0.1 could read the dataset otherwise.
    if request.host.rpartition(":")[0] not in (HOST, "localhost"):
        response: web.StreamResponse = web.json_response({"error": "unknown host"}, status=403)
    else:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = web.json_response({"error": error.reason}, status=error.status)
        except ConfigError as error:
            response = web.json_response({"error": str(error)}, status=400)
        except (OSError, ExampleError, RecordFault) as error:
            response = web.json_response({"error": f"the record cannot be read: {error}"}, status=500)
    response.headers.update(HEADERS)
    return response


async def _send_page(dataset: Dataset, page: str, request: web.Request) -> web.Response:
    """Sends the page with what it would ask for first, which saves it two ways."""
    try:
        images = await asyncio.to_thread(dataset.list_images, parse_query(request.query), 0, FIRST_IMAGES)
        first = {"images": images, "dataset": dataset.describe()}
    except ConfigError:
        # The page asks, and tells what is wrong.
        first = {}
    text = page.replace(PLACEHOLDER, embed(first))
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-cache"})


async def _send_file(text: str, kind: str, request: web.Request) -> web.Response:
    return web.Response(text=text, content_type=kind, headers={"Cache-Control": "no-cache"})


async def _send_json(answer: Callable[[Mapping[str, str]], Any], request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(answer, request.query), headers={"Cache-Control": "no-cache"})


async def _send_bytes(dataset: Dataset, read: Callable[[int], tuple[bytes, str]], request: web.Request) -> web.Response:
    record = _number(request.query, "record", dataset.index.records)
    body, kind = await asyncio.to_thread(read, record)
    return web.Response(body=body, content_type=kind, headers={"Cache-Control": "private, max-age=3600"})


def _images(dataset: Dataset, values: Mapping[str, str]) -> dict[str, Any]:
    start = _number(values, "start", 1 << 62)
    return dataset.list_images(parse_query(values), start, _number(values, "count", MOST_IMAGES + 1))


def _image(dataset: Dataset, values: Mapping[str, str]) -> dict[str, Any]:
    split, _, image_id = values.get("image", "").partition("/")
    record = dataset.find_record(split, image_id)
    if record is None:
        raise web.HTTPNotFound(reason="there is no such image")
    return dataset.describe_image(record, parse_query(values))


def _number(values: Mapping[str, str], name: str, end: int) -> int:
    """Returns a whole number below `end`."""
    value = values.get(name, "")
    if not (value.isascii() and value.isdecimal() and len(value) <= 18 and int(value) < end):
        raise ConfigError(name, f"{value!r} is no number below {end}")
    return int(value)
