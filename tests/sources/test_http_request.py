import asyncio
from collections.abc import Iterator

import pytest

pytest.importorskip("aiohttp")

import aiohttp

from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings, MayPassError, WrongBytes
from oi_tfrecord.sources.http_request import GuardedResolver, parse_url, request
from tests.support.image_server import (
    Answer,
    ImageServer,
    body,
    cut_off,
    cut_off_without_length,
    drips,
    garbage,
    hang_up,
    redirect,
    status,
)

PHOTO = bytes(range(256)) * 40


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer() as running:
        running.files["/a.jpg"] = PHOTO
        yield running


def ask(server: ImageServer, path: str, settings: FetchSettings | None = None, size: str = "") -> bytes:
    async def accept(data: bytes) -> bytes:
        if data != PHOTO:
            raise WrongBytes(f"{len(data)} wrong bytes")
        return data

    async def go() -> bytes:
        async with aiohttp.ClientSession() as session:
            bounds = settings or FetchSettings()
            return await request(session, bounds, server.url(path), accept, size, Reject.CHECKSUM_MISMATCH)

    return asyncio.run(go())


def rejected(
    server: ImageServer, path: str, settings: FetchSettings | None = None, size: str = ""
) -> tuple[Reject, int, str]:
    with pytest.raises(FetchRejected) as raised:
        ask(server, path, settings, size)
    return raised.value.reason, raised.value.status, raised.value.detail


@pytest.mark.parametrize("size", ["", str(len(PHOTO))])
def test_takes_what_is_accepted(server: ImageServer, size: str) -> None:
    assert ask(server, "/a.jpg", size=size) == PHOTO


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (404, Reject.IMAGE_UNAVAILABLE),
        (410, Reject.IMAGE_UNAVAILABLE),
        (400, Reject.DOWNLOAD_FAILED),
        (401, Reject.DOWNLOAD_FAILED),
        (403, Reject.DOWNLOAD_FAILED),
        (204, Reject.DOWNLOAD_FAILED),
        (304, Reject.DOWNLOAD_FAILED),
    ],
)
def test_statuses_that_are_final(server: ImageServer, code: int, reason: Reject) -> None:
    server.scripts["/a.jpg"] = [status(code)]
    assert rejected(server, "/a.jpg") == (reason, code, f"HTTP {code}: {server.url('/a.jpg')}")


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_statuses_that_may_pass(server: ImageServer, code: int) -> None:
    server.scripts["/a.jpg"] = [status(code), status(code, **{"Retry-After": "7"})]
    for wait in (None, 7.0):
        with pytest.raises(MayPassError) as raised:
            ask(server, "/a.jpg")
        assert (raised.value.status, raised.value.retry_after) == (code, wait)


@pytest.mark.parametrize(
    ("answer", "reason", "code"),
    [
        (cut_off, Reject.DOWNLOAD_FAILED, 0),
        (hang_up, Reject.DOWNLOAD_FAILED, 0),
        (garbage, Reject.DOWNLOAD_FAILED, 0),
        (cut_off_without_length, Reject.CHECKSUM_MISMATCH, 200),
    ],
    ids=["cut_off", "hang_up", "garbage", "cut_off_without_length"],
)
def test_broken_answers_may_pass(server: ImageServer, answer: Answer, reason: Reject, code: int) -> None:
    server.scripts["/a.jpg"] = [answer] * 2
    with pytest.raises(MayPassError) as raised:
        ask(server, "/a.jpg")
    assert (raised.value.reason, raised.value.status) == (reason, code)


def test_an_answer_in_drips_ends(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [drips(0.05)]
    with pytest.raises(MayPassError, match=r"no whole answer in 0\.3 s"):
        ask(server, "/a.jpg", FetchSettings(total_seconds=0.3))


def test_follows_redirects(server: ImageServer) -> None:
    server.scripts["/moved.jpg"] = [redirect("/on.jpg", 301)]
    server.scripts["/on.jpg"] = [redirect(server.url("/a.jpg"), 307)]
    assert ask(server, "/moved.jpg") == PHOTO


def test_the_unavailable_picture_is_not_even_fetched(server: ImageServer) -> None:
    server.files["/images/photo_unavailable_l.png"] = PHOTO
    server.scripts["/a.jpg"] = [redirect("/images/photo_unavailable_l.png")]
    reason, code, detail = rejected(server, "/a.jpg")
    assert (reason, code) == (Reject.IMAGE_UNAVAILABLE, 302)
    assert "photo_unavailable_l.png" in detail
    assert server.counts == {"/a.jpg": 1}


@pytest.mark.parametrize("size", ["", str(len(PHOTO))])
def test_other_bytes_mean_a_placeholder_after_a_redirect_and_a_mismatch_without(server: ImageServer, size: str) -> None:
    server.files["/grey.png"] = b"placeholder"
    server.scripts["/gone.jpg"] = [redirect("/grey.png")]
    assert rejected(server, "/gone.jpg", size=size)[:2] == (Reject.IMAGE_UNAVAILABLE, 200)
    server.scripts["/a.jpg"] = [body(b"placeholder")]
    assert rejected(server, "/a.jpg", size=size)[:2] == (Reject.CHECKSUM_MISMATCH, 200)


def test_redirects_without_end(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [redirect("/a.jpg")] * 50
    reason, _, detail = rejected(server, "/a.jpg")
    assert reason is Reject.DOWNLOAD_FAILED
    assert "redirects" in detail
    assert server.counts["/a.jpg"] <= 10


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/a.jpg", "file:///etc/hosts", "http://[bad/a.jpg"])
def test_redirects_to_nowhere(server: ImageServer, location: str) -> None:
    server.scripts["/a.jpg"] = [redirect(location)]
    reason, code, detail = rejected(server, "/a.jpg")
    assert (reason, code) == (Reject.DOWNLOAD_FAILED, 302)
    assert location in detail


@pytest.mark.parametrize("answer", [None, cut_off_without_length], ids=["with_length", "without_length"])
def test_too_large(server: ImageServer, answer: Answer | None) -> None:
    if answer is not None:
        server.scripts["/a.jpg"] = [answer]
    assert rejected(server, "/a.jpg", FetchSettings(max_bytes=len(PHOTO) // 2 - 1))[0] is Reject.IMAGE_TOO_LARGE


def test_an_answer_in_many_pieces(server: ImageServer) -> None:
    large = b"".join(number.to_bytes(4, "little") for number in range(300_000))
    server.files["/large.jpg"] = large
    found: list[bytes] = []

    async def accept(data: bytes) -> bytes:
        found.append(data)
        return data[:5]

    async def go() -> bytes:
        async with aiohttp.ClientSession() as session:
            return await request(session, FetchSettings(), server.url("/large.jpg"), accept, "", Reject.NOT_AN_IMAGE)

    assert asyncio.run(go()) == large[:5]
    assert found == [large]


@pytest.mark.parametrize("url", ["", "a.jpg", "ftp://127.0.0.1/a.jpg", "file:///a.jpg", "http://", "http://[1/a"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_url(url)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "http://10.0.0.1/x", "http://localhost:1/x", "http://[::1]:1/x", "http://0/"],
)
def test_redirects_to_private_addresses_are_refused(server: ImageServer, target: str) -> None:
    server.scripts["/a.jpg"] = [redirect(target)]
    reason, status, detail = rejected(server, "/a.jpg")
    assert (reason, status) == (Reject.DOWNLOAD_FAILED, 302)
    assert "a private address (--fetch_private_redirects allows it)" in detail


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]"])
def test_link_local_addresses_are_not_asked(host: str) -> None:
    async def accept(data: bytes) -> bytes:
        return data

    async def go() -> bytes:
        async with aiohttp.ClientSession() as session:
            url = f"http://{host}/latest/meta-data"
            return await request(session, FetchSettings(), url, accept, "", Reject.NOT_AN_IMAGE)

    with pytest.raises(FetchRejected, match="a link-local address"):
        asyncio.run(go())


def test_names_of_link_local_addresses_are_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(self: object, host: str, port: int, family: object) -> list[dict[str, object]]:
        return [{"host": "169.254.169.254" if host == "metadata.google.internal" else "127.0.0.1"}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    with pytest.raises(OSError, match="a link-local address"):
        asyncio.run(GuardedResolver.resolve(object.__new__(GuardedResolver), "metadata.google.internal"))
    [found] = asyncio.run(GuardedResolver.resolve(object.__new__(GuardedResolver), "mirror"))
    assert found["host"] == "127.0.0.1"


def test_redirects_to_private_addresses_can_be_allowed(server: ImageServer) -> None:
    with ImageServer() as other:
        other.files["/a.jpg"] = PHOTO
        server.scripts["/moved.jpg"] = [redirect(other.url("/a.jpg"))] * 2
        assert ask(server, "/moved.jpg", FetchSettings(private_redirects=True)) == PHOTO
        assert rejected(server, "/moved.jpg")[0] is Reject.DOWNLOAD_FAILED
