import json
import pathlib

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.conversion.command import _finish_job
from oi_tfrecord.conversion.flags import parse_convert
from oi_tfrecord.conversion.outcome import TOLD_LOSSES, check_end, find_problems
from oi_tfrecord.conversion.pipeline import build_pipeline
from oi_tfrecord.conversion.plan import make_plan
from oi_tfrecord.dataset.accounts import sum_accounts
from oi_tfrecord.dataset.manifest import build_split
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.errors import EngineError, InputError
from tests.dataset.test_manifest import BOXES, IMAGES, LABEL_MAP, MORE_BOXES, RANGES, SHARDS
from tests.support import small_release

SPLIT = build_split((BOXES, MORE_BOXES, IMAGES), sum_accounts(RANGES, SHARDS), LABEL_MAP, {}) | {"balanced": True}


def test_nothing_is_wrong_within_the_bounds() -> None:
    assert find_problems(SPLIT, "100%", "r.csv") == (0, [])
    assert check_end(SPLIT, "100%", "r.csv") is SPLIT


def test_too_many_rejects_are_told_with_their_file() -> None:
    code, lines = find_problems(SPLIT, "0", "out/r.csv")
    assert code == 2
    assert any(line.startswith("boxes: ") for line in lines)
    assert "--max_rejects=0 allows; they are listed in out/r.csv" in lines[-1]
    with pytest.raises(InputError, match=r"^out/r\.csv: .*--max_rejects=0 allows"):
        check_end(SPLIT, "0", "out/r.csv")


def test_what_does_not_balance_is_our_fault() -> None:
    code, [line] = find_problems(SPLIT | {"balanced": False}, "100%", "r.csv")
    assert code == 3
    assert "please report it" in line
    with pytest.raises(EngineError, match="please report it"):
        check_end(SPLIT | {"balanced": False}, "100%", "r.csv")


def test_what_was_lost_is_named_up_to_a_bound() -> None:
    lost = [{"file": f"train.tfrecord-{shard:05d}-of-00099"} for shard in range(9)]
    code, lines = find_problems(SPLIT | {"balanced": False, "shards": lost}, "100%", "r.csv")
    assert code == 3
    assert len(lines) == TOLD_LOSSES + 2
    assert "shard 9 of 99 has no result" in lines
    assert lines[-2] == f"... and {90 - TOLD_LOSSES} more"


def test_a_job_that_nobody_waits_for_fails_and_leaves_the_dataset(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    plan = make_plan(parse_convert(release.flags(tmp_path / "out", max_rejects="0")).config)
    prepare_output(plan)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build_pipeline(pipeline, plan, _finish_job(plan), (), fails_by_rejects=True)
    with pytest.raises(Exception, match="--max_rejects=0 allows"):
        pipeline.run().wait_until_finish()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["splits"]["train"]["balanced"]
    assert (tmp_path / "out" / "rejects-train.csv").stat().st_size
