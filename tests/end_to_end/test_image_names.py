"""Data of one's own in the layout of Open Images: ImageIDs are names of any form."""

import csv
import dataclasses
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator

import pyarrow.parquet as pq
import pytest

from oi_tfrecord import RecordDataset
from oi_tfrecord.cli.main import main
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.explore.browse.attribution import find_attribution
from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.browse.query import Query
from oi_tfrecord.openimages.image_id import id_key
from oi_tfrecord.records.example_reader import Values, get_bytes, parse_example
from oi_tfrecord.storage.csv_text import without_apostrophe
from tests.conftest import Converted, convert_arguments
from tests.support import mask_release, small_release
from tests.support.small_release import records, shards

Run = Callable[..., Converted]

NAMES = (
    "img_11287", "000123", "123", "IMG 0042 (1)", "a.b", "Zoë-café", "猫", "DSC.00017", "0000033073932C2E",
    "0000033073932c2", "0000033073932c2e", "=SUM(A1)", "'quoted'", 'a "b"', "comma, name", "photo.jpg", "x" * 251,
    "{split}", "100%", "#7", "name;1", "-dash", "a\\b", "ﬁn", "🦉",
)  # fmt: skip


@pytest.fixture(scope="module")
def renamed(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The generated dataset with NAMES, and further ones, as ImageIDs."""
    folder = tmp_path_factory.mktemp("names") / "sample"
    shutil.copytree(sample, folder)
    rename(folder, NAMES)
    return folder


def rename(folder: pathlib.Path, names: tuple[str, ...]) -> None:
    """Gives the images of the train split new ImageIDs: the names, and `other N` to the rest."""
    pictures = sorted((folder / "images" / "train").iterdir())
    name_of = {
        picture.stem: names[number] if number < len(names) else f"other {number}"
        for number, picture in enumerate(pictures)
    }
    for picture in pictures:
        picture.rename(picture.with_name(f"{name_of[picture.stem]}.jpg"))
    for table in (folder / "2017_11" / "train").glob("*.csv"):
        with table.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *([name_of[row[0]], *row[1:]] for row in rows)])


def ids_of(output_dir: pathlib.Path, split: str = "train") -> list[str]:
    return [get_bytes(example, "image/source_id").decode() for example in examples_of(output_dir, split)]


def examples_of(output_dir: pathlib.Path, split: str = "train") -> Iterator[dict[str, Values]]:
    return map(parse_example, records(output_dir, split))


def from_archive(folder: pathlib.Path, output_dir: pathlib.Path, archive: pathlib.Path) -> pathlib.Path:
    """Converts with the images in an archive; all must be found."""
    flags = [flag for flag in convert_arguments(folder, output_dir, "--select=all") if not flag.startswith("--images")]
    assert main(["convert", *flags, f"--archives={archive}", "--max_rejects=0"]) == 0
    return output_dir


def verify(output_dir: pathlib.Path) -> int:
    return main(["verify", str(output_dir), "--decode"])


@pytest.fixture(scope="module")
def converted(renamed: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The dataset of names, converted with all files beside the records."""
    output_dir = tmp_path_factory.mktemp("records") / "records"
    assert main(["convert", *convert_arguments(renamed, output_dir, "--select=all", "--attribution_csv")]) == 0
    return output_dir


def test_names_are_written_as_they_are(converted: pathlib.Path) -> None:
    ids = ids_of(converted)
    assert set(NAMES) <= set(ids)
    assert len(ids) == len(set(ids)) == 48
    assert [get_bytes(example, "image/filename").decode() for example in examples_of(converted)] == [
        f"{name}.jpg" for name in ids
    ]
    manifest = json.loads((converted / "manifest.json").read_text())["splits"]["train"]
    assert manifest["balanced"]
    assert manifest["config"]["image_id_format"] == "any"
    assert not manifest["images"]["rejected"]


def test_names_change_nothing_else(
    converted: pathlib.Path, sample: pathlib.Path, run: Run, tmp_path: pathlib.Path
) -> None:
    published = run(sample, tmp_path / "out", "--select=all")

    def facts(output_dir: pathlib.Path) -> list[list[str]]:
        named = ("image/source_id", "image/filename")
        return sorted(
            [repr((key, values)) for key, values in example.items() if key not in named]
            for example in examples_of(output_dir)
        )

    assert facts(converted) == facts(published.output_dir)


def test_records_of_names_pass_verification(converted: pathlib.Path) -> None:
    assert verify(converted) == 0


@pytest.mark.parametrize("flags", [("--workers=2",), ("--csv_block_mb=1", "--workers=1", "--runner=DirectRunner")])
def test_all_ways_give_the_same_bytes(
    flags: tuple[str, ...], converted: pathlib.Path, renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path
) -> None:
    again = run(renamed, tmp_path / "out", "--select=all", "--attribution_csv", *flags)
    assert shards(again.output_dir) == shards(converted)
    assert (tmp_path / "out" / "ATTRIBUTION-train.csv").read_bytes() == (
        converted / "ATTRIBUTION-train.csv"
    ).read_bytes()


def test_published_ids_give_the_same_bytes_as_names(sample: pathlib.Path, run: Run, tmp_path: pathlib.Path) -> None:
    as_hex = run(sample, tmp_path / "hex", "--image_id_format=hex")
    as_names = run(sample, tmp_path / "any", "--image_id_format=any")
    assert shards(as_names.output_dir) == shards(as_hex.output_dir)
    assert verify(as_names.output_dir) == 0


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_of_names(
    kind: str, converted: pathlib.Path, renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / f"images.{kind}"
    pictures = sorted((renamed / "images" / "train").iterdir())
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for picture in pictures:
                zipped.write(picture, f"folder/{picture.name}")
    else:
        with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as packed:
            for picture in pictures:
                packed.add(picture, f"folder/{picture.name}")
    out = from_archive(renamed, tmp_path / "out", archive)
    assert shards(out) == shards(converted)


def test_ids_that_are_file_names(sample: pathlib.Path, run: Run, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(sample, folder)
    rename(folder, tuple(f"photo {number}.jpg" for number in range(48)))
    pictures = folder / "images" / "train"
    for picture in list(pictures.iterdir()):
        picture.rename(picture.with_name(picture.name.removesuffix(".jpg")))
    files = run(folder, tmp_path / "files", "--select=all", f"--images={pictures}/{{image_id}}")
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for picture in pictures.iterdir():
            zipped.write(picture, picture.name)
    packed = from_archive(folder, tmp_path / "packed", archive)
    chosen = tmp_path / "ids.txt"
    chosen.write_text("photo 1.jpg\nphoto 2.jpg\n")
    listed = run(folder, tmp_path / "listed", f"--images={pictures}/{{image_id}}", f"--image_ids={chosen}")
    assert (files.code, listed.code) == (0, 0)
    assert shards(files.output_dir) == shards(packed)
    assert sorted(ids_of(files.output_dir)) == sorted(f"photo {number}.jpg" for number in range(48))
    assert set(ids_of(listed.output_dir)) <= {"photo 1.jpg", "photo 2.jpg"}
    assert verify(files.output_dir) == 0


def test_a_list_chooses_names(renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path) -> None:
    chosen = tmp_path / "ids.csv"
    chosen.write_text('ImageID\n"comma, name"\ntrain/img_11287\n猫.jpg\nvalidation/a.b\nunknown\n', encoding="utf-8")
    listed = run(renamed, tmp_path / "out", "--select=all", f"--image_ids={chosen}")
    assert sorted(ids_of(listed.output_dir)) == ["comma, name", "img_11287", "猫"]
    assert "1 of 4 ImageIDs are in no table" in listed.err


def test_rejects_name_images_and_rows_by_their_names(renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(renamed, folder)
    (folder / "images" / "train" / "猫.jpg").unlink()
    [boxes] = (folder / "2017_11" / "train").glob("*bbox.csv")
    rows = boxes.read_text(encoding="utf-8").splitlines()
    rest = next(row.partition(",")[2] for row in rows[1:] if not row.startswith('"'))
    with boxes.open("a", encoding="utf-8") as file:
        file.writelines(f"{name},{rest}\n" for name in ("nobody's", "a/b", "bad\x07bell", "y" * 256, "..", ""))
    done = run(folder, tmp_path / "out", "--select=all", "--max_rejects=100%")
    assert done.code == 0, done.err
    found = {(row[0], row[3], row[4]) for row in done.rejects()}
    assert ("images", "猫", "image_missing") in found
    assert ("boxes", "nobody's", "annotation_without_image") in found
    assert sum(row[4] == "bad_image_id" for row in done.rejects()) == 5
    assert verify(done.output_dir) == 0


def test_numeric_source_ids_leave_names_to_file_names(renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path) -> None:
    done = run(renamed, tmp_path / "out", "--select=all", "--source_id=numeric")
    names = {
        get_bytes(example, "image/filename").decode().removesuffix(".jpg") for example in examples_of(done.output_dir)
    }
    assert set(NAMES) <= names
    assert verify(done.output_dir) == 0
    assert main(["export", str(done.output_dir), f"--to={tmp_path / 'tables'}"]) == 0
    assert set(NAMES) <= set(pq.read_table(tmp_path / "tables" / "images")["image_id"].to_pylist())


def test_resuming_gives_the_same_bytes(
    converted: pathlib.Path, renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(converted, out)
    again = run(renamed, out, "--select=all", "--attribution_csv")
    assert again.code == 0
    assert "Nothing to do" in again.out


KILLED_AT_THE_SECOND_SHARD = """
import os, signal, sys
from tests.support.small_release import convert

replace = os.replace

def replace_or_die(source, target):
    if os.path.basename(target) == "shard-00001.json":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = replace_or_die
convert(sys.argv[1:])
"""


def test_a_killed_conversion_of_names_resumes_to_the_same_bytes(
    converted: pathlib.Path, renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path
) -> None:
    flags = convert_arguments(renamed, tmp_path / "out", "--select=all", "--attribution_csv")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_THE_SECOND_SHARD, *flags],
        env=small_release.environment(), cwd=small_release.ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = run(renamed, tmp_path / "out", "--select=all", "--attribution_csv")
    assert again.code == 0
    assert "Resuming: 1 of 3 shards are finished" in again.err
    assert small_release.dataset(tmp_path / "out") == small_release.dataset(converted)
    assert verify(tmp_path / "out") == 0


def test_show_prints_names(converted: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = ids_of(converted).index("Zoë-café")
    assert main(["show", f"{converted / 'train'}:{number}", f"--png={tmp_path / 'boxes.png'}"]) == 0
    printed = capsys.readouterr().out
    assert "Zoë-café" in printed
    assert "Zoë-café.jpg" in printed
    assert (tmp_path / "boxes.png").read_bytes().startswith(b"\x89PNG")


TWINS = ("comma, name", f"{id_key(b'comma, name'):016x}")
"""Two ImageIDs with the same 64-bit hash: that of a published ImageID is its value."""


@pytest.fixture(scope="module")
def of_twin(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The dataset of names, with the other twin in place of `comma, name`."""
    folder = tmp_path_factory.mktemp("twin") / "sample"
    shutil.copytree(sample, folder)
    rename(folder, tuple(TWINS[1] if name == TWINS[0] else name for name in NAMES))
    return folder


def names_twins(printed: str) -> bool:
    [error] = [line for line in printed.splitlines() if line.startswith("error: ")]
    return all(name in error for name in (*TWINS, "64-bit hash"))


@pytest.mark.parametrize("long_list", [10_000, 1])
def test_a_listed_name_is_not_taken_for_another_of_its_hash(
    long_list: int, renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oi_tfrecord.conversion.kept_lists.LONG_LIST", long_list)
    chosen = tmp_path / "ids.txt"
    chosen.write_text(f"img_11287\n{TWINS[1]}\n")
    done = run(renamed, tmp_path / "out", "--select=all", f"--image_ids={chosen}")
    assert done.code == 1
    assert names_twins(done.err)


def test_an_image_in_an_archive_is_not_taken_for_another_of_its_hash(
    renamed: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for picture in sorted((renamed / "images" / "train").iterdir()):
            zipped.write(picture, f"{TWINS[1]}.jpg" if picture.stem == TWINS[0] else picture.name)
    flags = [f for f in convert_arguments(renamed, tmp_path / "out", "--select=all") if not f.startswith("--images")]
    capsys.readouterr()
    assert main(["convert", *flags, f"--archives={archive}"]) == 1
    assert names_twins(capsys.readouterr().err)


@pytest.mark.parametrize("on_duplicate", ["error", "first"])
def test_merge_takes_no_image_for_another_of_its_hash(
    on_duplicate: str,
    renamed: pathlib.Path,
    of_twin: pathlib.Path,
    run: Run,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    flags = []
    for number, folder in enumerate((renamed, of_twin)):
        chosen = tmp_path / f"ids-{number}.csv"
        chosen.write_text(f'ImageID\n"{TWINS[number]}"\n')
        form = ("any", "hex")[number]
        done = run(folder, tmp_path / str(number), "--select=all", f"--image_ids={chosen}", f"--image_id_format={form}",
                   "--max_rejects=100%")  # fmt: skip
        assert ids_of(done.output_dir) == [TWINS[number]]
        flags.append(str(done.output_dir))
    capfd.readouterr()
    assert main(["merge", *flags, f"--to={tmp_path / 'merged'}", f"--on_duplicate={on_duplicate}"]) == 1
    assert names_twins(capfd.readouterr().err)


def test_other_commands_take_names(
    converted: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ids_of(converted)
    part = tmp_path / "part"
    assert main(["resample", str(converted), f"--to={part}", "--split=train", "--fraction=0.5"]) == 0
    assert main(["resample", str(part), "--split=train", "--repeat_threshold=0.5"]) == 0
    [weights] = part.glob("weights-*.csv")
    with weights.open(newline="", encoding="utf-8") as file:
        weighed = [without_apostrophe(row["ImageID"]) for row in csv.DictReader(file)]
    assert weighed == ids_of(part)
    assert set(weighed) < set(ids)
    assert verify(part) == 0
    merged = tmp_path / "merged"
    capsys.readouterr()
    assert main(["merge", str(converted), str(part), f"--to={merged}"]) == 1
    assert f"has the image {ids_of(part)[0]}, which" in capsys.readouterr().err
    assert main(["merge", str(converted), str(part), f"--to={merged}", "--on_duplicate=first", "--overwrite"]) == 0
    assert ids_of(merged) == ids
    assert verify(merged) == 0
    assert main(["export", str(converted), f"--to={tmp_path / 'tables'}"]) == 0
    assert sorted(pq.read_table(tmp_path / "tables" / "images")["image_id"].to_pylist()) == sorted(ids)
    assert len(list(RecordDataset(str(converted), "train"))) == 48


def test_merge_of_published_ids_and_names(
    converted: pathlib.Path, sample: pathlib.Path, run: Run, tmp_path: pathlib.Path
) -> None:
    chosen = tmp_path / "ids.txt"
    chosen.write_text("\n".join(sorted(path.stem for path in (sample / "images" / "train").iterdir())[-5:]))
    published = run(sample, tmp_path / "published", "--select=all", f"--image_ids={chosen}")
    assert main(["merge", str(converted), str(published.output_dir), f"--to={tmp_path / 'merged'}"]) == 0
    assert sorted(ids_of(tmp_path / "merged")) == sorted([*ids_of(converted), *ids_of(published.output_dir)])
    assert verify(tmp_path / "merged") == 0


def test_single_bad_ids_turn_no_published_table_into_names(
    sample: pathlib.Path, run: Run, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(sample, folder)
    [metadata] = (folder / "2017_11" / "train").glob("images.csv")
    header, first, *rows = metadata.read_text(encoding="utf-8").splitlines()
    metadata.write_text("\n".join([header, f"bad{first[16:]}", first, *rows, ""]), encoding="utf-8")
    done = run(folder, tmp_path / "out", "--max_rejects=100%")
    assert [(row[3], row[4]) for row in done.rejects()] == [("", "bad_image_id")]
    assert done.manifest()["config"]["image_id_format"] == "hex"


def test_two_names_of_one_hash_are_an_error_that_names_both(
    renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "oi_tfrecord.openimages.image_id.id_key", lambda name: id_key(b"other 30" if name == b"other 31" else name)
    )
    done = run(renamed, tmp_path / "out", "--select=all")
    assert done.code == 1
    assert "'other 30'" in done.err
    assert "'other 31'" in done.err
    assert "64-bit hash" in done.err


def test_masks_of_names(tmp_path: pathlib.Path) -> None:
    release = mask_release.write_release(tmp_path / "published", images=8, faults=False)
    folder = tmp_path / "named"
    shutil.copytree(release.folder, folder)
    name_of = {image_id: f"my_image {number}" for number, image_id in enumerate(release.boxes)}
    for table in folder.glob("train-*.csv"):
        text = table.read_text()
        for image_id, name in name_of.items():
            text = text.replace(image_id, name)
        table.write_text(text)
    for file in (*(folder / "images").iterdir(), *(folder / "masks").iterdir()):
        [image_id] = [image_id for image_id in name_of if file.name.startswith(image_id)]
        file.rename(file.with_name(file.name.replace(image_id, name_of[image_id])))
    archive = tmp_path / "masks.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for mask in (folder / "masks").iterdir():
            zipped.write(mask, mask.name)

    def masks_of(release: mask_release.MaskRelease, output_dir: pathlib.Path, **flags: object) -> list[str]:
        assert main(["convert", *release.flags(output_dir, max_rejects=0, **flags)]) == 0
        assert verify(output_dir) == 0
        return sorted(repr(example["image/object/mask"]) for example in examples_of(output_dir))

    named = dataclasses.replace(release, folder=folder)
    published = masks_of(release, tmp_path / "a")
    assert masks_of(named, tmp_path / "b") == published
    assert masks_of(named, tmp_path / "c", mask_files=None, mask_archives=archive) == published


def test_browse_finds_names(converted: pathlib.Path) -> None:
    index = open_index(str(converted), "", 1, NoProgress())
    dataset = BrowsedDataset(str(converted), index)
    for name in ids_of(converted):
        record = dataset.find_record("train", name)
        assert record is not None, name
        assert dataset.describe_image(record, Query())["id"] == name
        assert dataset.read_image(record)[1] == "image/jpeg"
        assert record in index.with_id(name[:2])
    authors = find_attribution(str(converted), index)
    assert (authors[:, 0] >= 0).all()


def test_missing_images_of_any_name_are_skipped(renamed: pathlib.Path, run: Run, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(renamed, folder)
    for name in NAMES[:3]:
        (folder / "images" / "train" / f"{name}.jpg").unlink()
    done = run(folder, tmp_path / "out", "--select=all", "--missing_images=skip", "--max_rejects=0")
    assert done.manifest()["images"]["skipped"] == {"image_missing": 3}
    assert not set(NAMES[:3]) & set(ids_of(tmp_path / "out"))
