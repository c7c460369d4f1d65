import collections
import dataclasses
import pathlib
import tarfile
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.conversion.transforms import ReadTables, ReadTablesToFiles
from oi_tfrecord.conversion.write_shards import read_batches
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.join.shuffle_files import read_index
from tests.support import small_release

NUM_SHARDS = 3


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> RangeJob:
    """Tables in several ranges, and the images in an archive."""
    folder = tmp_path_factory.mktemp("release")
    release = small_release.write_release(folder / "data", images=40)
    with tarfile.open(folder / "all.tar", "w") as tar:
        tar.add(release.folder / "images", "train")
    flags = release.flags(folder / "out", num_shards=NUM_SHARDS, images=None, archives=folder / "all.tar")
    made = make_plan(parse_convert(flags).config).range_job(frozenset())
    made.work.create({})
    return dataclasses.replace(made, block_bytes=2000)


KEPT: dict[str, list[Any]] = collections.defaultdict(list)


class Keep(beam.DoFn):
    """Keeps the elements of a step; the pipeline runs in this process."""

    def __init__(self, name: str):
        self._name = name

    def process(self, element: Any) -> None:
        KEPT[self._name].append(element)


def run(build: Any) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build(pipeline)
    pipeline.run().wait_until_finish()


def in_order(accounts: list[RangeAccount]) -> list[RangeAccount]:
    free = [dataclasses.replace(account, cpu_seconds=0.0) for account in accounts]
    return sorted(free, key=lambda account: (account.table, account.file, account.index))


def test_both_ways_give_the_same_rows_and_accounts(job: RangeJob, tmp_path: pathlib.Path) -> None:
    KEPT.clear()

    def through_runner(root: beam.Pipeline) -> None:
        tables = root | ReadTables(job)
        tables.batches | "KeepBatches" >> beam.ParDo(Keep("batches"))
        tables.accounts | "KeepAccounts" >> beam.ParDo(Keep("accounts"))

    through_files = dataclasses.replace(job, shuffle_folder=str(tmp_path))
    run(through_runner)
    run(lambda root: root | ReadTablesToFiles(through_files, threads=2) | beam.ParDo(Keep("of files")))
    assert in_order(KEPT["accounts"]) == in_order(KEPT["of files"])
    tables = {account.table for account in KEPT["accounts"]}
    assert tables == {"metadata", "boxes", "human_labels", "image_files"}
    assert len([account for account in KEPT["accounts"] if account.table == "boxes"]) > 2
    index = read_index(str(tmp_path))
    for shard in range(NUM_SHARDS):
        of_runner = read_batches(batch for number, batch in KEPT["batches"] if number == shard)
        of_files = index.tables(shard)
        assert list(of_files) == list(of_runner)
        for table, rows in of_runner.items():
            assert of_files[table].rows.tobytes() == rows.rows.tobytes()
            assert (of_files[table].sources, of_files[table].keys) == (rows.sources, rows.keys)
            assert of_files[table].range_of.tolist() == rows.range_of.tolist()
            assert of_files[table].text_columns == rows.text_columns
    for account in KEPT["accounts"]:
        assert account.cpu_seconds > 0
    shuffled = sum(len(batch) for _, batch in KEPT["batches"])
    assert sum(account.shuffled_bytes for account in KEPT["accounts"]) == shuffled > 0
