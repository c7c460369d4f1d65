import socket

import pytest

from oi_tfrecord.explore.browse.access import (
    Access,
    find_refusal,
    format_address,
    is_loopback,
    make_access,
    make_notebook_access,
)


def refusal(access: Access, host: str, origin: str = "", path: str = "") -> str:
    return find_refusal(access, host, origin, path or f"/{access.token}/api")


def test_tokens_differ_from_start_to_start() -> None:
    assert make_access("127.0.0.1").token != make_access("127.0.0.1").token
    assert len(make_access("127.0.0.1").token) >= 32


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost:8000", "LOCALHOST", "127.0.0.1"])
def test_names_of_the_loopback_are_answered(host: str) -> None:
    assert refusal(make_access("127.0.0.1"), host) == ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1:8000", "", "[::1"])
def test_other_names_are_refused_on_the_loopback(host: str) -> None:
    assert refusal(make_access("127.0.0.1"), host) == "unknown host"


def test_a_server_for_other_machines_takes_its_name_and_any_ip_address() -> None:
    access = make_access("0.0.0.0")
    for host in (f"{socket.gethostname()}:8000", "10.0.0.1:8000", "[fe80::1]:8000", "localhost:1"):
        assert refusal(access, host) == ""
    assert refusal(access, "evil.example:8000") == "unknown host"
    assert refusal(make_access("my.machine.example"), "my.machine.example:80") == ""


def test_pages_of_this_machine_may_show_the_browser_of_a_notebook_in_a_frame() -> None:
    assert make_access("127.0.0.1").frame_ancestors == "'none'"
    assert "http://localhost:*" in make_notebook_access("127.0.0.1").frame_ancestors.split()
    assert make_notebook_access("0.0.0.0").frame_ancestors == "http: https:"


def test_token_and_origin_are_compared() -> None:
    access = make_access("127.0.0.1")
    for path in ("/", "", "/x/", f"/{access.token}x/", f"/{access.token[:-1]}", "/é"):
        assert "token" in find_refusal(access, "localhost:1", "", path)
    assert refusal(access, "localhost:1", "http://localhost:1") == ""
    assert refusal(access, "localhost:1", "http://localhost:2") == "the page is from elsewhere"


def test_the_address_is_one_that_a_browser_takes() -> None:
    access = Access("t", frozenset(), False)
    assert format_address("127.0.0.1", 80, access) == "http://127.0.0.1:80/t/"
    assert format_address("::1", 80, access) == "http://[::1]:80/t/"
    assert format_address("0.0.0.0", 80, access) == f"http://{socket.gethostname()}:80/t/"


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "a.example")] == [True] * 3 + [
        False
    ] * 2
