"""Generates a small invented dataset in the published layout of an Open Images release."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.openimages.demo.layouts import FOLDERS, class_files, format_table, has_masks, table_files, values_of
from oi_tfrecord.openimages.demo.masks import MaskArchives, draw_masks
from oi_tfrecord.openimages.demo.pictures import (
    BOX_NAMES,
    IMAGE_NAMES,
    NOT_TRAINABLE,
    Row,
    annotate,
    draw_picture,
)
from oi_tfrecord.openimages.release_headers import RELEASES
from oi_tfrecord.openimages.schema import Table


@dataclasses.dataclass(frozen=True)
class SampleSummary:
    """Counts of a generated dataset.

    Attributes:
        rows: data rows (without the header) by file, a path below the output directory with forward slashes.
        images: JPEG files by split.
    """

    rows: Mapping[str, int]
    images: Mapping[str, int]


def generate(
    output_dir: pathlib.Path,
    *,
    release: str = "v3",
    train_images: int = 48,
    validation_images: int = 12,
    seed: int = 20171116,
    count: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> SampleSummary:
    """Writes an invented dataset of drawn scenes in the layout of an Open Images release.

    Args:
        output_dir: where to write the release's folder (CSV and class files; `2017_11/` of V3) and
            `images/<split>/<ImageID>.jpg`; made if absent. From V5 on, also `masks/<split>-masks-<digit>.zip`.
        release: v1 to v7. Pictures and annotations are the same in each.
        train_images: pictures in the train split, at least 1; from 12 on a split shows every kind of scene.
        validation_images: the same for the validation split.
        seed: a whole number from 0; the same seed gives the same bytes (with the same NumPy and Pillow).
        count: passes on the number of each picture of a split, and counts those that are written.

    Returns:
        The counts of the dataset.

    Raises:
        ConfigError: there is no such release, a count or the seed is too small, or `output_dir` already holds a
            dataset.
    """
    counts = {"train": train_images, "validation": validation_images}
    _check_arguments(release, counts, seed)
    folder = output_dir / FOLDERS[release]
    for taken in (folder, output_dir / "images", output_dir / "masks"):
        if taken.exists():
            raise ConfigError("output_dir", f"{taken} exists already; name another directory or remove it")
    files = []
    for split, size in counts.items():
        rows = _write_pictures(output_dir, split, count(range(size)), seed, with_masks=has_masks(release))
        files += _table_files(release, split, rows)
    files += _class_files(release)
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
    return SampleSummary({f"{FOLDERS[release]}/{file.path}": file.rows for file in files}, counts)


def _check_arguments(release: str, counts: Mapping[str, int], seed: int) -> None:
    if release not in RELEASES:
        raise ConfigError("release", f"{release!r} is none of {', '.join(RELEASES)}{nearest(release, RELEASES)}")
    leasts = [(f"{split}_images", count, 1) for split, count in counts.items()]
    for field, value, least in (*leasts, ("seed", seed, 0)):
        if value < least:
            raise ConfigError(field, f"is {value}; it must be at least {least}")


@dataclasses.dataclass(frozen=True)
class _File:
    """A file of the release: its path below the folder of the release, and its number of data rows."""

    path: str
    data: bytes
    rows: int


def _write_pictures(
    output_dir: pathlib.Path, split: str, numbers: Iterable[int], seed: int, *, with_masks: bool
) -> list[dict[Table, list[Row]]]:
    """Writes the pictures of a split, and their masks.

    Args:
        output_dir: folder of the dataset.
        split: name of the split.
        numbers: of the pictures, from 0.
        seed: of the dataset.
        with_masks: whether the release has masks.

    Returns:
        The rows of each picture by table, in the order of their ImageIDs.
    """
    folder = output_dir / "images" / split
    folder.mkdir(parents=True)
    rows = {}
    with MaskArchives(output_dir / "masks", split) as archives:
        for index in numbers:
            picture = draw_picture(split, index, seed)
            (folder / f"{picture.image_id}.jpg").write_bytes(picture.jpeg)
            masks = draw_masks(split, picture) if with_masks else []
            for mask in masks:
                archives.write(mask)
            rows[picture.image_id] = annotate(split, picture) | {Table.MASKS: [mask.row for mask in masks]}
    return [rows[image_id] for image_id in sorted(rows)]


def _table_files(release: str, split: str, pictures: Sequence[Mapping[Table, list[Row]]]) -> list[_File]:
    """Returns the tables of a split."""
    files = []
    for file in table_files(release, split):
        rows = [
            values_of(release, file.table, row)
            for by_table in pictures
            for row in by_table[file.table]
            if not file.boxable_only or row["LabelName"] in BOX_NAMES
        ]
        files.append(_File(file.path, format_table(release, file, rows), len(rows)))
    return files


def _class_files(release: str) -> list[_File]:
    """Returns the class files of the release."""
    names = {**BOX_NAMES, **IMAGE_NAMES}
    mids = sorted(names, key=lambda mid: mid.replace("_", ""))
    contents = class_files(
        release,
        {mid: names[mid] for mid in mids},
        boxable=[mid for mid in mids if mid in BOX_NAMES],
        trainable=[mid for mid in mids if mid not in NOT_TRAINABLE],
        box_trainable=[mid for mid in BOX_NAMES if mid not in NOT_TRAINABLE],
    )
    has_header = {path: data.startswith(b"LabelName,DisplayName") for path, data in contents.items()}
    return [_File(path, data, len(data.splitlines()) - has_header[path]) for path, data in contents.items()]
