"""Objects of s3:// and gs:// in one request each, by many threads at once.

Beam's filesystems make a client for every file they open, ask for its size first, and so take two
requests, a connection and several milliseconds of processor time for each. Here a process has one
client per scheme with room for a connection per thread. What clients need to know comes from
Beam's flags, so that one command line says it for all.
"""

import dataclasses
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

SCHEMES = ("s3://", "gs://")

MAX_CONNECTIONS = 1024
"""Bound on the connections kept open; as many as there may be threads (`read_threads`)."""

_ATTEMPTS = 6

_TIMEOUT_SECONDS = 60

_NAME = re.compile(r"[a-z0-9]+://([^/]+)/(.+)", re.DOTALL)


class Client(Protocol):
    """Requests to one store; raises FileNotFoundError for an object that is not there."""

    def read(self, bucket: str, name: str, start: int, length: int | None) -> bytes:
        """Returns up to `length` bytes (None: all) from `start` of an object."""

    def write_empty(self, bucket: str, name: str) -> None:
        """Writes an object without any bytes."""


def read(path: str, start: int, length: int | None, make_options: Callable[[], Any]) -> bytes:
    """Returns up to `length` bytes of an object, in one request.

    Args:
        path: of the object, s3:// or gs://.
        start: first byte; beyond the end there is nothing.
        length: bytes at most, None for all. A request that fails for a reason that may pass is sent again, later
            each time.
        make_options: returns Beam's PipelineOptions; called once.

    Raises:
        FileNotFoundError: if there is no such object.
        Exception: of the store's library, when it cannot be reached or refuses.
    """
    bucket, name = _split(path)
    return _client(path[:5], make_options).read(bucket, name, start, length)


def write_empty(path: str, make_options: Callable[[], Any]) -> None:
    """Writes an object without any bytes, see `read`."""
    bucket, name = _split(path)
    _client(path[:5], make_options).write_empty(bucket, name)


def _split(path: str) -> tuple[str, str]:
    parts = _NAME.fullmatch(path)
    if parts is None:
        raise FileNotFoundError(2, "names no object", path)
    return parts[1], parts[2]


def forget_clients() -> None:
    """Forgets the clients, as their options changed."""
    with _lock:
        _clients.clear()


_clients: dict[str, Client] = {}

_lock = threading.Lock()


def _client(scheme: str, make_options: Callable[[], Any]) -> Client:
    with _lock:
        if scheme not in _clients:
            _clients[scheme] = (_make_s3 if scheme == "s3://" else _make_gcs)(make_options())
        return _clients[scheme]


@dataclasses.dataclass(frozen=True)
class _S3:
    client: Any
    faults: tuple[type[Exception], ...]
    """Those of a response that is broken off, which botocore leaves to who reads it."""

    def read(self, bucket: str, name: str, start: int, length: int | None) -> bytes:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._read(bucket, name, start, length)
            except self.faults:
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.5, 1) * 2 ** (attempt - 2))
        raise AssertionError("unreachable")

    def write_empty(self, bucket: str, name: str) -> None:
        self.client.put_object(Bucket=bucket, Key=name)

    def _read(self, bucket: str, name: str, start: int, length: int | None) -> bytes:
        wanted = {"Range": f"bytes={start}-{'' if length is None else start + length - 1}"} if start else {}
        try:
            answer = self.client.get_object(Bucket=bucket, Key=name, **wanted)
        except self.client.exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in ("NoSuchKey", "NoSuchBucket", "404"):
                raise FileNotFoundError(2, "no such object", f"s3://{bucket}/{name}") from None
            if code == "InvalidRange":
                return b""
            raise
        with answer["Body"] as body:
            data: bytes = body.read() if length is None or answer["ContentLength"] <= length else body.read(length)
        return data


def _make_s3(options: Any) -> _S3:
    import boto3
    import botocore.config
    import botocore.exceptions
    from apache_beam.options.pipeline_options import S3Options

    given = options.view_as(S3Options)
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=given.s3_endpoint_url,
        region_name=given.s3_region_name,
        api_version=given.s3_api_version,
        use_ssl=not given.s3_disable_ssl,
        verify=given.s3_verify,
        aws_access_key_id=given.s3_access_key_id,
        aws_secret_access_key=given.s3_secret_access_key,
        aws_session_token=given.s3_session_token,
        config=botocore.config.Config(
            max_pool_connections=MAX_CONNECTIONS,
            connect_timeout=_TIMEOUT_SECONDS,
            read_timeout=_TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        ),
    )
    errors = botocore.exceptions
    return _S3(client, (errors.ReadTimeoutError, errors.ResponseStreamingError, errors.IncompleteReadError))


@dataclasses.dataclass(frozen=True)
class _Gcs:
    client: Any
    retry: Any

    def read(self, bucket: str, name: str, start: int, length: int | None) -> bytes:
        from google.api_core import exceptions

        blob = self.client.bucket(bucket).blob(name)
        try:
            # Raw: what is stored compressed is not to be unpacked on the way.
            part: dict[str, Any] = {} if length is None else {"start": start, "end": start + length - 1}
            data: bytes = blob.download_as_bytes(**part, raw_download=True, timeout=_TIMEOUT_SECONDS, retry=self.retry)
        except exceptions.NotFound:
            raise FileNotFoundError(2, "no such object", f"gs://{bucket}/{name}") from None
        except exceptions.RequestRangeNotSatisfiable:
            # An empty object has no first byte.
            return b""
        return data

    def write_empty(self, bucket: str, name: str) -> None:
        self.client.bucket(bucket).blob(name).upload_from_string(b"", timeout=_TIMEOUT_SECONDS, retry=self.retry)


def _make_gcs(options: Any) -> _Gcs:
    from apache_beam.io.gcp.gcsio import create_storage_client
    from google.cloud.storage.retry import DEFAULT_RETRY
    from requests.adapters import HTTPAdapter

    client = create_storage_client(options)
    # What the library recommends for many threads; it has no setting for it (googleapis/python-storage issue 253).
    for scheme in ("http://", "https://"):
        client._http.mount(scheme, HTTPAdapter(pool_connections=8, pool_maxsize=MAX_CONNECTIONS))
    return _Gcs(client, DEFAULT_RETRY.with_timeout(_TIMEOUT_SECONDS))
