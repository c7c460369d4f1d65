import hashlib
import pathlib
import threading
from collections.abc import Iterator

import pytest

from oi_tfrecord.errors import InputError, StorageError
from oi_tfrecord.settings.published_files import PublishedFile
from oi_tfrecord.sources.part_file import open_part
from oi_tfrecord.sources.transfer import TransferRun, TransferSettings, TransferStopped, ask_size, download_file
from oi_tfrecord.storage.retry import RetryPolicy
from tests.support.mirror import Fault, Mirror

PATH = "/openimages/v5/validation-annotations-bbox.csv"
DATA = bytes(range(256)) * 5000
OTHER = bytes(reversed(DATA))
SETTINGS = TransferSettings(timeout=0.5, retry=RetryPolicy(attempts=3, base_delay=0.001))


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Mirror() as running:
        running.files[PATH] = DATA
        yield running


def file_at(mirror: Mirror, data: bytes = DATA) -> PublishedFile:
    return PublishedFile(mirror.url + PATH, ("a.csv",), len(data), hashlib.md5(data).hexdigest())


def unknown_at(mirror: Mirror) -> PublishedFile:
    return PublishedFile(mirror.url + PATH, ("a.csv",))


def test_a_file_comes_in_one_request(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    run = TransferRun(SETTINGS)
    download_file(file_at(mirror), tmp_path / "part", run)
    assert (tmp_path / "part").read_bytes() == DATA
    assert mirror.ranges(PATH) == [None]
    assert (run.counts.size, run.counts.received, run.counts.retries) == (len(DATA), len(DATA), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(503),
        Fault(429, headers=(("Retry-After", "0"),)),
        Fault(sent=0),
        Fault(sent=0, stalls=True),
    ],
    ids=["503", "429", "cut", "stalled"],
)
def test_what_may_pass_is_sent_again_and_counted(mirror: Mirror, tmp_path: pathlib.Path, fault: Fault) -> None:
    mirror.faults[PATH] = [fault]
    run = TransferRun(SETTINGS)
    download_file(file_at(mirror), tmp_path / "part", run)
    assert (tmp_path / "part").read_bytes() == DATA
    assert run.counts.retries == 1


def test_the_server_says_how_long_to_wait(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    mirror.faults[PATH] = [Fault(429, headers=(("Retry-After", "100000"),))]
    with pytest.raises(StorageError, match="asks to wait 100,000 s"):
        download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS))


@pytest.mark.parametrize("stalls", [False, True], ids=["cut", "stalled"])
@pytest.mark.parametrize("has_validators", [False, True], ids=["size", "etag"])
def test_a_broken_transfer_resumes_at_its_byte(
    mirror: Mirror, tmp_path: pathlib.Path, stalls: bool, has_validators: bool
) -> None:
    mirror.has_validators = has_validators
    mirror.faults[PATH] = [Fault(sent=1000, stalls=stalls)]
    run = TransferRun(SETTINGS)
    download_file(unknown_at(mirror), tmp_path / "part", run)
    assert (tmp_path / "part").read_bytes() == DATA
    assert mirror.ranges(PATH) == [None, "bytes=1000-"]
    assert run.counts.received == len(DATA)


def test_attempts_count_only_requests_that_bring_nothing(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    mirror.faults[PATH] = [Fault(sent=1000) for _ in range(20)]
    download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS))
    assert (tmp_path / "part").read_bytes() == DATA
    mirror.faults[PATH] = [Fault(503)] * 3
    with pytest.raises(StorageError, match=r"HTTP 503 \(3 attempts\)"):
        download_file(file_at(mirror), tmp_path / "other", TransferRun(SETTINGS))


def test_a_later_run_resumes(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    mirror.faults[PATH] = [Fault(sent=5000), Fault(503), Fault(503)]
    with pytest.raises(StorageError):
        download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS))
    mirror.requests.clear()
    run = TransferRun(SETTINGS)
    download_file(file_at(mirror), tmp_path / "part", run)
    assert (tmp_path / "part").read_bytes() == DATA
    assert mirror.ranges(PATH) == ["bytes=5000-"]
    assert (run.counts.size, run.counts.received) == (len(DATA), len(DATA) - 5000)


def test_a_part_of_another_address_is_dropped(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    mirror.files["/other"] = OTHER
    mirror.faults["/other"] = [Fault(sent=5000), Fault(503), Fault(503)]
    with pytest.raises(StorageError):
        download_file(PublishedFile(mirror.url + "/other", ("o",)), tmp_path / "part", TransferRun(SETTINGS))
    download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS))
    assert (tmp_path / "part").read_bytes() == DATA


@pytest.mark.parametrize("new", [OTHER, OTHER[:500], OTHER * 2], ids=["equal size", "shorter", "longer"])
@pytest.mark.parametrize("has_validators", [False, True], ids=["size", "etag"])
def test_a_file_that_changes_meanwhile_begins_again(
    mirror: Mirror, tmp_path: pathlib.Path, new: bytes, has_validators: bool
) -> None:
    mirror.has_validators = has_validators
    mirror.faults[PATH] = [Fault(sent=1000, then=lambda: mirror.files.update({PATH: new}))]
    # Without validator and size, only the checksum shows a change.
    known = PublishedFile(mirror.url + PATH, ("a.csv",), None, hashlib.md5(new).hexdigest())
    run = TransferRun(SETTINGS)
    download_file(known, tmp_path / "part", run)
    assert (tmp_path / "part").read_bytes() == new
    assert run.counts.size == len(new)


def test_a_server_without_ranges_begins_again(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    mirror.takes_ranges = False
    mirror.faults[PATH] = [Fault(sent=1000)]
    download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS))
    assert (tmp_path / "part").read_bytes() == DATA


@pytest.mark.parametrize(
    "fault",
    [
        Fault(body=b"<html>login</html>", headers=(("Content-Type", "text/html; charset=utf-8"),)),
        Fault(body=b"\n<!DOCTYPE html><title>login</title>"),
    ],
    ids=["by type", "by content"],
)
def test_an_html_page_is_an_error(mirror: Mirror, tmp_path: pathlib.Path, fault: Fault) -> None:
    mirror.faults[PATH] = [fault]
    with pytest.raises(InputError, match="HTML page, not the file"):
        download_file(unknown_at(mirror), tmp_path / "part", TransferRun(SETTINGS))
    assert len(mirror.requests) == 1
    download_file(unknown_at(mirror), tmp_path / "part", TransferRun(SETTINGS))
    assert (tmp_path / "part").read_bytes() == DATA


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_what_cannot_pass_is_not_sent_again(mirror: Mirror, tmp_path: pathlib.Path, code: int) -> None:
    mirror.faults[PATH] = [Fault(code)]
    with pytest.raises(InputError, match=f"HTTP {code}"):
        download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS))
    assert len(mirror.requests) == 1


def test_another_size_is_an_error_before_the_bytes_come(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    run = TransferRun(SETTINGS)
    with pytest.raises(InputError, match=r"has 1,280,000 bytes, the published file has 3"):
        download_file(PublishedFile(mirror.url + PATH, ("a",), 3), tmp_path / "part", run)
    assert run.counts.received == 0


@pytest.mark.parametrize("known", ["md5", "sha256"])
def test_another_checksum_is_an_error(mirror: Mirror, tmp_path: pathlib.Path, known: str) -> None:
    checksum = hashlib.new(known, OTHER).hexdigest()
    with pytest.raises(InputError, match=f"its {known.upper()} is {hashlib.new(known, DATA).hexdigest()}"):
        download_file(
            PublishedFile(mirror.url + PATH, ("a",), **{known: checksum}), tmp_path / "part", TransferRun(SETTINGS)
        )
    assert (tmp_path / "part").stat().st_size == 0


def test_a_host_that_does_not_answer_ends_in_one_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StorageError, match=r"\(3 attempts\)"):
        download_file(PublishedFile("http://127.0.0.1:1/a", ("a",)), tmp_path / "part", TransferRun(SETTINGS))


def test_a_stopped_run_keeps_what_came(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(TransferStopped):
        download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS, stopped=stopped))
    assert 0 < (tmp_path / "part").stat().st_size <= len(DATA)


def test_two_runs_do_not_write_one_part(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    with open_part(tmp_path / "part"), pytest.raises(StorageError, match="another run"):
        download_file(file_at(mirror), tmp_path / "part", TransferRun(SETTINGS))


def test_sizes_are_asked_for(mirror: Mirror) -> None:
    assert ask_size(unknown_at(mirror), SETTINGS) == len(DATA)
    assert ask_size(PublishedFile(mirror.url + "/no", ("a",)), SETTINGS) is None
    assert ask_size(PublishedFile("http://127.0.0.1:1/a", ("a",)), SETTINGS) is None
