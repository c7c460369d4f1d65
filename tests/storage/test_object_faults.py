"""What becomes of each fault of a store, on servers that answer as S3 and web servers do."""

import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.errors import StorageError
from oi_tfrecord.storage import governor, object_store
from oi_tfrecord.storage.object_faults import explain
from oi_tfrecord.storage.retry import RetryPolicy, count_retries
from tests.support.mirror import BUCKET, Fault, Mirror

DATA = bytes(range(256)) * 100
S3_PATH = f"s3://{BUCKET}/validation/a.jpg"
KEYS = ("--s3_access_key_id=a", "--s3_secret_access_key=b")


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("READ_RETRY", "LOOK_RETRY", "SILENT_RETRY"):
        monkeypatch.setattr(object_store, name, RetryPolicy(attempts=3, base_delay=0.001))
    with Mirror() as running:
        running.add_image("validation", "a.jpg", DATA)
        storage.use_options([f"--s3_endpoint_url={running.url}", "--s3_region_name=us-east-1"])
        yield running
        storage.use_options([])


def paths(mirror: Mirror) -> tuple[str, str]:
    return S3_PATH, f"{mirror.url}/validation/a.jpg"


def error(code: str, status: int) -> Fault:
    return Fault(status, body=f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode())


def test_files_of_both_kinds_are_read_without_credentials(mirror: Mirror) -> None:
    for path in paths(mirror):
        assert storage.read_range(path, 0, len(DATA) + 1, anonymous=True) == DATA
        assert storage.read_range(path, 0, 10, anonymous=True) == DATA[:10]
        assert storage.read_range(path, 10, 10, anonymous=True) == DATA[10:20]
        assert storage.size(path, anonymous=True) == len(DATA)
        assert storage.size(path + "x", anonymous=True) is None
        with pytest.raises(FileNotFoundError):
            storage.read_range(path + "x", 0, 10, anonymous=True)
    assert not any("authorization" in request.headers for request in mirror.requests)


def test_requests_are_signed_with_the_keys_of_the_flags(mirror: Mirror) -> None:
    mirror.is_private = True
    storage.use_options([*storage.given_options(), *KEYS])
    assert storage.read_range(S3_PATH, 0, 10) == DATA[:10]
    assert "Credential=a/" in mirror.requests[-1].headers["authorization"]


def test_keys_come_from_the_files_of_the_tools(
    mirror: Mirror, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials"
    path.write_text("[other]\naws_access_key_id = c\naws_secret_access_key = d\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    storage.read_range(S3_PATH, 0, 10)
    assert "Credential=c/" in mirror.requests[-1].headers["authorization"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(503), Fault(429), Fault(500), error("SlowDown", 503), error("RequestTimeout", 400), Fault(sent=0),
        Fault(sent=100),
    ],
    ids=["503", "429", "500", "SlowDown", "RequestTimeout", "reset", "cut"],
)  # fmt: skip
def test_what_may_pass_is_sent_again_and_counted(mirror: Mirror, fault: Fault) -> None:
    before = count_retries()
    for path in paths(mirror):
        mirror.faults = {key: [fault, fault] for key in (f"/{BUCKET}/validation/a.jpg", "/validation/a.jpg")}
        assert storage.read_range(path, 0, len(DATA), anonymous=True) == DATA
    assert count_retries() - before == 4


@pytest.mark.parametrize(
    ("fault", "problem", "remedy"),
    [
        (error("ExpiredToken", 400), "the credentials have expired", "--s3_access_key_id"),
        (error("InvalidAccessKeyId", 403), "does not know the access key", "--s3_access_key_id"),
        (error("SignatureDoesNotMatch", 403), "the secret key is wrong", "--s3_secret_access_key"),
        (error("AccessDenied", 403), "access is denied", "--anonymous"),
        (error("NoSuchBucket", 404), "there is no such bucket", "--s3_endpoint_url"),
        (error("PermanentRedirect", 301), "another region", "--s3_region_name"),
    ],
    ids=["expired", "unknown key", "wrong key", "denied", "no bucket", "other region"],
)
def test_what_cannot_pass_is_one_line_with_a_remedy(mirror: Mirror, fault: Fault, problem: str, remedy: str) -> None:
    storage.use_options([*storage.given_options(), *KEYS])
    for function in (storage.size, lambda path: storage.read_range(path, 0, 10)):
        # The answer to HEAD has no body.
        mirror.faults[f"/{BUCKET}/validation/a.jpg"] = [fault]
        mirror.head_fault = fault
        mirror.requests.clear()
        with pytest.raises(StorageError, match=problem) as raised:
            function(S3_PATH)
        assert remedy in str(raised.value)
        assert "\n" not in str(raised.value)
        assert len(mirror.gets()) == 1


def test_a_host_that_does_not_answer_is_named(mirror: Mirror) -> None:
    for function in (storage.size, lambda path: storage.read_range(path, 0, 10)):
        with pytest.raises(StorageError, match=r"127\.0\.0\.1:1/.*: its host does not answer") as raised:
            function("http://127.0.0.1:1/a.jpg")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["https://host", "https://host/", "s3://bucket/a//b"])
def test_a_path_that_names_no_object_is_missing(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read_range(path, 0, 10)


@pytest.mark.parametrize("is_private", [False, True], ids=["anonymous", "signed"])
def test_a_server_is_left_alone_as_long_as_it_asks(
    mirror: Mirror, is_private: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governor, "MOST_RETRY_AFTER", 0.2)
    storage.use_options([*storage.given_options(), *KEYS])
    mirror.is_private = is_private
    for path in paths(mirror)[: 1 if is_private else 2]:
        refusal = Fault(429, headers=(("Retry-After", "100"),))
        mirror.faults = {key: [refusal, refusal] for key in (f"/{BUCKET}/validation/a.jpg", "/validation/a.jpg")}
        mirror.requests.clear()
        before = governor.throttled_seconds()
        assert storage.read_range(path, 0, 10, anonymous=not is_private) == DATA[:10]
        assert governor.throttled_seconds() - before >= 0.2
        # The second request asks for the header, which `obstore` hides.
        assert [request.headers.get("range") for request in mirror.requests][1] == "bytes=0-0"
        assert sum(mirror.gets().values()) == 3


def test_a_store_without_an_account_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StorageError, match="its account is not given") as raised:
        storage.match("az://container/a*")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_account_that_asks_pays_if_a_flag_says_so(mirror: Mirror) -> None:
    storage.use_options([*storage.given_options(), *KEYS, "--requester_pays"])
    storage.read_range(S3_PATH, 0, 10)
    assert mirror.requests[-1].headers["x-amz-request-payer"] == "requester"
    storage.use_options([*storage.given_options()[:-1]])
    storage.read_range(S3_PATH, 0, 10)
    assert "x-amz-request-payer" not in mirror.requests[-1].headers


def test_a_host_that_answers_in_part_is_not_said_to_be_silent() -> None:
    class GenericError(Exception):
        """An error of the module of obstore."""

    GenericError.__module__ = "obstore.exceptions"
    text = "Generic HTTP error: HTTP error: request or response body error\n\nDebug source:\n..."
    explained = str(explain(GenericError(text), "https://host/a.jpg"))
    assert explained.startswith("https://host/a.jpg: its host breaks off its answers: ")
