import json
import pathlib

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.conversion.finish import FinishJob
from oi_tfrecord.conversion.transforms import FinishDataset
from oi_tfrecord.dataset.accounts import encode_account, sum_accounts
from oi_tfrecord.dataset.manifest import build_split
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.records.packed_label_map import pack
from tests.dataset.test_manifest import BOXES, IMAGES, LABEL_MAP, MORE_BOXES, RANGES, SHARDS


def test_the_manifest_has_each_shard_once_also_those_of_an_earlier_run(tmp_path: pathlib.Path) -> None:
    work = WorkFolder.of(str(tmp_path), "train")
    work.create({})
    job = FinishJob("train", str(tmp_path), work, (BOXES, MORE_BOXES, IMAGES), {})
    for account in SHARDS:
        work.write_result(account.shard, encode_account(account))
    first, *others = [account.shard for account in SHARDS]
    pipeline = beam.Pipeline(runner=FnApiRunner())
    accounts = pipeline | "Accounts" >> beam.Create(RANGES)
    # A runner may write a shard twice.
    shards = pipeline | "Shards" >> beam.Create([*others, *others])
    label_map = beam.pvalue.AsSingleton(pipeline | "LabelMap" >> beam.Create([pack(LABEL_MAP)]))
    (accounts, shards) | FinishDataset(job, label_map, [first])
    pipeline.run().wait_until_finish()
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())["splits"]["train"]
    expected = build_split(job.inputs, sum_accounts(RANGES, SHARDS), LABEL_MAP, {})
    for name in ("shards", "totals", "tables", "classes"):
        assert manifest[name] == json.loads(json.dumps(expected[name])), name
