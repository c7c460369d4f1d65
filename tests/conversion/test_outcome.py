import dataclasses
import json
import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.outcome import (
    LISTED_LOSSES,
    ConversionResult,
    check_end,
    dry_run_lines,
    find_problems,
    summary_lines,
)
from oi_tfrecord.conversion.pipeline import build_template_pipeline
from oi_tfrecord.conversion.planning.plan import make_plan
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


def test_too_many_rejects_are_named_with_their_file() -> None:
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
    assert len(lines) == LISTED_LOSSES + 2
    assert "shard 9 of 99 is missing" in lines
    assert lines[-2] == f"... and {90 - LISTED_LOSSES} more"


def test_a_job_that_nobody_waits_for_fails_and_leaves_the_dataset(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    plan = make_plan(parse_convert(release.flags(tmp_path / "out", max_rejects="0")).config)
    prepare_output(plan.target)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build_template_pipeline(pipeline, plan, ())
    with pytest.raises(Exception, match="--max_rejects=0 allows"):
        pipeline.run().wait_until_finish()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["splits"]["train"]["balanced"]
    assert (tmp_path / "out" / "rejects-train.csv").stat().st_size


def split() -> dict[str, Any]:
    return {
        "totals": {"records": 1234, "shards": 5, "bytes": 45_678_900},
        "images": {"selected": 1240, "not_selected": 7, "rejected": {"image_missing": 4, "image_empty": 2}},
        "tables": {
            "boxes": {
                "rows_read": 5000,
                "written": 4000,
                "rejected": {"degenerate_box": 1},
                "dropped": {"small_box": 900, "class_not_chosen": 99},
            },
            "metadata": {"rows_read": 1247, "written": 1234, "rejected": {}, "dropped": {}},
        },
        "warnings": [],
    }


def result_of(manifest: dict[str, Any], num_shards: int = 5) -> ConversionResult:
    return ConversionResult(
        output_dir="/records",
        split="train",
        num_shards=num_shards,
        manifest=manifest,
        was_complete=False,
        resumed_shards=0,
        seconds=12.34,
        problems=(),
        exit_code=0,
    )


def line_of(lines: list[str], start: str) -> str:
    [found] = [line for line in lines if line.startswith(start)]
    return " ".join(found.split())


def test_counts_are_those_of_the_manifest() -> None:
    lines = summary_lines(result_of(split()))
    assert line_of(lines, "records") == "records 1,234 images with 4,000 boxes in 5 shards, 45.7 MB, 12.3 s"
    assert "/records/train.tfrecord-00000-of-00005 ..." in lines[1]
    assert line_of(lines, "images") == (
        "images 1,240 selected, 7 not selected, 6 rejected (image_missing 4, image_empty 2)"
    )
    assert line_of(lines, "boxes") == (
        "boxes 5,000 rows read, 4,000 written, 1 rejected (degenerate_box 1), "
        "999 left out (small_box 900, class_not_chosen 99)"
    )
    assert line_of(lines, "metadata") == "metadata 1,247 rows read, 1,234 written, 0 rejected, 0 left out"


def test_reasons_come_with_what_to_do_the_most_frequent_first() -> None:
    lines = summary_lines(result_of(split()))
    first = lines.index(next(line for line in lines if line.startswith("rejected")))
    assert lines[first].startswith("rejected   4 images (image_missing): ")
    assert lines[first + 1].startswith("           2 images (image_empty): ")
    assert lines[first + 2].startswith("           1 boxes (degenerate_box): ")
    assert line_of(lines, "left out") == "left out 900 boxes (small_box): Lower --min_box_side."
    assert lines[-1] == "next       oi-tfrecord verify /records"


def test_a_run_with_problems_names_no_next_step() -> None:
    lines = summary_lines(dataclasses.replace(result_of(split()), problems=("too many",)))
    assert not [line for line in lines if line.startswith("next")]


def test_a_table_that_was_not_read_has_no_line() -> None:
    lines = summary_lines(result_of(split()))
    assert not [line for line in lines if line.startswith(("human_labels", "machine_labels"))]


def test_files_are_named() -> None:
    lines = summary_lines(result_of(split()))
    assert line_of(lines, "label map") == "label map /records/label_map.pbtxt"
    assert line_of(lines, "manifest") == "manifest /records/manifest.json"
    assert line_of(lines, "rejects") == "rejects /records/rejects-train.csv"


def test_a_single_shard_is_named_whole() -> None:
    lines = summary_lines(result_of(split(), num_shards=1))
    assert lines[1].strip() == "/records/train.tfrecord-00000-of-00001"


def test_a_conversion_that_is_complete_says_so_first() -> None:
    lines = summary_lines(dataclasses.replace(result_of(split()), was_complete=True))
    assert lines[0] == "Nothing to do: this conversion is complete."
    assert lines[1:] == summary_lines(result_of(split()))


def test_a_dry_run_promises_no_records() -> None:
    lines = dry_run_lines(result_of(split()))
    assert line_of(lines, "dry run") == "dry run 1,234 records expected, if every image is there; 12.3 s"
    assert ".tfrecord" not in "\n".join(lines)


def test_the_summary_of_a_run_names_files_that_are_there(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from oi_tfrecord.cli.main import main

    release = small_release.write_release(tmp_path / "data", images=12)
    assert main(["convert", *release.flags(tmp_path / "out", workers=1)]) == 0
    out = capfd.readouterr().out
    named = [word for word in out.split() if word.startswith(f"{tmp_path / 'out'}/")]
    assert len(named) == 4
    assert all(pathlib.Path(path).is_file() for path in named)
