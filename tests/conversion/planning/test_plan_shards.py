import bz2
import csv
import dataclasses
import gzip
import io
import pathlib
import re
from collections.abc import Callable

import numpy as np
import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion import run_plan as run_plan_module
from oi_tfrecord.conversion.finish import finish_dataset
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.planning.plan_shards import ShardPlan, describe_shards, plan_shards, reads_images_from_store
from oi_tfrecord.errors import EngineError
from oi_tfrecord.openimages.csv import sample_rows
from oi_tfrecord.openimages.csv.files import open_table
from oi_tfrecord.openimages.csv.sample_rows import count_images
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records import sharding
from oi_tfrecord.records.sharding import SHARD_BYTES
from tests.benchmarks import generate_v3
from tests.support import small_release
from tests.support.small_release import Release, convert

SCALE = 0.002
"""18,022 images, 3,188 of them with boxes."""
IMAGE_BYTES = 700_000
PLACE_BYTES = 24_000
TOLERANCE = 0.1
"""Some 850 images are sampled; rows per image vary by half their mean, so four deviations are 0.07, and each of the
eight places cuts an image in two."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("v3") / "data"
    generate_v3.generate(folder, SCALE)
    return folder


@pytest.fixture(autouse=True)
def _small_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a table of a megabyte is sampled as one of gigabytes is."""
    monkeypatch.setattr(sample_rows, "_PLACE_BYTES", PLACE_BYTES)


@dataclasses.dataclass(frozen=True)
class Images:
    """Images of one size, of which a share is there; `requested` lists those that were looked for."""

    share: float = 1.0
    requested: list[str] = dataclasses.field(default_factory=list)

    def path(self, image_id: str) -> str:
        return f"/images/{image_id}"

    def size(self, image_id: str) -> int | None:
        self.requested.append(image_id)
        is_there = int(hash_ids(np.array([int(image_id, 16)], np.uint64))[0]) % 1000 < 1000 * self.share
        return IMAGE_BYTES if is_there else None

    def read(self, image_id: str) -> bytes | None:
        return None


def plan_of(data_dir: pathlib.Path, **flags: object) -> ConvertPlan:
    given = {"config": "v3", "split": "train", "data_dir": data_dir, "images": "/no/{image_id}.jpg", "output_dir": "/o"}
    return make_plan(parse_convert([f"--{name}={value}" for name, value in (given | flags).items()]).config)


def planned(plan: ConvertPlan, images: Images) -> tuple[ConvertPlan, ShardPlan]:
    shard_plan = plan_shards(dataclasses.replace(plan, samples=images))
    return plan.with_shards(shard_plan.num_shards), shard_plan


def rows_of(data_dir: pathlib.Path, name: str) -> list[dict[str, str]]:
    with (data_dir / "train" / name).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def listed_boxes(data_dir: pathlib.Path) -> list[dict[str, str]]:
    listed = set((data_dir / "classes-bbox-trainable.txt").read_text().split())
    return [row for row in rows_of(data_dir, "annotations-human-bbox.csv") if row["LabelName"] in listed]


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (Table.METADATA, "images.csv"),
        (Table.BOXES, "annotations-human-bbox.csv"),
        (Table.HUMAN_LABELS, "annotations-human.csv"),
    ],
)
def test_images_of_a_table_are_counted_from_a_sample(table: Table, name: str, tables: pathlib.Path) -> None:
    files = open_table(table, [f"train/{name}"], str(tables), "train")
    assert files[0].size > 2 * PLACE_BYTES * 8 or table is Table.BOXES
    ids = {row["ImageID"] for row in rows_of(tables, name)}
    images, sampled = count_images(files)
    assert images == pytest.approx(len(ids), rel=TOLERANCE)
    assert set(sampled) <= ids
    assert 0 < len(sampled) < len(ids)


def test_a_small_table_is_counted_exactly(tables: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_rows, "_PLACE_BYTES", 1 << 19)
    for table, name in ((Table.BOXES, "annotations-human-bbox.csv"), (Table.HUMAN_LABELS, "annotations-human.csv")):
        files = open_table(table, [f"train/{name}"], str(tables), "train")
        ids = {row["ImageID"] for row in rows_of(tables, name)}
        images, sampled = count_images(files)
        assert images == len(ids)
        assert set(sampled) == ids


def test_files_of_a_table_add_up(tables: pathlib.Path, tmp_path: pathlib.Path) -> None:
    header, *lines = (tables / "train" / "annotations-human-bbox.csv").read_bytes().splitlines(keepends=True)
    middle = next(place for place in range(len(lines) // 2, len(lines)) if lines[place][:16] != lines[place - 1][:16])
    for number, part in enumerate((lines[:middle], lines[middle:])):
        (tmp_path / f"boxes-{number}.csv").write_bytes(header + b"".join(part))
    ids = {line[:16] for line in lines}
    assert count_images(open_table(Table.BOXES, ["boxes-*.csv"], str(tmp_path), "train"))[0] == pytest.approx(
        len(ids), rel=TOLERANCE
    )


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
@pytest.mark.parametrize("whole", [True, False])
def test_compressed_tables_are_counted(
    ending: str,
    compress: Callable[[bytes], bytes],
    whole: bool,
    tables: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = (tables / "train" / "annotations-human-bbox.csv").read_bytes()
    (tmp_path / f"boxes.csv{ending}").write_bytes(compress(data))
    if whole:
        monkeypatch.setattr(sample_rows, "_PLACE_BYTES", 1 << 19)
    images, sampled = count_images(open_table(Table.BOXES, ["boxes.csv"], str(tmp_path), "train"))
    ids = {line[:16].decode() for line in data.splitlines()[1:]}
    if whole:
        assert images == len(ids)
    else:
        # How far it is compressed is not known before its end; the plan has to be right in its order only.
        assert len(ids) / 3 < images < len(ids) * 3
    assert len(sampled) > 0


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_size_and_number_follow_from_the_boxed_images_that_are_there(share: float, tables: pathlib.Path) -> None:
    decided, shard_plan = planned(plan_of(tables), Images(share))
    boxed = {row["ImageID"] for row in listed_boxes(tables)}
    assert shard_plan.images == pytest.approx(len(boxed), rel=TOLERANCE)
    assert shard_plan.image_bytes == IMAGE_BYTES
    # 256 images are looked for: five deviations are 0.16 at a half.
    assert shard_plan.found == pytest.approx(share, abs=0.16 if share < 1 else 0)
    assert shard_plan.sampled == 256
    assert (shard_plan.missing == "") == (share == 1)
    assert shard_plan.output_bytes == int(shard_plan.images * shard_plan.found * IMAGE_BYTES)
    assert decided.num_shards == shard_plan.num_shards
    assert SHARD_BYTES * 2 / 3 <= shard_plan.output_bytes / shard_plan.num_shards <= SHARD_BYTES * 4 / 3


@pytest.mark.parametrize("select", ["all", "labelled"])
def test_the_selection_decides_which_table_counts(select: str, tables: pathlib.Path) -> None:
    _, shard_plan = planned(plan_of(tables, select=select), Images())
    ids = {row["ImageID"] for row in rows_of(tables, "images.csv")}
    if select == "labelled":
        listed = set((tables / "classes-bbox-trainable.txt").read_text().split())
        labels = rows_of(tables, "annotations-human.csv")
        ids = {row["ImageID"] for row in labels if row["LabelName"] in listed}
        boxed = {row["ImageID"] for row in listed_boxes(tables)}
        # One of the two tables is looked at: what only the other has is not seen.
        assert max(len(ids), len(boxed)) * (1 - TOLERANCE) < shard_plan.images < len(ids | boxed) * (1 + TOLERANCE)
    else:
        assert shard_plan.images == pytest.approx(len(ids), rel=TOLERANCE)


@pytest.mark.parametrize("flag", ["sample", "max_images", "image_ids", "classes", "box_sources"])
def test_filters_lower_the_estimate_as_they_lower_the_images(
    flag: str, tables: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    rows = listed_boxes(tables)
    ids = sorted({row["ImageID"] for row in rows})
    if flag == "classes":
        chosen = (tables / "classes-bbox-trainable.txt").read_text().split()[3:20]
        value, expected = ",".join(chosen), len({row["ImageID"] for row in rows if row["LabelName"] in chosen})
    elif flag == "box_sources":
        value, expected = "xclick", len({row["ImageID"] for row in rows if row["Source"] == "xclick"})
    elif flag == "image_ids":
        (tmp_path / "ids.txt").write_text("\n".join(ids[:200]))
        value, expected = str(tmp_path / "ids.txt"), 200
    else:
        value, expected = {"sample": ("0.4", round(0.4 * len(ids))), "max_images": ("123", 123)}[flag]
    assert expected < len(ids) * 0.8
    images = Images()
    _, shard_plan = planned(plan_of(tables, **{flag: value}), images)
    # Of the images with one class or source fewer are in the sample, so four deviations are 0.14.
    assert shard_plan.images == pytest.approx(expected, rel=0.15)
    if flag == "image_ids":
        assert set(images.requested) <= set(ids[:200])


def test_the_same_inputs_give_the_same_plan(tables: pathlib.Path) -> None:
    first, second = Images(0.7), Images(0.7)
    one = planned(plan_of(tables), first)[1]
    other = planned(plan_of(tables), second)[1]
    assert one == other
    assert sorted(first.requested) == sorted(second.requested)
    assert len(first.requested) == 256


def test_without_any_image_the_rows_still_are_spread_over_shards(tables: pathlib.Path) -> None:
    """A dry run before the images are there: one shard would hold the rows of the whole split."""
    _, shard_plan = planned(plan_of(tables, dry_run="true"), Images(0.0))
    assert (shard_plan.found, shard_plan.image_bytes, shard_plan.output_bytes) == (0, 0, 0)
    assert shard_plan.sample == ()
    assert shard_plan.sampled == 256
    assert shard_plan.missing
    assert shard_plan.num_shards > 1
    # An image of Open Images has 30 KB as a small thumbnail and 3 MB as an original.
    assert 30_000 < SHARD_BYTES * shard_plan.num_shards / shard_plan.images < 3_000_000


@pytest.mark.parametrize("share_of_shard", [0.3, 1.0, 1.15, 1.3, 1.4, 1.49, 2.0, 2.5, 3.49, 17.3])
def test_whatever_the_size_shards_are_of_100_to_200_megabytes(
    share_of_shard: float, tables: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, shard_plan = planned(plan_of(tables), Images())
    monkeypatch.setattr(sharding, "SHARD_BYTES", shard_plan.output_bytes / share_of_shard)
    _, again = planned(plan_of(tables), Images())
    per_shard = again.output_bytes / again.num_shards / sharding.SHARD_BYTES * 150
    assert per_shard <= 200
    assert per_shard >= 100 or again.num_shards == 1


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("release") / "data"
    return small_release.write_release(folder, images=500, size=(320, 240), faults=False)


def test_the_shards_that_are_written_have_the_planned_size(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_bytes = sum(path.stat().st_size for path in (release.folder / "images").iterdir())
    monkeypatch.setattr(sharding, "SHARD_BYTES", image_bytes / 5)
    assert convert(release.flags(tmp_path, num_shards=None, workers=1)) == 0
    sizes = [len(data) for data in small_release.shards(tmp_path).values()]
    assert len(sizes) == 5
    # About 100 images of one size each: 33 % are more than three deviations.
    assert all(image_bytes / 5 * 2 / 3 < size < image_bytes / 5 * 4 / 3 for size in sizes)


def test_resized_images_are_planned_for_as_they_are_written(release: Release, tmp_path: pathlib.Path) -> None:
    """The release's images are of noise, whose JPEGs shrink about as their pixels do, here to a sixteenth."""
    estimates = []
    for flags in ({}, {"image_mode": "resize", "max_side": 16, "jpeg_quality": 90, "chroma": "4:2:0"}):
        plan = make_plan(parse_convert(release.flags(tmp_path, **flags)).config)
        estimates.append(plan_shards(plan))
    assert estimates[1].images == estimates[0].images
    assert estimates[1].output_bytes < 0.8 * estimates[0].output_bytes
    # They are read as they are.
    assert estimates[1].file_bytes == estimates[0].file_bytes == estimates[0].image_bytes


def test_the_plan_is_printed_before_the_run(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    seen: list[str] = []
    monkeypatch.setattr(run_plan_module, "_run_pipelines", lambda *arguments: seen.append(out.getvalue()))
    # There is no manifest to summarise, as nothing ran.
    with pytest.raises(EngineError, match="does not hold the split"):
        convert(release.flags(tmp_path, num_shards=None), out)
    assert re.match(r"plan +1 shards of about [\d.]+ MB: about 500 images, 100 % of them found", seen[0])


def test_a_dry_run_prints_plan_size_and_time_and_leaves_the_output_alone(
    release: Release, tmp_path: pathlib.Path
) -> None:
    assert convert(release.flags(tmp_path / "out", num_shards=2, workers=1)) == 0
    before = small_release.dataset(tmp_path / "out")
    written = sum(len(data) for data in small_release.shards(tmp_path / "out").values())
    out = io.StringIO()
    assert convert(release.flags(tmp_path / "out", num_shards=None, dry_run="true", workers=1), out) == 0
    after = small_release.dataset(tmp_path / "out")
    assert {name: data for name, data in after.items() if not name.startswith("dry_run/")} == before
    added = {name for name in after if name.startswith("dry_run/")}
    assert {"dry_run/manifest.json", "dry_run/label_map.pbtxt"} <= added
    assert not [name for name in added if ".tfrecord" in name]
    text = out.getvalue()
    # The records hold some 3 % more than the images.
    size = re.search(r"output about ([\d.,]+) MB", text)
    assert size is not None
    assert float(size[1]) * 1e6 == pytest.approx(written, rel=0.1)
    assert re.search(
        r"^time +about [\d,.]+ s with 1 workers .*: [\d.]+ s for start and end, [\d.]+ s for the tables, [\d.]+ s for",
        text,
        re.M,
    )
    # 13 bytes for each of the 500 images, 42 for each box and 19 for each label that is kept, and some for each batch.
    expected = 0
    for table, width in {"metadata": 13, "boxes": 42, "human_labels": 19}.items():
        [line] = re.findall(rf"^{table} +([\d,]+) rows read.*?(?:class_not_in_label_map ([\d,]+))?\)?$", text, re.M)
        read, left = (int(count.replace(",", "") or 0) for count in line)
        expected += width * (read - left)
    shuffled = re.search(r"^shuffle .*\(counted: ([\d,]+) bytes\)", text, re.M)
    assert shuffled is not None
    assert expected < int(shuffled[1].replace(",", "")) < expected + 200
    assert "500 records expected" in text


def test_a_rerun_after_an_interruption_keeps_the_planned_number(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_bytes = sum(path.stat().st_size for path in (release.folder / "images").iterdir())
    monkeypatch.setattr(sharding, "SHARD_BYTES", image_bytes / 4)
    flags = release.flags(tmp_path / "out", num_shards=None, workers=1)

    def end(*arguments: object) -> None:
        raise OSError("the power went out")

    finish = "oi_tfrecord.conversion.finish_dataset.finish_dataset"
    monkeypatch.setattr(finish, end)
    with pytest.raises(Exception, match="the power went out"):
        convert(flags)
    monkeypatch.setattr(finish, finish_dataset)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert len(small_release.shards(tmp_path / "out")) == 4
    # What is sampled has changed since, and a plan made now would be another.
    monkeypatch.setattr(sharding, "SHARD_BYTES", image_bytes / 9)
    out = io.StringIO()
    assert convert(flags, out) == 0
    assert not out.getvalue().startswith("plan")
    assert len(small_release.shards(tmp_path / "out")) == 4
    assert convert(release.flags(tmp_path / "new", num_shards=None, workers=1)) == 0
    assert len(small_release.shards(tmp_path / "new")) == 9


ESTIMATE = ShardPlan(num_shards=40, images=24_000, image_bytes=250_000.0, found=0.5, sample=())


def test_the_line_of_the_plan_has_the_shards_that_are_used_and_the_estimate() -> None:
    line = describe_shards(ESTIMATE, 20, "images", "/a/00ff.jpg")
    # 24,000 images of 250 KB, half of them there, are 3 GB: 150 MB in each of 20 shards, not 75 as in the 40 planned.
    assert " ".join(line.split()) == (
        "plan 20 shards of about 150 MB: about 24,000 images, 50 % of them found, 250 KB each (sampled); "
        "output about 3.00 GB"
    )


def test_a_small_output_has_its_unit() -> None:
    line = describe_shards(dataclasses.replace(ESTIMATE, images=20, image_bytes=3_000.0), 1, "images", "/a/00ff.jpg")
    assert "1 shards of about 30.0 KB" in line
    assert "3.00 KB each (sampled); output about 30.0 KB" in line


def test_where_no_image_is_found_the_plan_says_where_it_looked() -> None:
    nothing = dataclasses.replace(ESTIMATE, found=0.0, image_bytes=0.0, sampled=256, missing="00ff")
    line = describe_shards(nothing, 48, "images", "/a/00ff.jpg")
    assert " ".join(line.split()) == (
        "plan 48 shards: about 24,000 images, none of the 256 that were looked for is there, as /a/00ff.jpg; "
        "put them there, or give another --images. Shards are planned for 300 KB an image"
    )


def test_a_plan_without_any_image_looked_for_none() -> None:
    nothing = dataclasses.replace(ESTIMATE, images=0, found=0.0, image_bytes=0.0)
    line = describe_shards(nothing, 1, "images", "/a/00ff.jpg")
    assert " ".join(line.split()) == "plan 1 shards: about 0 images, estimated from a sample of the tables"


def test_images_in_a_bucket_are_read_with_a_request_each(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=8)
    plan = make_plan(parse_convert(release.flags(tmp_path / "out")).config)
    assert not reads_images_from_store(plan)
    stored = dataclasses.replace(plan.config, images="s3://bucket/{image_id}.jpg")
    assert reads_images_from_store(dataclasses.replace(plan, config=stored))
