"""What an S3 server and a GCS emulator keep of objects."""

import base64

import google_crc32c
import pytest

from oi_tfrecord import storage
from oi_tfrecord.errors import StorageError
from oi_tfrecord.storage.kept_checksums import KeptChecksum, find_kept_checksums
from tests.support.object_servers import BUCKET, S3Store, Store

DATA = {"a": b"first", "b": b""}


def crc_of(data: bytes) -> bytes:
    return google_crc32c.value(data).to_bytes(4, "big")


def test_the_checksums_of_objects_are_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    storage.use_options(store.flags())
    for name, data in DATA.items():
        if isinstance(store, S3Store):
            given = base64.b64encode(crc_of(data)).decode()
            store.client.put_object(
                Bucket=BUCKET, Key=name, Body=data, ChecksumAlgorithm="CRC32C", ChecksumCRC32C=given
            )
        else:
            store.put(name, data)
    found = find_kept_checksums([f"{store.root}/{name}" for name in DATA])
    assert found == [KeptChecksum(crc_of(data).hex()) for data in DATA.values()]
    if isinstance(store, S3Store):
        # As this program uploads objects.
        storage.write(f"{store.root}/plain", b"data", "")
        assert find_kept_checksums([f"{store.root}/plain"]) == [
            KeptChecksum("", "the store keeps no CRC-32C of the whole object")
        ]
    with pytest.raises(StorageError, match="none"):
        find_kept_checksums([f"{store.root}/none"])


def test_other_stores_keep_none() -> None:
    assert find_kept_checksums(["az://container/a"]) == [KeptChecksum("", "az:// keeps no CRC-32C")]
    assert find_kept_checksums([]) == []


@pytest.mark.parametrize(
    ("checksum", "kind"), [("AAAAAA==-3", "COMPOSITE"), ("AAAAAA==-3", ""), ("AAAAAA==", "COMPOSITE")]
)
def test_a_checksum_of_parts_is_not_that_of_the_object(
    checksum: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def head_object(self, **_: str) -> dict[str, str]:
            return {"ChecksumCRC32C": checksum, "ChecksumType": kind}

    monkeypatch.setattr("oi_tfrecord.storage.kept_checksums._open_s3", Client)
    [found] = find_kept_checksums(["s3://bucket/a"])
    assert (found.crc32c, bool(found.problem)) == ("", True)
