"""Serves the pages of a dataset to a web browser."""

import asyncio
import functools
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.access import Access, find_refusal, format_address, listen
from oi_tfrecord.explore.browse.browsed_dataset import DRAWN, MOST_CLASSES, MOST_IMAGES, BrowsedDataset
from oi_tfrecord.explore.browse.query import parse_query
from oi_tfrecord.explore.web_assets import embed, read_asset
from oi_tfrecord.records.example_reader import ExampleError, RecordFault
from oi_tfrecord.records.tfrecord import FramingError

FIRST_IMAGES = 100
"""Images that the page comes with; as many as browse.js asks for at once."""

PLACEHOLDER = "{FIRST}"
"""Text of browse.html that is replaced by the first answers."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors "
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

FILES = {
    "/browse.js": ("browse.js", "text/javascript"),
    "/class-list.js": ("class-list.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/marks.js": ("marks.js", "text/javascript"),
    "/rejects.js": ("rejects.js", "text/javascript"),
    "/picture.js": ("picture.js", "text/javascript"),
    "/browse.css": ("browse.css", "text/css"),
    "/theme.css": ("theme.css", "text/css"),
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_application(dataset: BrowsedDataset, access: Access) -> web.Application:
    """Returns the server, whose paths begin with the token.

    It sends the pages of the package, and records by number, but never a file by its name.
    """
    application = web.Application()
    application.router.add_get("/", functools.partial(_send_page, dataset, read_asset("browse.html")))
    for path, (name, kind) in FILES.items():
        application.router.add_get(path, functools.partial(_send_file, read_asset(name), kind))
    application.router.add_get("/api/dataset", functools.partial(_send_json, lambda values: dataset.describe()))
    application.router.add_get("/api/classes", functools.partial(_send_json, functools.partial(_list_classes, dataset)))
    application.router.add_get("/api/images", functools.partial(_send_json, functools.partial(_list_images, dataset)))
    application.router.add_get("/api/image", functools.partial(_send_json, functools.partial(_describe_image, dataset)))
    application.router.add_get("/image", functools.partial(_send_bytes, dataset, dataset.read_image))
    application.router.add_get("/mask", functools.partial(_send_mask, dataset))
    application.router.add_get("/thumbnail", functools.partial(_send_thumbnail, dataset))
    application.router.add_get("/api/rejects", functools.partial(_send_json, functools.partial(_list_rejects, dataset)))
    application.router.add_get("/image_ids.txt", functools.partial(_send_image_ids, dataset))
    guarded = web.Application(middlewares=[web.middleware(functools.partial(_guard, access))])
    guarded.add_subapp(f"/{access.token}/", application)
    return guarded


def serve(dataset: BrowsedDataset, access: Access, host: str, port: int, on_start: Callable[[str], None]) -> None:
    """Serves a dataset until it is interrupted.

    Args:
        dataset: what to serve.
        access: who may ask.
        host: name or IP address to listen on.
        port: to listen on; 0 takes a free one.
        on_start: called with the address once the server listens.

    Raises:
        ConfigError: if the host or the port cannot be had.
    """
    try:
        listening = listen(host, port)
    except socket.gaierror as error:
        raise ConfigError("host", f"{host!r} is no name or address of this machine: {error.strerror}") from error
    except (OSError, OverflowError) as error:
        raise ConfigError("port", f"{port} of {host} cannot be had: {error}; 0 takes a free one") from error
    on_start(format_address(host, listening.getsockname()[1], access))
    # Only the main thread takes signals.
    signals = threading.current_thread() is threading.main_thread()
    application = make_application(dataset, access)
    web.run_app(application, sock=listening, print=None, access_log=None, handle_signals=signals)


async def _guard(access: Access, request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answers only requests that the access allows, and turns errors into messages."""
    refusal = find_refusal(access, request.host, request.headers.get("Origin", ""), request.path)
    if refusal:
        response: web.StreamResponse = web.json_response({"error": refusal}, status=403)
    else:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = web.json_response({"error": error.reason}, status=error.status)
        except ConfigError as error:
            response = web.json_response({"error": str(error)}, status=400)
        except (OSError, ExampleError, FramingError, RecordFault) as error:
            response = web.json_response({"error": f"the record cannot be read: {error}"}, status=500)
    if not response.prepared:
        response.headers.update(HEADERS)
        response.headers["Content-Security-Policy"] += access.frame_ancestors
    return response


async def _send_page(dataset: BrowsedDataset, page: str, request: web.Request) -> web.Response:
    """Sends the page with the answers to its first two requests, which saves these requests."""
    try:
        images = await asyncio.to_thread(
            dataset.list_images, parse_query(request.query, dataset.classes), 0, FIRST_IMAGES
        )
        first = {"images": images, "dataset": dataset.describe()}
    except ConfigError:
        # The page sends the request itself then, and shows the error.
        first = {}
    text = page.replace(PLACEHOLDER, embed(first))
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-cache"})


async def _send_file(text: str, kind: str, request: web.Request) -> web.Response:
    return web.Response(text=text, content_type=kind, headers={"Cache-Control": "no-cache"})


async def _send_json(answer: Callable[[Mapping[str, str]], Any], request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(answer, request.query), headers={"Cache-Control": "no-cache"})


async def _send_bytes(
    dataset: BrowsedDataset, read: Callable[[int], tuple[bytes, str]], request: web.Request
) -> web.Response:
    record = _parse_number(request.query, "record", dataset.index.records)
    body, kind = await asyncio.to_thread(read, record)
    return web.Response(body=body, content_type=kind, headers={"Cache-Control": "private, max-age=3600"})


async def _send_image_ids(dataset: BrowsedDataset, request: web.Request) -> web.StreamResponse:
    """Sends the ImageIDs that a query finds, a line each, in parts, as they may be many millions."""
    parts = dataset.list_image_ids(parse_query(request.query, dataset.classes))
    response = web.StreamResponse(headers={**HEADERS, "Content-Disposition": 'attachment; filename="image_ids.txt"'})
    response.content_type = "text/plain"
    await response.prepare(request)
    while part := await asyncio.to_thread(next, parts, b""):
        await response.write(part)
    await response.write_eof()
    return response


async def _send_thumbnail(dataset: BrowsedDataset, request: web.Request) -> web.Response:
    drawn = tuple(filter(None, request.query.get("draw", "").split(",")))
    if unknown := set(drawn) - set(DRAWN):
        raise ConfigError("draw", f"{min(unknown)!r} is none of {', '.join(DRAWN)}")
    read = functools.partial(dataset.draw_thumbnail, drawn=drawn) if drawn else dataset.make_thumbnail
    return await _send_bytes(dataset, read, request)


async def _send_mask(dataset: BrowsedDataset, request: web.Request) -> web.Response:
    record = _parse_number(request.query, "record", dataset.index.records)
    place = _parse_number(request.query, "place", 1 << 31)
    body, kind = await asyncio.to_thread(dataset.make_mask, record, place)
    return web.Response(body=body, content_type=kind, headers={"Cache-Control": "private, max-age=3600"})


def _list_classes(dataset: BrowsedDataset, values: Mapping[str, str]) -> dict[str, Any]:
    start = _parse_number(values, "start", 1 << 62)
    return dataset.list_classes(values.get("q", ""), start, _parse_number(values, "count", MOST_CLASSES + 1))


def _list_rejects(dataset: BrowsedDataset, values: Mapping[str, str]) -> dict[str, Any]:
    start = _parse_number(values, "start", 1 << 62)
    return dataset.list_rejects(values.get("reason", ""), start, _parse_number(values, "count", MOST_IMAGES + 1))


def _list_images(dataset: BrowsedDataset, values: Mapping[str, str]) -> dict[str, Any]:
    start = _parse_number(values, "start", 1 << 62)
    return dataset.list_images(
        parse_query(values, dataset.classes), start, _parse_number(values, "count", MOST_IMAGES + 1)
    )


def _describe_image(dataset: BrowsedDataset, values: Mapping[str, str]) -> dict[str, Any]:
    split, _, image_id = values.get("image", "").partition("/")
    record = dataset.find_record(split, image_id)
    if record is None:
        raise web.HTTPNotFound(reason="there is no such image")
    return dataset.describe_image(record, parse_query(values, dataset.classes))


def _parse_number(values: Mapping[str, str], name: str, end: int) -> int:
    """Returns the whole number below `end` that a parameter gives."""
    value = values.get(name, "")
    if not (value.isascii() and value.isdecimal() and len(value) <= 18 and int(value) < end):
        raise ConfigError(name, f"{value!r} is not a number below {end}")
    return int(value)
