"""Seeded schedules of damage and change: a flipped bit in what is compressed, an input that changes in mid-run.

Each run ends with the bytes of an undisturbed one, or names the file. Damage within a zip may also cost the images
that it hits; these are listed, and all other records are as they were.
"""

import bz2
import dataclasses
import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Iterator

import pytest

from oi_tfrecord.records.tfrecord import read_records
from tests.support.fault_filesystem import Faults, FaultyFileSystem
from tests.support.faulty_runs import (
    ALL_THROUGH_BEAM,
    IN,
    WAYS,
    Conversion,
    cheap_pipelines,
    few_images,
    run_command,
    written,
)

SCHEDULES = 150 if ALL_THROUGH_BEAM else 10
TABLE = f"{IN}/train/annotations-human-bbox.csv"


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversion]:
    with cheap_pipelines(), few_images(tmp_path_factory.mktemp("release") / "data") as made:
        yield made


def records(files: dict[str, bytes]) -> set[bytes]:
    shards = [data for path, data in files.items() if ".tfrecord-" in path]
    return {record for data in shards for _, record in read_records(io.BytesIO(data))}


def images_of(conversion: Conversion) -> dict[str, bytes]:
    return {path.rpartition("/")[2]: data for path, data in conversion.inputs.items() if path.endswith(".jpg")}


def pack_tar_gz(images: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in images.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pack_zip(images: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in images.items():
            zipped.writestr(name, data)
    return out.getvalue()


def flip(data: bytes, chosen: random.Random) -> bytes:
    place = chosen.randrange(8 * len(data))
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


@pytest.mark.parametrize("kind", ["gz", "bz2", "tar.gz", "zip"])
def test_damage_in_what_is_compressed_is_named_or_without_effect(conversion: Conversion, kind: str) -> None:
    undisturbed = records(conversion.undisturbed)
    inputs = dict(conversion.inputs)
    others: dict[str, object] = {}
    if kind in ("gz", "bz2"):
        path = f"{TABLE}.{kind}"
        whole = (gzip.compress if kind == "gz" else bz2.compress)(inputs.pop(TABLE))
    else:
        path = f"{IN}/all.{kind}"
        whole = (pack_tar_gz if kind == "tar.gz" else pack_zip)(images_of(conversion))
        others = {"images": None, "archives": path}
    ended = {"named": 0, "whole": 0}
    for seed in range(SCHEDULES):
        stored = flip(whole, random.Random(seed)) if seed else whole
        run = dataclasses.replace(conversion, inputs={**inputs, path: stored})
        run.start(Faults(seed, error_rate=0.0))
        code, err = run_command(run.flags(**WAYS[list(WAYS)[seed % len(WAYS)]], **others))
        found = records(written())
        if code == 0 and found == undisturbed:
            ended["whole"] += 1
            continue
        assert seed, err
        text = err + "".join(data.decode(errors="replace") for name, data in written().items() if ".csv" in name)
        assert path in text, (seed, err)
        assert found <= undisturbed, seed
        ended["named"] += 1
    assert all(ended.values()), ended


class ChangingFaults(Faults):
    """A schedule that changes a file at one request, and lets every request pass."""

    def __init__(self, at: int, path: str, data: bytes):
        super().__init__(0, error_rate=0.0)
        self.at, self.path, self.data = at, path, data
        self.requests = 0

    def request(self, kind: str, path: str) -> None:
        with self.lock:
            self.requests += 1
            if self.requests == self.at:
                FaultyFileSystem.files[self.path] = self.data


def test_a_table_that_changes_in_mid_run_is_named_or_without_effect(conversion: Conversion) -> None:
    whole = conversion.inputs[TABLE]
    lines = whole.splitlines(keepends=True)
    changes = (b"".join(lines[:-3]), b"".join([*lines, lines[-1]]))
    counting = ChangingFaults(0, TABLE, whole)
    conversion.run_once(counting, "files")
    versions = [records(conversion.undisturbed)]
    for data in changes:
        changed = dataclasses.replace(conversion, inputs={**conversion.inputs, TABLE: data})
        changed.run_once(Faults(0, error_rate=0.0), "files")
        versions.append(records(written()))
    ended = {"named": 0, "one version": 0}
    for seed in range(SCHEDULES):
        data = changes[seed % len(changes)]
        at = random.Random(seed).randrange(1, counting.requests)
        conversion.start(ChangingFaults(at, TABLE, data))
        code, err = run_command(conversion.flags(**WAYS["files"]))
        if code == 0:
            assert records(written()) in versions, (seed, at)
            ended["one version"] += 1
        else:
            assert TABLE in err, (seed, at, err)
            ended["named"] += 1
    # A change before the plan or after the last look at the table has no effect; few schedules have one of these.
    assert ended["named"] > SCHEDULES // 2, ended
