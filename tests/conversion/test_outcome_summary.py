import dataclasses
import io
import pathlib
from typing import Any

import pytest

from oi_tfrecord.conversion.flags import parse_convert
from oi_tfrecord.conversion.outcome import print_shard_plan, print_summary
from oi_tfrecord.conversion.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.plan_shards import ShardPlan
from tests.support import small_release

PLAN = ShardPlan(num_shards=40, images=24_000, image_bytes=250_000.0, found=0.5, sample=())
PLACE = ("images", "/a/00ff.jpg")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> ConvertPlan:
    release = small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)
    return make_plan(parse_convert(release.flags("/records")).config)


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
        "warnings": ["the last line has no line end"],
    }


def printed(plan: ConvertPlan, manifest: dict[str, Any], seconds: float = 12.34) -> list[str]:
    out = io.StringIO()
    print_summary(plan, manifest, seconds, out)
    return out.getvalue().splitlines()


def line_of(lines: list[str], start: str) -> str:
    [found] = [line for line in lines if line.startswith(start)]
    return " ".join(found.split())


def test_the_plan_tells_the_shards_that_are_used_and_the_estimate() -> None:
    out = io.StringIO()
    print_shard_plan(PLAN, 20, PLACE, out)
    # 24,000 images of 250 KB, half of them there, are 3 GB: 150 MB in each of 20 shards, not 75 as in the 40 planned.
    assert " ".join(out.getvalue().split()) == (
        "plan 20 shards of about 150 MB: about 24,000 images, 50 % of them found, 250 KB each (sampled); "
        "output about 3.00 GB"
    )


def test_a_small_output_is_told_in_its_unit() -> None:
    out = io.StringIO()
    print_shard_plan(dataclasses.replace(PLAN, images=20, image_bytes=3_000.0), 1, PLACE, out)
    assert "1 shards of about 30.0 KB" in out.getvalue()
    assert "3.00 KB each (sampled); output about 30.0 KB" in out.getvalue()


def test_where_no_image_is_found_the_plan_says_where_it_looked() -> None:
    out = io.StringIO()
    nothing = dataclasses.replace(PLAN, found=0.0, image_bytes=0.0, sampled=256, missing="00ff")
    print_shard_plan(nothing, 48, PLACE, out)
    assert " ".join(out.getvalue().split()) == (
        "plan 48 shards: about 24,000 images, none of the 256 that were looked for is there, as /a/00ff.jpg; "
        "put them there, or give another --images. Shards are planned for 300 KB an image"
    )


def test_a_plan_without_any_image_looked_for_none() -> None:
    out = io.StringIO()
    print_shard_plan(dataclasses.replace(PLAN, images=0, found=0.0, image_bytes=0.0), 1, PLACE, out)
    assert " ".join(out.getvalue().split()) == "plan 1 shards: about 0 images, as far as a sample of the tables tells"


def test_counts_are_those_of_the_manifest(plan: ConvertPlan) -> None:
    lines = printed(plan, split())
    assert line_of(lines, "records") == "records 1,234 in 5 shards, 45.7 MB, 12.3 s"
    assert "/records/train.tfrecord-00000-of-00005 ..." in lines[1]
    assert line_of(lines, "images") == (
        "images 1,240 selected, 7 not selected, 6 rejected (image_missing 4, image_empty 2)"
    )
    assert line_of(lines, "boxes") == (
        "boxes 5,000 rows read, 4,000 written, 1 rejected (degenerate_box 1), "
        "999 left out (small_box 900, class_not_chosen 99)"
    )
    assert line_of(lines, "metadata") == "metadata 1,247 rows read, 1,234 written, 0 rejected, 0 left out"


def test_a_table_that_was_not_read_has_no_line(plan: ConvertPlan) -> None:
    lines = printed(plan, split())
    assert not [line for line in lines if line.startswith(("human_labels", "machine_labels"))]


def test_files_and_warnings_are_named(plan: ConvertPlan) -> None:
    lines = printed(plan, split())
    assert line_of(lines, "label map") == "label map /records/label_map.pbtxt"
    assert line_of(lines, "manifest") == "manifest /records/manifest.json"
    assert line_of(lines, "rejects") == "rejects /records/rejects-train.csv"
    assert line_of(lines, "warning") == "warning the last line has no line end"


def test_a_single_shard_is_named_whole(plan: ConvertPlan) -> None:
    lines = printed(plan.with_shards(1), split())
    assert lines[1].strip() == "/records/train.tfrecord-00000-of-00001"


def test_a_dry_run_promises_no_records(plan: ConvertPlan) -> None:
    dry = dataclasses.replace(plan, config=dataclasses.replace(plan.config, dry_run=True))
    lines = printed(dry, split())
    assert line_of(lines, "dry run") == "dry run 1,234 records expected, if every image is there; 12.3 s"
    assert ".tfrecord" not in "\n".join(lines)


def test_the_summary_of_a_run_names_files_that_are_there(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from oi_tfrecord.cli import convert

    release = small_release.write_release(tmp_path / "data", images=12)
    assert convert.main(release.flags(tmp_path / "out", workers=1)) == 0
    out = capfd.readouterr().out
    named = [word for word in out.split() if word.startswith(str(tmp_path / "out"))]
    assert len(named) == 4
    assert all(pathlib.Path(path).is_file() for path in named)
