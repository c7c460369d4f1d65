"""The CRC-32C that an object store keeps of an object, asked for without reading the object.

Google Cloud Storage keeps one of each object. S3 keeps one of the objects that were uploaded with it; what a program
uploads without a checksum, as `obstore` does, gets a CRC-64/NVME instead. `obstore` hides both, so Beam's clients ask.
"""

import base64
import concurrent.futures
import dataclasses
from collections.abc import Sequence
from typing import Any

from oi_tfrecord.storage.faults import translated
from oi_tfrecord.storage.optional_imports import install_command

_REQUESTS_AT_ONCE = 16

_EXTRAS = {"gs": "gcp", "s3": "aws"}


@dataclasses.dataclass(frozen=True)
class KeptChecksum:
    """What a store keeps of an object.

    Attributes:
        crc32c: 8 hex digits; empty if the store gives none.
        problem: why there is none.
    """

    crc32c: str
    problem: str = ""


def find_kept_checksums(paths: Sequence[str]) -> list[KeptChecksum]:
    """Returns the checksum that the object store keeps of each object.

    Args:
        paths: the objects, all in one bucket of gs://, s3:// or az://.

    Raises:
        FileNotFoundError: if an object is not there.
        StorageError: if the store cannot be reached or refuses.
    """
    if not paths:
        return []
    scheme = paths[0].partition("://")[0]
    if scheme not in _EXTRAS:
        return [KeptChecksum("", f"{scheme}:// keeps no CRC-32C")] * len(paths)
    look = {"gs": _look_at_gs, "s3": _look_at_s3}[scheme]
    with translated(paths[0]):
        try:
            client = {"gs": _open_gs, "s3": _open_s3}[scheme]()
        except ImportError:
            problem = f"the client of {scheme}:// is not installed; run: {install_command(_EXTRAS[scheme])}"
            return [KeptChecksum("", problem)] * len(paths)
        with concurrent.futures.ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            return list(pool.map(lambda path: look(client, path), paths))


def _open_gs() -> Any:
    from apache_beam.io.gcp.gcsio import GcsIO

    return GcsIO(pipeline_options=_options())


def _look_at_gs(client: Any, path: str) -> KeptChecksum:
    checksum = client.checksum(path)
    return KeptChecksum(base64.b64decode(checksum).hex()) if checksum else KeptChecksum("", "the store gives none")


def _open_s3() -> Any:
    import boto3 as boto3
    from apache_beam.io.aws.clients.s3.boto3_client import Client

    return Client(_options()).client


def _look_at_s3(client: Any, path: str) -> KeptChecksum:
    bucket, _, name = path.removeprefix("s3://").partition("/")
    answer = client.head_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")
    checksum = answer.get("ChecksumCRC32C", "")
    # The checksum of an upload in parts may be that of the checksums of the parts, and ends with their number.
    if not checksum or answer.get("ChecksumType") == "COMPOSITE" or "-" in checksum:
        return KeptChecksum("", "the store keeps no CRC-32C of the whole object")
    return KeptChecksum(base64.b64decode(checksum).hex())


def _options() -> Any:
    from oi_tfrecord.storage.store_settings import pipeline_options

    return pipeline_options()
