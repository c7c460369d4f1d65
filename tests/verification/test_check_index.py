import pathlib
from collections.abc import Callable

import pytest

from oi_tfrecord.dataset.shard_index import index_file
from oi_tfrecord.verification.verify import VerifyOptions, verify


@pytest.fixture
def output_dir(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> pathlib.Path:
    assert run(sample, tmp_path / "out", split="validation").code == 0
    return tmp_path / "out"


def faults_of(folder: pathlib.Path) -> list[tuple[str, str]]:
    return [(fault.file, str(fault.kind)) for fault in verify(VerifyOptions(str(folder), workers=1)).faults]


def test_an_index_that_contradicts_its_shard_is_a_fault(output_dir: pathlib.Path) -> None:
    first, *_ = sorted(output_dir.glob("validation.tfrecord-*"))
    index = output_dir / index_file(first.name)
    assert faults_of(output_dir) == []
    whole = index.read_bytes()
    for text in (b"0 16\n", b"none", b"", whole + b"9 9\n"):
        index.write_bytes(text)
        assert faults_of(output_dir) == [(index_file(first.name), "index")]
    index.unlink()
    assert faults_of(output_dir) == [], "a shard without an index is scanned"
    index.write_bytes(whole)
    index.with_name("validation-00098-of-00099.idx").write_bytes(whole)
    index.with_name("other.idx").write_bytes(whole)
    assert faults_of(output_dir) == [("index/validation-00098-of-00099.idx", "index")]
