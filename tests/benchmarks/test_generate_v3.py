import csv
import pathlib
from collections import Counter

import pytest

from . import generate_v3
from .generate_v3 import class_mids, generate

SCALE = 0.002
COLUMNS = {
    "images.csv": "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL",
    "annotations-human-bbox.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax",
    "annotations-human.csv": "ImageID,Source,LabelName,Confidence",
    "annotations-machine.csv": "ImageID,Source,LabelName,Confidence",
}
"""openimages/dataset READMEV3.md, "Data Formats"; the train boxes have no flags."""

Tables = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("v3")


@pytest.fixture(scope="module")
def counts(folder: pathlib.Path) -> dict[str, int]:
    return generate(folder, SCALE)


@pytest.fixture(scope="module")
def tables(folder: pathlib.Path, counts: dict[str, int]) -> Tables:
    read = {}
    for name, header in COLUMNS.items():
        with (folder / "train" / name).open(newline="", encoding="utf-8") as lines:
            rows = csv.DictReader(lines)
            read[name] = list(rows)
            assert ",".join(rows.fieldnames or ()) == header
    return read


def test_counts_are_those_of_the_files_and_in_proportion(counts: dict[str, int], tables: Tables) -> None:
    assert list(counts.values()) == [len(rows) for rows in tables.values()]
    published = (9_011_219, 3_709_509, 20_868_755, 78_977_695)
    for count, total in zip(counts.values(), published, strict=True):
        # Poisson numbers: the fewest rows, 7,400 of boxes on 3,200 images, vary by 2 %.
        assert count == pytest.approx(total * SCALE, rel=0.08)


def test_one_image_in_five_to_six_has_boxes(tables: Tables) -> None:
    boxed = {row["ImageID"] for row in tables["annotations-human-bbox.csv"]}
    assert len(tables["images.csv"]) / len(boxed) == pytest.approx(9_011_219 / 1_593_853, rel=0.08)


def test_image_ids_are_sorted_distinct_and_known(tables: Tables) -> None:
    ids = [row["ImageID"] for row in tables["images.csv"]]
    assert ids == sorted(set(ids))
    assert all(len(image_id) == 16 and int(image_id, 16) >= 0 for image_id in ids)
    for name, rows in tables.items():
        own = [row["ImageID"] for row in rows]
        assert own == sorted(own), name
        assert set(own) <= set(ids), name


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "images.csv"])
def test_classes_follow_a_power_law_and_are_listed(name: str, tables: Tables, folder: pathlib.Path) -> None:
    listed = (folder / "classes.txt").read_text().split()
    ranks = {mid: rank for rank, mid in enumerate(listed)}
    by_class = Counter(row["LabelName"] for row in tables[name])
    assert by_class.keys() <= ranks.keys()
    # With frequencies of 1/rank, classes 10 to 99 are as many rows as 100 to 999 (or 60 % of it, up to 599).
    tens = sum(count for mid, count in by_class.items() if 10 <= ranks[mid] < 100)
    hundreds = sum(count for mid, count in by_class.items() if 100 <= ranks[mid] < 1000)
    assert 0.5 < hundreds / tens < 1.5
    assert by_class.most_common(1)[0][0] in listed[:2]


def test_a_label_of_an_image_occurs_once(tables: Tables) -> None:
    for name in ("annotations-human.csv", "annotations-machine.csv"):
        pairs = Counter((row["ImageID"], row["LabelName"]) for row in tables[name])
        assert max(pairs.values()) == 1


def test_values_are_those_a_reader_takes(tables: Tables) -> None:
    for row in tables["annotations-human-bbox.csv"]:
        xmin, xmax, ymin, ymax = (float(row[name]) for name in ("XMin", "XMax", "YMin", "YMax"))
        assert 0 <= xmin < xmax <= 1
        assert 0 <= ymin < ymax <= 1
    assert {row["Confidence"] for row in tables["annotations-human.csv"]} == {"0", "1"}
    assert all(0 <= float(row["Confidence"]) <= 1 for row in tables["annotations-machine.csv"])
    assert {row["Subset"] for row in tables["images.csv"]} == {"train"}


def test_titles_are_hard_to_parse(tables: Tables) -> None:
    titles = [row["Title"] for row in tables["images.csv"]]
    for part in (",", '"', "\n", "ü"):
        assert any(part in title for title in titles), part


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: pathlib.Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        generate(tmp_path / name, SCALE / 10, seed=seed)
    for name in COLUMNS:
        one, same, other = ((tmp_path / folder / "train" / name).read_bytes() for folder in ("one", "same", "other"))
        assert one == same
        assert one != other


def test_the_validation_split_has_counts_of_its_own(tmp_path: pathlib.Path) -> None:
    scale = 0.05
    counts = generate(tmp_path, scale, split="validation")
    for count, total in zip(counts.values(), (41_620, 204_621, 551_390, 512_093), strict=True):
        assert count == pytest.approx(total * scale, rel=0.05)
    with (tmp_path / "validation" / "annotations-human-bbox.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    # Each of its images has a box.
    assert len({row["ImageID"] for row in rows}) == counts["images"]
    # As in the published files of validation and test; those of train end at YMax.
    assert list(rows[0])[8:] == ["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"]
    for name in list(rows[0])[8:]:
        assert {row[name] for row in rows} == {"0", "1"}


def test_chunks_join_without_a_seam(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_v3, "CHUNK_IMAGES", 100)
    generate(tmp_path, 0.02, split="validation")
    with (tmp_path / "validation" / "images.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == int(41_620 * 0.02)
    assert [row["ImageID"] for row in rows] == sorted({row["ImageID"] for row in rows})
    assert {row["Subset"] for row in rows} == {"validation"}


def test_mids_are_distinct_and_of_the_published_shape() -> None:
    mids = class_mids(20_000)
    assert len(set(mids)) == 20_000
    assert all(mid.startswith("/m/0") and 4 <= len(mid.removeprefix("/m/0")) <= 7 for mid in mids)


def test_class_files_list_as_many_classes_as_published(folder: pathlib.Path, counts: dict[str, int]) -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in folder.iterdir() if path.is_file()}
    # classes-trainable.txt is a round number here.
    assert lines | {"classes-trainable.txt": 5000} == {
        "class-descriptions.csv": 19_995,
        "classes.txt": 19_995,
        "classes-trainable.txt": 5000,
        "classes-bbox.txt": 600,
        "classes-bbox-trainable.txt": 545,
    }
