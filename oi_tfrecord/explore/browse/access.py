"""Who may ask the server of the browser: who knows the token of its address, under a name of this machine."""

import dataclasses
import hmac
import ipaddress
import secrets
import socket
import urllib.parse

LOOPBACK = "127.0.0.1"

NO_PAGE = "'none'"

LOCAL_PAGES = "http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:*"

ALL_PAGES = "http: https:"
"""Pages that may show the browser in a frame, as a Content-Security-Policy names them (frame-ancestors)."""

_TOKEN_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Access:
    """What a request must have.

    Attributes:
        token: first part of each path; other users of the machine can reach the port, but do not know the token.
        names: names and addresses of this machine that the Host header may have.
        takes_addresses: whether the Host header may be any IP address, which no foreign page can have as its name.
        frame_ancestors: pages that may show the browser in a frame.
    """

    token: str
    names: frozenset[str]
    takes_addresses: bool
    frame_ancestors: str = NO_PAGE


def make_access(host: str) -> Access:
    """Returns the access to a server that listens on a host, with a new token."""
    if is_loopback(host):
        return Access(secrets.token_hex(_TOKEN_BYTES), frozenset({LOOPBACK, "localhost", host.lower()}), False)
    names = frozenset({LOOPBACK, "localhost", host.lower(), socket.gethostname().lower()})
    return Access(secrets.token_hex(_TOKEN_BYTES), names, True)


def make_notebook_access(host: str) -> Access:
    """Returns the access to a server that a notebook shows in a frame.

    The notebook's page comes from this machine, like the server on the loopback, or from a host that is not known here;
    then, the token alone keeps other pages from the server.
    """
    frame_ancestors = LOCAL_PAGES if is_loopback(host) else ALL_PAGES
    return dataclasses.replace(make_access(host), frame_ancestors=frame_ancestors)


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a host."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on a host, a name or an IP address; port 0 takes a free port.

    Raises:
        OSError, OverflowError: if the host or the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def format_address(host: str, port: int, access: Access) -> str:
    """Returns the address of the first page, as a browser takes it."""
    every_interface = _is_address(host) and ipaddress.ip_address(host).is_unspecified
    name = socket.gethostname() if every_interface else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/{access.token}/"


def find_refusal(access: Access, host: str, origin: str, path: str) -> str:
    """Returns why a request is refused; an empty text if the request may be answered.

    Args:
        access: what a request must have.
        host: the Host header.
        origin: the Origin header; empty without one.
        path: path of the URL.
    """
    name = _host_name(host)
    # DNS rebinding: a page whose own name resolves to this machine could ask otherwise.
    if name not in access.names and not (access.takes_addresses and _is_address(name)):
        return "unknown host"
    if origin and origin.partition("://")[2] != host:
        return "the page is from elsewhere"
    token = path.split("/")[1] if "/" in path else ""
    if not hmac.compare_digest(token.encode(), access.token.encode()):
        return "open the address that `oi-tfrecord browse` printed, which ends in a token"
    return ""


def _host_name(host: str) -> str:
    """Returns the name or IP address of a Host header; an empty text if the header is malformed."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
