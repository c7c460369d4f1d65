"""Sends one request of a download, follows redirects, and judges the answer.

This module imports the HTTP library, which is needed for downloads only, so `http_client` imports the module late.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import NoReturn

import aiohttp
import yarl
from aiohttp.abc import ResolveResult

from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.http_policy import (
    GONE,
    REDIRECTS,
    TRANSIENT,
    FetchRejected,
    FetchSettings,
    MayPassError,
    WrongBytes,
    is_unavailable_picture,
    mismatch_reason,
    parse_retry_after,
)

_MAX_REDIRECTS = 5

_DISCARDED_BYTES = 1 << 16

Accept = Callable[[bytes], Awaitable[bytes]]
"""Takes the bytes of an answer; returns the bytes to use, or raises WrongBytes."""


def parse_url(url: str) -> yarl.URL:
    """Returns the parts of a URL.

    Raises:
        ValueError: if the URL cannot be downloaded.
    """
    target = yarl.URL(url)
    if target.scheme not in ("http", "https") or not target.host:
        raise ValueError("neither http:// nor https:// with a host")
    return target


def is_link_local(address: str) -> bool:
    """Returns whether an IP address is answered by the machine's own network alone, as the metadata of clouds are.

    What answers there gives credentials to whoever asks. A name is none.
    """
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_link_local
    except ValueError:
        return False


class GuardedResolver(aiohttp.ThreadedResolver):
    """Finds the addresses of hosts, but no link-local ones: a table from strangers may name them."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Returns the addresses of a host.

        Raises:
            OSError: if an address is link-local, or the host is unknown.
        """
        results = await super().resolve(host, port, family)
        if any(is_link_local(result["host"]) for result in results):
            raise OSError(f"{host} is a link-local address (--fetch_private_redirects allows it)")
        return results


async def request(
    session: aiohttp.ClientSession, settings: FetchSettings, url: str, accept: Accept, size: str, mismatch: Reject
) -> bytes:
    """Requests a file once.

    Args:
        session: an open session.
        settings: bounds on time and bytes.
        url: of http or https.
        accept: judges the bytes.
        size: bytes that the answer must have, in decimal; empty if that is not known.
        mismatch: reason for bytes that are not accepted and came without a redirect.

    Returns:
        The bytes that `accept` returns.

    Raises:
        MayPassError: if the same request may succeed later.
        FetchRejected: if it will not.
    """
    if not settings.private_redirects and is_link_local(parse_url(url).host or ""):
        detail = f"a link-local address (--fetch_private_redirects allows it): {url}"
        raise FetchRejected(Reject.DOWNLOAD_FAILED, detail, 0)
    try:
        async with asyncio.timeout(settings.total_seconds):
            target = url
            for hops in range(_MAX_REDIRECTS + 1):
                async with session.get(target, allow_redirects=False) as response:
                    if response.status in REDIRECTS:
                        target = _redirected(response)
                        if not settings.private_redirects:
                            await _check_public(yarl.URL(target), response)
                        await _discard(response)
                        continue
                    reason = mismatch_reason(True) if hops else mismatch
                    return await _read(response, settings, target, accept, size, reason)
            raise FetchRejected(Reject.DOWNLOAD_FAILED, f"more than {_MAX_REDIRECTS} redirects: {url}", 302)
    except TimeoutError as error:
        # The error of the bound on the whole attempt has no text, the errors of the other bounds have one.
        what = str(error) or f"no whole answer in {settings.total_seconds:g} s"
        raise MayPassError(f"timeout: {what}") from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.InvalidURL) as error:
        raise FetchRejected(Reject.DOWNLOAD_FAILED, f"{error}: {url}", 0) from error
    except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError) as error:
        raise MayPassError(f"{type(error).__name__}: {error}") from error


def _redirected(response: aiohttp.ClientResponse) -> str:
    """Returns the target of a redirect."""
    location = response.headers.get("Location", "")
    try:
        target = str(parse_url(str(response.url.join(yarl.URL(location)))))
    except ValueError as error:
        raise FetchRejected(
            Reject.DOWNLOAD_FAILED, f"redirected to {location!r}: {response.url}", response.status
        ) from error
    if is_unavailable_picture(target):
        raise FetchRejected(Reject.IMAGE_UNAVAILABLE, f"redirected to {target}: {response.url}", response.status)
    return target


async def _check_public(target: yarl.URL, response: aiohttp.ClientResponse) -> None:
    """Refuses a redirect to another host that is on this machine or in a private network.

    What answers there trusts this machine, and a stranger's server chose the request.
    """
    if (target.host, target.port) == (response.url.host, response.url.port):
        return
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(target.host, target.port)
    except OSError:
        # The request fails in the same way, and says so.
        return
    for *_, address in infos:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            detail = f"redirected to {target}, a private address (--fetch_private_redirects allows it): {response.url}"
            raise FetchRejected(Reject.DOWNLOAD_FAILED, detail, response.status)


async def _read(
    response: aiohttp.ClientResponse,
    settings: FetchSettings,
    url: str,
    accept: Accept,
    size: str,
    mismatch: Reject,
) -> bytes:
    status, headers, max_bytes = response.status, response.headers, settings.max_bytes
    if status != 200:
        await _discard(response)
        _fail(status, headers.get("Retry-After"), url)
    length = response.content_length if "Content-Encoding" not in headers else None
    if length is not None and size and str(length) != size:
        # A placeholder, or another version of the photo: there is no need to read it.
        raise FetchRejected(mismatch, f"{length} bytes, OriginalSize is {size}: {url}", status)
    if length is not None and length > max_bytes:
        raise FetchRejected(Reject.IMAGE_TOO_LARGE, f"{length} bytes, more than {max_bytes}: {url}", status)
    pieces, received = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        received += len(piece)
        if received > max_bytes:
            raise FetchRejected(Reject.IMAGE_TOO_LARGE, f"more than {max_bytes} bytes: {url}", status)
    try:
        return await accept(b"".join(pieces))
    except WrongBytes as fault:
        # If only the end of the connection ends an answer, a broken connection makes it look whole.
        if length is None and "Transfer-Encoding" not in headers:
            raise MayPassError(str(fault), status, reason=mismatch) from None
        raise FetchRejected(mismatch, f"{fault}: {url}", status) from None


def _fail(status: int, retry_after: str | None, url: str) -> NoReturn:
    if status in GONE:
        raise FetchRejected(Reject.IMAGE_UNAVAILABLE, url, status)
    if status in TRANSIENT:
        raise MayPassError("no image", status, parse_retry_after(retry_after, datetime.datetime.now(datetime.UTC)))
    raise FetchRejected(Reject.DOWNLOAD_FAILED, url, status)


async def _discard(response: aiohttp.ClientResponse) -> None:
    """Reads a short answer to its end, so that its connection can be used again."""
    length = response.content_length
    if length is not None and length <= _DISCARDED_BYTES:
        # The status is known, so a fault of the body does not matter.
        with contextlib.suppress(Exception):
            await response.read()
