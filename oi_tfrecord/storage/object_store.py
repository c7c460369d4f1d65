"""Objects of s3:// and gs:// in one request each, by many threads at once.

Beam's filesystems make a client for every file they open and ask for its size first: two requests, a connection and
several milliseconds of processor time for each file. A client made here serves all threads of a process, with a
connection for each. Its settings come from Beam's flags, so that one command line is enough for both.
"""

import dataclasses
import re
from typing import Any, Protocol

from oi_tfrecord.storage.retry import RetryPolicy, retry

MAX_CONNECTIONS = 1024
"""Bound on the connections kept open; there may be as many threads (`read_threads`)."""

_RETRY = RetryPolicy(attempts=6)

_TIMEOUT_SECONDS = 60

_NAME = re.compile(r"[a-z0-9]+://([^/]+)/(.+)", re.DOTALL)


class ObjectStore(Protocol):
    """The objects of one scheme; its methods may be called from several threads."""

    def read_range(self, path: str, offset: int, length: int | None) -> bytes:
        """Reads a part of an object in one request, which is sent again while it fails for a reason that may pass.

        Args:
            path: of the object, with its scheme.
            offset: first byte; there is nothing beyond the end.
            length: bytes at most, None for all.

        Returns:
            The bytes.

        Raises:
            FileNotFoundError: if there is no such object.
            Exception: of the store's library, if the store cannot be reached or refuses.
        """

    def write_empty(self, path: str) -> None:
        """Writes an object without any bytes."""


def open_store(scheme: str, options: Any) -> ObjectStore:
    """Returns the store of a scheme.

    Args:
        scheme: `s3://` or `gs://`.
        options: Beam's PipelineOptions.
    """
    return _open_s3(options) if scheme == "s3://" else _open_gcs(options)


def _split(path: str) -> tuple[str, str]:
    """Returns bucket and name of an object."""
    parts = _NAME.fullmatch(path)
    if parts is None:
        raise FileNotFoundError(2, "names no object", path)
    return parts[1], parts[2]


@dataclasses.dataclass(frozen=True)
class _S3:
    client: Any
    faults: tuple[type[Exception], ...]
    """Exceptions of a response that breaks off, after which botocore does not send a request again."""

    def read_range(self, path: str, offset: int, length: int | None) -> bytes:
        return retry(
            lambda: self._read_once(path, offset, length), lambda error: isinstance(error, self.faults), _RETRY
        )

    def write_empty(self, path: str) -> None:
        bucket, name = _split(path)
        self.client.put_object(Bucket=bucket, Key=name)

    def _read_once(self, path: str, offset: int, length: int | None) -> bytes:
        bucket, name = _split(path)
        part = {"Range": f"bytes={offset}-{'' if length is None else offset + length - 1}"} if offset else {}
        try:
            answer = self.client.get_object(Bucket=bucket, Key=name, **part)
        except self.client.exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in ("NoSuchKey", "NoSuchBucket", "404"):
                raise FileNotFoundError(2, "no such object", path) from None
            if code == "InvalidRange":
                return b""
            raise
        with answer["Body"] as body:
            data: bytes = body.read() if length is None or answer["ContentLength"] <= length else body.read(length)
        return data


def _open_s3(options: Any) -> ObjectStore:
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
            retries={"mode": "standard", "total_max_attempts": _RETRY.attempts},
        ),
    )
    errors = botocore.exceptions
    return _S3(client, (errors.ReadTimeoutError, errors.ResponseStreamingError, errors.IncompleteReadError))


@dataclasses.dataclass(frozen=True)
class _Gcs:
    client: Any
    retry: Any

    def read_range(self, path: str, offset: int, length: int | None) -> bytes:
        from google.api_core import exceptions

        part: dict[str, Any] = {} if length is None else {"start": offset, "end": offset + length - 1}
        try:
            # Raw: an object that is stored compressed stays compressed on the way.
            data: bytes = self._blob(path).download_as_bytes(
                **part, raw_download=True, timeout=_TIMEOUT_SECONDS, retry=self.retry
            )
        except exceptions.NotFound:
            raise FileNotFoundError(2, "no such object", path) from None
        except exceptions.RequestRangeNotSatisfiable:
            # An empty object has no first byte.
            return b""
        return data

    def write_empty(self, path: str) -> None:
        self._blob(path).upload_from_string(b"", timeout=_TIMEOUT_SECONDS, retry=self.retry)

    def _blob(self, path: str) -> Any:
        bucket, name = _split(path)
        return self.client.bucket(bucket).blob(name)


def _open_gcs(options: Any) -> ObjectStore:
    from apache_beam.io.gcp.gcsio import create_storage_client
    from google.cloud.storage.retry import DEFAULT_RETRY
    from requests.adapters import HTTPAdapter

    client = create_storage_client(options)
    # The library recommends this for many threads and has no setting for it (googleapis/python-storage issue 253).
    for scheme in ("http://", "https://"):
        client._http.mount(scheme, HTTPAdapter(pool_connections=8, pool_maxsize=MAX_CONNECTIONS))
    return _Gcs(client, DEFAULT_RETRY.with_timeout(_TIMEOUT_SECONDS))
