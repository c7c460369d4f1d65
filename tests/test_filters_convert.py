"""Filters end to end on the generated sample: what they keep, what they count, and that the balance holds."""

import csv
import pathlib
from collections.abc import Callable

import pytest
import tensorflow as tf

from tests.conftest import Converted


def image_ids(result: Converted, split: str = "train") -> set[str]:
    found = set()
    for data in tf.data.TFRecordDataset([str(path) for path in result.shards(split)]):
        feature = tf.train.Example.FromString(data.numpy()).features.feature["image/source_id"]
        found.add(feature.bytes_list.value[0].decode())
    return found


def box_rows(sample: pathlib.Path, split: str) -> list[dict[str, str]]:
    with (sample / "2017_11" / split / "annotations-human-bbox.csv").open(newline="") as file:
        return list(csv.DictReader(file))


CASES: dict[str, tuple[str, str, Callable[[dict[str, str]], bool]]] = {
    "source": ("--box_sources=xclick", "box_source", lambda row: row["Source"] == "xclick"),
    "flag": ("--exclude_flags=group_of", "excluded_flag", lambda row: row["IsGroupOf"] != "1"),
    "side": (
        "--min_box_side=0.2555",
        "small_box",
        lambda row: min(float(row["XMax"]) - float(row["XMin"]), float(row["YMax"]) - float(row["YMin"])) >= 0.2555,
    ),
    "class": ("--classes=Ball", "class_not_chosen", lambda row: row["LabelName"] == "/m/018xm"),
}


@pytest.mark.parametrize("case", CASES)
def test_boxes_are_filtered_and_counted(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path, case: str
) -> None:
    flag, reason, keep = CASES[case]
    split = "validation" if case == "flag" else "train"
    result = run(sample, tmp_path / "out", flag, "--class_list=classes-bbox.txt", split=split)
    assert result.code == 0, result.err
    rows = box_rows(sample, split)
    kept = [row for row in rows if keep(row)]
    counted = result.manifest(split)["tables"]["boxes"]
    assert len(kept) > 0
    assert (counted["written"], counted["dropped"].get(reason, 0)) == (len(kept), len(rows) - len(kept))
    assert counted["balanced"]
    assert image_ids(result, split) == {row["ImageID"] for row in kept}


def test_several_flags_are_counted_together(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    flags = ("group_of", "occluded", "truncated")
    columns = ("IsGroupOf", "IsOccluded", "IsTruncated")
    result = run(
        sample, tmp_path / "out", f"--exclude_flags={','.join(flags)}", "--class_list=classes-bbox.txt",
        split="validation",
    )  # fmt: skip
    assert result.code == 0, result.err
    rows = box_rows(sample, "validation")
    left_out = {column: sum(row[column] == "1" for row in rows) for column in columns}
    assert min(left_out.values()) > 0
    kept = [row for row in rows if all(row[column] != "1" for column in columns)]
    counted = result.manifest("validation")["tables"]["boxes"]
    assert (counted["written"], counted["dropped"]["excluded_flag"]) == (len(kept), len(rows) - len(kept))


def test_a_filter_may_leave_nothing(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = run(sample, tmp_path / "out", "--box_sources=nobody")
    assert result.code == 0, result.err
    manifest = result.manifest()
    assert manifest["images"]["records"] == 0
    assert manifest["balanced"]
    assert len(result.shards()) == 3


def test_samples_are_nested_and_do_not_depend_on_shards_or_workers(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def ids(name: str, *flags: str) -> set[str]:
        result = run(sample, tmp_path / name, "--select=all", *flags)
        assert result.code == 0, result.err
        assert result.manifest()["balanced"]
        return image_ids(result)

    half, most = ids("half", "--sample=0.5"), ids("most", "--sample=0.8")
    assert half < most < ids("all")
    assert ids("again", "--sample=0.5", "--num_shards=7", "--workers=2") == half


@pytest.mark.parametrize("wanted", [1, 10, 1000])
def test_max_images_is_exact(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path, wanted: int
) -> None:
    every = image_ids(run(sample, tmp_path / "all"))
    found = [
        image_ids(run(sample, tmp_path / f"out{shards}", f"--max_images={wanted}", f"--num_shards={shards}"))
        for shards in (1, 5)
    ]
    assert len(found[0]) == min(wanted, len(every))
    assert found[0] == found[1]
    assert found[0] <= every


def test_an_edited_list_of_classes_is_another_conversion(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("Ball\n")
    assert run(sample, tmp_path / "out", f"--classes={path}").code == 0
    again = run(sample, tmp_path / "out", f"--classes={path}")
    assert (again.code, "Nothing to do" in again.out) == (0, True)
    path.write_text("Ball\nTree\n")
    result = run(sample, tmp_path / "out", f"--classes={path}")
    assert result.code == 1
    assert "--overwrite" in result.err


def test_a_list_of_images(run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    wanted = sorted(image_ids(run(sample, tmp_path / "all")))[:5]
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(wanted))
    assert image_ids(run(sample, tmp_path / "some", f"--image_ids={path}")) == set(wanted)
    path.write_text("\n".join([*wanted, "no image"]))
    result = run(sample, tmp_path / "bad", f"--image_ids={path}")
    assert (result.code, f"{path}, line 6" in result.err) == (1, True)


def test_another_subset_is_left_out_with_its_annotations(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = run(sample, tmp_path / "out", "--subset=validation")
    assert result.code == 0, result.err
    manifest = result.manifest()
    assert manifest["images"]["records"] == 0
    assert manifest["tables"]["metadata"]["dropped"] == {"other_subset": 48}
    assert manifest["balanced"]


def test_a_dry_run_reads_no_image_and_leaves_the_output_alone(
    run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    real = run(sample, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in real.output_dir.iterdir() if path.is_file()}
    dry = run(sample, tmp_path / "out", "--dry_run", "--select=all")
    assert dry.code == 0, dry.err
    assert "48 records expected" in dry.out
    assert "plan " in dry.out
    assert "time " in dry.out
    assert {path.name: path.read_bytes() for path in real.output_dir.iterdir() if path.is_file()} == before
