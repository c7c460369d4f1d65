"""Both tracks of the Open Images Challenge 2019, with the real class files: tables in their layout, to the score."""

import csv
import hashlib
import json
import pathlib
import random
from collections import Counter

import pytest
from PIL import Image

import oi_tfrecord
from oi_tfrecord.cli.main import main
from oi_tfrecord.openimages.hierarchy import parse_hierarchy
from tests.conftest import DATA
from tests.support.api_expansion import BOXES, LABELS, expand_with_the_api
from tests.support.dataset_rows import read_rows
from tests.support.mask_release import MASKS, METADATA, png_of
from tests.support.random_truth import Box, draw_ellipse, random_box

REAL = DATA / "real" / "challenge2019"
PUBLISHED_LABEL_MAP = "741b8f887835fabe3e6acebe56cc7715ba875bdd8bf454cd1a32c166ae82c79d"
BOX_COLUMNS = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"
LABEL_COLUMNS = "ImageID,LabelName,Confidence"

TRACKS = {
    "challenge2019": (
        "detection-bbox",
        "detection-human-imagelabels",
        {"oid-challenge-2019-classes-description-500.csv": "challenge-2019-classes-description-500.csv"},
        ("oid-challenge-2019-label500-hierarchy.json", "challenge-2019-label500-hierarchy.json"),
    ),
    "challenge2019-segmentation": (
        "segmentation-bbox",
        "segmentation-labels",
        {
            "oid-challenge-2019-classes-description-segmentable300.csv": (
                "challenge-2019-classes-description-segmentable.csv"
            )
        },
        (
            "oid-challenge-2019-label300-segmentable-hierarchy.json",
            "challenge-2019-label300-segmentable-hierarchy.json",
        ),
    ),
}


def write_csv(path: pathlib.Path, header: str, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


def write_track(folder: pathlib.Path, track: str) -> pathlib.Path:
    """Writes a validation split of a track: tables in the published layout, images and masks; returns the folder."""
    if not REAL.is_dir():
        pytest.skip("the folder of real files is missing")
    bbox, labels, classes, (held, hierarchy) = TRACKS[track]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for source, name in {**classes, held: hierarchy}.items():
        (folder / name).write_bytes((REAL / source).read_bytes())
    [listed] = [(folder / name).read_text().splitlines() for name in classes.values()]
    known = parse_hierarchy((folder / hierarchy).read_bytes(), hierarchy).ancestors
    mids = [mid for mid in (line.split(",")[0] for line in listed) if mid in known]
    chosen = random.Random(3)
    tables: dict[str, list[list[str]]] = {"metadata": [], "boxes": [], "labels": [], "masks": []}
    for _ in range(12):
        image_id = f"a{chosen.getrandbits(60):015x}"
        width, height = chosen.randint(20, 60), chosen.randint(20, 60)
        Image.effect_noise((width, height), 40).convert("RGB").save(folder / "images" / f"{image_id}.jpg")
        tables["metadata"].append([image_id, "validation", *["x"] * 9, "0.0"])
        for mid in chosen.sample(mids, 3):
            tables["labels"].append([image_id, mid, str(chosen.randint(0, 1))])
        for place in range(chosen.randint(1, 5)):
            box, mid = random_box(chosen), chosen.choice(mids)
            tables["boxes"].append([image_id, mid, *_sides(box), str(int(place == 3))])
            if place % 3 < 2:
                name = f"{image_id}_{mid.replace('/', '')}_{chosen.getrandbits(32):08x}.png"
                (folder / "masks" / name).write_bytes(png_of(draw_ellipse(box, width, height)))
                tables["masks"].append([name, image_id, mid, name[-12:-4], *_sides(box), "", ""])
    write_csv(folder / "validation-images-with-rotation.csv", METADATA, tables["metadata"])
    write_csv(folder / f"challenge-2019-validation-{bbox}.csv", BOX_COLUMNS, tables["boxes"])
    write_csv(folder / f"challenge-2019-validation-{labels}.csv", LABEL_COLUMNS, tables["labels"])
    write_csv(folder / "challenge-2019-validation-segmentation-masks.csv", MASKS, tables["masks"])
    return folder


def _sides(box: Box) -> list[str]:
    ymin, xmin, ymax, xmax = box
    return [str(side) for side in (xmin, xmax, ymin, ymax)]


def convert(folder: pathlib.Path, track: str, *more: str) -> pathlib.Path:
    given = [f"--config={track}", "--split=validation", f"--data_dir={folder}", "--select=all", "--num_shards=2"]
    places = [f"--images={folder}/images/{{image_id}}.jpg", f"--output_dir={folder}/records"]
    assert main(["convert", *given, *places, "--workers=1", "--overwrite", *more]) == 0
    return folder / "records"


@pytest.mark.parametrize("track", TRACKS)
def test_records_are_expanded_as_the_api_expands_the_tables(track: str, tmp_path: pathlib.Path) -> None:
    folder = write_track(tmp_path / "data", track)
    with_masks = track.endswith("segmentation")
    more = [f"--mask_files={folder}/masks/{{mask_path}}", "--boxes_without_mask=empty"] if with_masks else []
    records = convert(folder, track, *more)
    options = oi_tfrecord.ExportOptions(str(records), str(tmp_path / "official"), format="oid")
    exported = oi_tfrecord.export(options).rows["validation"]
    bbox, labels, _, (_, hierarchy) = TRACKS[track]
    for table, source, kind in (("boxes", bbox, BOXES), ("image-labels", labels, LABELS)):
        given = read_rows(folder / f"challenge-2019-validation-{source}.csv")
        official = expand_with_the_api(given, kind, folder / hierarchy, tmp_path)
        ours = read_rows(tmp_path / "official" / f"validation-{table}.csv")
        expected = Counter(tuple(row.values())[:-1] for row in official)
        assert len(ours) > len(given)
        # Of labels, a class that would be both is present, and each is written once.
        assert kind == LABELS or Counter(tuple(row.values()) for row in ours) == expected
        assert {tuple(row.values()) for row in ours} <= set(expected)
        assert {row["LabelName"] for row in ours} == {row["LabelName"] for row in official}
    manifest = json.loads((records / "manifest.json").read_text())["splits"]["validation"]
    assert manifest["balanced"]
    if with_masks:
        assert exported["masks"] > len(list((folder / "masks").iterdir()))


@pytest.mark.parametrize("track", TRACKS)
def test_perfect_detections_of_the_records_score_one(track: str, tmp_path: pathlib.Path) -> None:
    folder = write_track(tmp_path / "data", track)
    with_masks = track.endswith("segmentation")
    more = [f"--mask_files={folder}/masks/{{mask_path}}", "--boxes_without_mask=empty"] if with_masks else []
    records = convert(folder, track, *more)
    options = oi_tfrecord.ExportOptions(str(records), str(tmp_path / "official"), format="oid")
    oi_tfrecord.export(options)
    source = tmp_path / "official" / f"validation-{'masks' if with_masks else 'boxes'}.csv"
    header, *rows = list(csv.reader(source.open(newline="")))
    write_csv(tmp_path / "found.csv", ",".join([*header, "Score"]), [[*row, "0.5"] for row in rows])
    evaluated = oi_tfrecord.EvaluateOptions(
        str(records), str(tmp_path / "found.csv"), metrics="oid_challenge", masks=with_masks
    )
    result = oi_tfrecord.evaluate(evaluated)
    assert result.summary == {"mAP@0.5IOU": pytest.approx(1.0)}
    assert not result.unknown_classes
    assert len(result.classes) == (300 if with_masks else 500)


def test_the_label_map_with_the_names_of_v4_is_the_published_one(tmp_path: pathlib.Path) -> None:
    folder = write_track(tmp_path / "data", "challenge2019")
    names = DATA / "real" / "v4" / "class-descriptions-boxable.csv"
    records = convert(folder, "challenge2019", f"--class_descriptions={names}")
    data = (records / "label_map.pbtxt").read_bytes()
    assert hashlib.sha256(data).hexdigest() == PUBLISHED_LABEL_MAP
