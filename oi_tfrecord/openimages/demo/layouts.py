"""The published layouts of Open Images V1 to V7: names of files, values, line ends; `release_headers` has the columns.

Sources: READMEV1.md to READMEV3.md of github.com/openimages/dataset, sections "Data organization" and "Data Formats";
storage.googleapis.com/openimages/web/download_v7.html and its pages of V4 to V6 for the names and columns of those.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from oi_tfrecord.openimages.demo.masks import MASK_COLUMNS
from oi_tfrecord.openimages.release_headers import CLICK_COLUMNS, FLAG_COLUMNS, LABEL_COLUMNS, RELEASES, headers_of
from oi_tfrecord.openimages.schema import Table

FOLDERS = dict(zip(RELEASES, ("2016_08", "2017_07", "2017_11", "2018_04", "v5", "v6", "v7"), strict=True))
"""Folder of a release's files: as its tarballs unpack, or as the storage bucket has it."""

_QUOTED_BEFORE_V4 = frozenset(("Author", "Title"))


@dataclass(frozen=True, slots=True)
class TableFile:
    """A CSV file of a split.

    Attributes:
        path: below the release's folder, with forward slashes.
        table: the table.
        columns: its header.
        boxable_only: whether labels of classes without boxes are left out.
    """

    path: str
    table: Table
    columns: tuple[str, ...]
    boxable_only: bool = False


def table_files(release: str, split: str) -> tuple[TableFile, ...]:
    """Returns the CSV files that a release has for a split."""
    number = RELEASES.index(release) + 1
    if number == 1:
        return _v1_files(split)
    if number < 4:
        return (
            _file(f"{split}/images.csv", Table.METADATA, release, split),
            _file(f"{split}/annotations-human-bbox.csv", Table.BOXES, release, split),
            TableFile(f"{split}/annotations-human.csv", Table.HUMAN_LABELS, LABEL_COLUMNS),
            TableFile(f"{split}/annotations-machine.csv", Table.MACHINE_LABELS, LABEL_COLUMNS),
        )
    # V4 lies in the bucket in a folder for each split, later releases in one for all.
    folder = f"{split}/" if number == 4 else ""
    images = f"{split}-images-{'boxable-' if split == 'train' else ''}with-rotation.csv"
    boxes = f"{'oidv6-' if number > 5 and split == 'train' else ''}{split}-annotations-bbox.csv"
    boxable = f"{split}-annotations-human-imagelabels-boxable.csv"
    human, machine = (f"{_label_prefix(number, split, kind)}-annotations-{kind}-imagelabels" for kind in _LABEL_KINDS)
    masks = TableFile(f"{split}-annotations-object-segmentation.csv", Table.MASKS, MASK_COLUMNS)
    return (
        _file(folder + images, Table.METADATA, release, split),
        _file(folder + boxes, Table.BOXES, release, split),
        TableFile(folder + boxable, Table.HUMAN_LABELS, LABEL_COLUMNS, boxable_only=True),
        TableFile(f"{folder}{human}.csv", Table.HUMAN_LABELS, LABEL_COLUMNS),
        TableFile(f"{folder}{machine}.csv", Table.MACHINE_LABELS, LABEL_COLUMNS),
        *((masks,) if has_masks(release) else ()),
    )


def has_masks(release: str) -> bool:
    """Returns whether a release has segmentation masks, as those from V5 on have."""
    return RELEASES.index(release) >= RELEASES.index("v5")


def _v1_files(split: str) -> tuple[TableFile, ...]:
    """Returns the files of V1, whose train split has no verified labels."""
    files = [
        _file(f"images_2016_08/{split}/images.csv", Table.METADATA, "v1", split),
        TableFile(f"machine_ann_2016_08/{split}/labels.csv", Table.MACHINE_LABELS, LABEL_COLUMNS),
    ]
    if split != "train":
        files.append(TableFile(f"human_ann_2016_08/{split}/labels.csv", Table.HUMAN_LABELS, LABEL_COLUMNS))
    return tuple(files)


def _file(path: str, table: Table, release: str, split: str) -> TableFile:
    return TableFile(path, table, headers_of(release, table, split)[0])


_LABEL_KINDS = ("human", "machine")


def _label_prefix(number: int, split: str, kind: str) -> str:
    if number == 7:
        return f"oidv7-{'val' if split == 'validation' else split}"
    return f"oidv6-{split}" if number == 6 and split == "train" and kind == "human" else split


def values_of(release: str, table: Table, row: Mapping[str, str]) -> dict[str, str]:
    """Returns a row with the values of a release, where releases write values differently.

    Args:
        release: its name.
        table: the table of the row.
        row: column to value, as V3's validation split has it, with the columns of later releases added.
    """
    values = dict(row)
    if table in (Table.BOXES, Table.HUMAN_LABELS) and release in ("v1", "v2"):
        values["Source"] = "human"
    if table is Table.HUMAN_LABELS and release == "v1":
        values["Confidence"] = f"{float(row['Confidence']):.1f}"
    if table is Table.BOXES and release not in ("v1", "v2", "v3") and row["Source"] == "activemil":
        # No annotator was asked for the flags of a box that nobody drew.
        values |= dict.fromkeys(FLAG_COLUMNS, "-1")
    if table is Table.BOXES and row["Source"] != "xclick":
        values |= dict.fromkeys(CLICK_COLUMNS, "-1.0")
    return values


def format_table(release: str, file: TableFile, rows: Sequence[Mapping[str, str]]) -> bytes:
    """Returns a CSV file; lines end in LF.

    Args:
        release: up to V3 authors and titles are quoted always, later where it is needed.
        file: its columns.
        rows: column to value.
    """
    quoted = _QUOTED_BEFORE_V4 if release in ("v1", "v2", "v3") else frozenset[str]()
    lines = [",".join(file.columns)]
    for row in rows:
        lines.append(",".join(_field(row[column], always=column in quoted) for column in file.columns))
    return "".join(f"{line}\n" for line in lines).encode()


def _field(text: str, always: bool = False) -> str:
    return '"' + text.replace('"', '""') + '"' if always or set(text) & set('",\n') else text


def class_files(
    release: str,
    names: Mapping[str, str],
    boxable: Sequence[str],
    trainable: Sequence[str],
    box_trainable: Sequence[str],
) -> dict[str, bytes]:
    """Returns the class files of a release by path.

    Args:
        release: its name.
        names: MID to display name, in MID order (`_` ignored).
        boxable: MIDs that have boxes, in MID order.
        trainable: MIDs that have labels enough, in MID order.
        box_trainable: MIDs that are both; the commonest first.
    """
    if release == "v1":
        return {"dict.csv": _v1_descriptions(names)}
    if release in ("v2", "v3"):
        # Most lines end in CRLF, some in LF (121 of V3's 19,995).
        ends = ["\n" if number % 8 == 5 else "\r\n" for number in range(len(names))]
        return {
            "class-descriptions.csv": _descriptions(names, names, ends),
            "classes.txt": _class_list(names),
            "classes-trainable.txt": _class_list(trainable),
            "classes-bbox.txt": _class_list(boxable),
            "classes-bbox-trainable.txt": _class_list(box_trainable),
        }
    boxable_prefix = "oidv7-" if release == "v7" else ""
    prefix = {"v6": "oidv6-", "v7": "oidv7-"}.get(release, "")
    end = "\n" if release in ("v4", "v6") else "\r\n"
    header = f"LabelName,DisplayName{end}".encode()
    return {
        f"{boxable_prefix}class-descriptions-boxable.csv": (header if boxable_prefix else b"")
        + _descriptions(boxable, names, _boxable_ends(release, len(boxable))),
        f"{prefix}class-descriptions.csv": (header if prefix else b"")
        + _descriptions(names, names, [end] * len(names)),
        f"{prefix}classes-trainable.txt": _class_list(trainable),
    }


def _v1_descriptions(names: Mapping[str, str]) -> bytes:
    text = io.StringIO(newline="")
    rows = ((mid, name.lower()) for mid, name in sorted(names.items()))
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _boxable_ends(release: str, count: int) -> list[str]:
    """Returns the line ends of the boxable classes: LF in V4; V5 and V6 share a file whose last line alone has LF."""
    ends = ["\n" if release == "v4" else "\r\n"] * count
    return [*ends[:-1], "\n"] if release in ("v5", "v6") else ends


def _class_list(mids: Iterable[str]) -> bytes:
    return "".join(f"{mid}\n" for mid in mids).encode()


def _descriptions(mids: Iterable[str], names: Mapping[str, str], ends: Sequence[str]) -> bytes:
    return "".join(f"{mid},{_field(names[mid])}{end}" for mid, end in zip(mids, ends, strict=True)).encode()
