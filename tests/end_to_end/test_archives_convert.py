import csv
import functools
import gzip
import io
import itertools
import json
import pathlib
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.conversion.read_range import ignore_bytes
from oi_tfrecord.conversion.read_tables import read_input, whole_archive
from oi_tfrecord.conversion.shard import convert_shard
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.join.batches import decode
from oi_tfrecord.join.shard_rows import collect_tables
from tests.conversion.test_read_range import ranges_of
from tests.support import small_release
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.small_release import Release, convert

Packer = Callable[[pathlib.Path, str, list[pathlib.Path]], None]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    # Larger than deflate looks back, so that a tar.gz of them has several blocks.
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=60, size=(512, 384))


@pytest.fixture(scope="module")
def loose(release: Release, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The conversion of the images as files, not to be changed."""
    folder = tmp_path_factory.mktemp("loose")
    assert convert(release.flags(folder, workers=1)) == 0
    return folder


def pack_tar(archive: pathlib.Path, inner: str, files: list[pathlib.Path], compression: str = "") -> None:
    with tarfile.open(archive, f"w:{compression}") as tar:
        for path in files:
            tar.add(path, f"{inner}/{path.name}")


def pack_tar_gz(archive: pathlib.Path, inner: str, files: list[pathlib.Path]) -> None:
    pack_tar(archive, inner, files, "gz")


def pack_zip(archive: pathlib.Path, inner: str, files: list[pathlib.Path]) -> None:
    with zipfile.ZipFile(archive, "w") as zipped:
        for number, path in enumerate(files):
            zipped.write(path, f"{inner}/{path.name}", (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2])


PACKERS: dict[str, Packer] = {"tar": pack_tar, "tar.gz": pack_tar_gz, "zip": pack_zip}


def files_of(release: Release) -> list[pathlib.Path]:
    return sorted((release.folder / "images").iterdir())


def pack_by_first_digit(release: Release, folder: pathlib.Path, kind: str) -> str:
    """Packs as the Common Visual Data Foundation does: train_0 to train_f, each with a folder of its name."""
    for digit, group in itertools.groupby(files_of(release), key=lambda path: path.name[0]):
        PACKERS[kind](folder / f"train_{digit}.{kind}", f"train_{digit}", list(group))
    return str(folder / f"{{split}}_?.{kind}")


def run(release: Release, output_dir: pathlib.Path, archives: str, **flags: object) -> dict[str, Any]:
    given = release.flags(output_dir, **{"images": None, "archives": archives, "workers": 1, **flags})
    assert convert(given) == 0
    manifest: dict[str, Any] = json.loads((output_dir / "manifest.json").read_bytes())["splits"]["train"]
    return manifest


def rejects(output_dir: pathlib.Path) -> list[dict[str, str]]:
    with (output_dir / "rejects-train.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("kind", PACKERS)
def test_records_are_those_of_loose_files(
    release: Release, loose: pathlib.Path, kind: str, tmp_path: pathlib.Path
) -> None:
    manifest = run(release, tmp_path / "out", pack_by_first_digit(release, tmp_path, kind))
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)
    of_loose = json.loads((loose / "manifest.json").read_bytes())["splits"]["train"]
    assert manifest["images"] == of_loose["images"]
    count = manifest["tables"]["image_files"]
    assert count["balanced"] is True
    assert count["rows_read"] == len(files_of(release))
    assert count["written"] == manifest["totals"]["records"]
    # Of the broken images, one has no file.
    assert count["rejected"] == {"image_rejected": len(release.broken) - 1}
    listed = {(row["ImageID"], row["Reason"]) for row in rejects(tmp_path / "out") if row["Table"] == "images"}
    assert listed == {(image_id, reason) for reason, image_id in release.broken.items()}
    inputs = [item for item in manifest["inputs"] if item["table"] == "image_files"]
    assert [pathlib.Path(item["path"]).name for item in inputs] == sorted(
        {f"train_{path.name[0]}.{kind}" for path in files_of(release)}
    )


def test_worker_processes_give_the_same(release: Release, loose: pathlib.Path, tmp_path: pathlib.Path) -> None:
    archives = pack_by_first_digit(release, tmp_path, "tar.gz")
    run(release, tmp_path / "out", archives, workers=4)
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)


def test_archives_of_each_kind_together(release: Release, loose: pathlib.Path, tmp_path: pathlib.Path) -> None:
    files = files_of(release)
    for number, (kind, pack) in enumerate(PACKERS.items()):
        pack(tmp_path / f"part.{kind}", "x", files[number :: len(PACKERS)])
    run(release, tmp_path / "out", str(tmp_path / "part.*"))
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)


@pytest.mark.parametrize("kind", PACKERS)
def test_what_the_annotations_do_not_name_is_counted(
    release: Release, loose: pathlib.Path, kind: str, tmp_path: pathlib.Path
) -> None:
    whole = next(path for path in files_of(release) if path.stem not in release.broken.values())
    strangers = [tmp_path / name for name in (f"{'1' * 16}.jpg", "README.txt", f"{whole.stem}_m01.png", "0.jpg")]
    for path in strangers:
        path.write_bytes(b"other")
    PACKERS[kind](tmp_path / f"a.{kind}", "train", files_of(release) + strangers)
    PACKERS[kind](tmp_path / f"b.{kind}", "again", [whole])
    manifest = run(release, tmp_path / "out", str(tmp_path / f"?.{kind}"))
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)
    count = manifest["tables"]["image_files"]
    assert count["balanced"] is True
    assert count["dropped"] == {"image_not_selected": 1, "no_image_name": len(strangers) - 1, "repeated": 1}
    assert "duplicate" not in count["rejected"]
    [first, _] = [item for item in manifest["inputs"] if item["table"] == "image_files"]
    assert first["rows"] == first["lines"] == len(files_of(release)) + len(strangers)
    assert not [row for row in rejects(tmp_path / "out") if row["Table"] == "image_files"]


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize(("changed", "says"), [(b"\0", "another size"), (b"", "other bytes")])
def test_a_repeat_with_other_bytes_is_rejected(
    release: Release, loose: pathlib.Path, kind: str, changed: bytes, says: str, tmp_path: pathlib.Path
) -> None:
    whole = next(path for path in files_of(release) if path.stem not in release.broken.values())
    other = tmp_path / whole.name
    other.write_bytes(whole.read_bytes()[:-1] + b"x" + changed)
    PACKERS[kind](tmp_path / f"a.{kind}", "train", files_of(release))
    PACKERS[kind](tmp_path / f"b.{kind}", "again", [other])
    manifest = run(release, tmp_path / "out", str(tmp_path / f"?.{kind}"))
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)
    assert manifest["tables"]["image_files"]["balanced"] is True
    [duplicate] = [row for row in rejects(tmp_path / "out") if row["Table"] == "image_files"]
    assert (duplicate["File"], duplicate["Line"]) == (str(tmp_path / f"b.{kind}"), "1")
    assert (duplicate["ImageID"], duplicate["Reason"]) == (whole.stem, "duplicate")
    assert duplicate["Detail"] == f"occurs before in the archives, with {says}"


def test_the_first_archive_wins(release: Release, loose: pathlib.Path, tmp_path: pathlib.Path) -> None:
    files = files_of(release)
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for path in files:
        (wrong / path.name).write_bytes(b"not this one")
    pack_tar(tmp_path / "z.tar", "right", files)
    pack_tar(tmp_path / "a.tar", "wrong", sorted(wrong.iterdir()))
    manifest = run(release, tmp_path / "out", f"{tmp_path / 'z.tar'},{tmp_path / 'a.tar'}")
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)
    assert manifest["tables"]["image_files"]["rejected"]["duplicate"] == len(files)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_truncated_archive_gives_what_is_before_the_cut(
    release: Release, loose: pathlib.Path, kind: str, tmp_path: pathlib.Path
) -> None:
    files = files_of(release)
    whole = [path.stem for path in files if path.stem not in release.broken.values()]
    archive = tmp_path / f"all.{kind}"
    PACKERS[kind](archive, "train", files)
    spans = spans_of(archive, kind)
    in_the_middle = whole[len(whole) // 2]
    cut = archive.read_bytes()[: sum(spans[in_the_middle]) // 2]
    end = spans[in_the_middle][0]
    before = {image_id for image_id in whole if spans[image_id][1] <= end}
    archive.write_bytes(cut)
    assert 0 < len(before) < len(whole) - 1
    manifest = run(release, tmp_path / "out", str(archive))
    assert manifest["balanced"] is True
    found = {row["ImageID"]: row["Reason"] for row in rejects(tmp_path / "out") if row["Table"] == "images"}
    assert {image_id for image_id in whole if image_id not in found} == before
    # In the order of the archive: those before the cut, the one that is cut, those that are gone.
    after = [found[image_id] for image_id in whole if image_id not in before]
    assert after == ["image_cut_off", *["image_unreadable"] * (len(after) - 1)]
    for row in rejects(tmp_path / "out"):
        assert row["Reason"] != "image_unreadable" or row["Detail"].startswith(f"not found, {archive} ")
    records = {id_of(record).decode(): record for record in small_release.records(loose)}
    assert set(small_release.records(tmp_path / "out")) == {records[image_id] for image_id in before}
    [warning] = [warning for warning in manifest["warnings"] if warning.startswith(str(archive))]
    assert "cut off" in warning or "without its end mark" in warning


@pytest.mark.parametrize("damage", ["cut", "flip", "joined"])
def test_a_damaged_tar_gz_is_an_error(
    release: Release, damage: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "all.tar.gz"
    pack_tar_gz(archive, "train", files_of(release))
    data = bytearray(archive.read_bytes())
    middle = len(data) // 2
    if damage == "cut":
        del data[middle:]
    elif damage == "flip":
        data[middle] ^= 16
    else:
        data += b"more"
    archive.write_bytes(data)
    flags = release.flags(tmp_path / "out", images=None, archives=archive, workers=1)
    with pytest.raises(InputError, match=rf"{archive}: is (cut off|damaged).*byte"):
        convert(flags)
    assert not small_release.shards(tmp_path / "out")


def test_two_tars_joined_are_named(release: Release, tmp_path: pathlib.Path) -> None:
    files = files_of(release)
    archive = tmp_path / "all.tar"
    pack_tar(archive, "train", files[:30])
    pack_tar(tmp_path / "second", "train", files[30:])
    archive.write_bytes(archive.read_bytes() + (tmp_path / "second").read_bytes())
    manifest = run(release, tmp_path / "out", str(archive))
    [warning] = [warning for warning in manifest["warnings"] if warning.startswith(str(archive))]
    assert "Two archives were joined" in warning
    [behind, *_] = [path.stem for path in files[30:] if path.stem not in release.broken.values()]
    found = {row["ImageID"]: row for row in rejects(tmp_path / "out") if row["Table"] == "images"}
    assert found[behind]["Reason"] == "image_unreadable"
    assert found[behind]["Detail"].startswith(f"not found, {archive} is damaged")


def spans_of(archive: pathlib.Path, kind: str) -> dict[str, tuple[int, int]]:
    """Returns where the bytes of each image start and end, in the zip or in the tar that is unpacked."""
    if kind == "zip":
        with zipfile.ZipFile(archive) as zipped:
            infos = zipped.infolist()
            # There is no extra field, and the data end where the next header starts.
            starts = [info.header_offset + 30 + len(info.filename) for info in infos]
            ends = [*(info.header_offset for info in infos[1:]), zipped.start_dir]
            return {pathlib.Path(i.filename).stem: span for i, *span in zip(infos, starts, ends, strict=True)}
    with tarfile.open(archive) as tar:
        return {pathlib.Path(info.name).stem: (info.offset_data, info.offset_data + info.size) for info in tar}


def id_of(record: bytes) -> bytes:
    start = record.index(b"image ") + len(b"image ")
    return record[start : start + 16]


@pytest.fixture
def bucket() -> Iterator[str]:
    MemoryFileSystem.files.clear()
    yield "memory://bucket"
    MemoryFileSystem.files.clear()


@pytest.mark.parametrize("kind", PACKERS)
def test_remote_archives(release: Release, loose: pathlib.Path, kind: str, bucket: str, tmp_path: pathlib.Path) -> None:
    PACKERS[kind](tmp_path / "all", "train", files_of(release))
    MemoryFileSystem.files[f"{bucket}/train.{kind}"] = (tmp_path / "all").read_bytes()
    run(release, tmp_path / "out", f"{bucket}/{{split}}.{kind}")
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)


def test_filters_leave_out_files_of_archives(release: Release, tmp_path: pathlib.Path) -> None:
    archives = pack_by_first_digit(release, tmp_path, "tar.gz")
    manifest = run(release, tmp_path / "out", archives, sample=0.5)
    assert convert(release.flags(tmp_path / "loose", workers=1, sample=0.5)) == 0
    assert small_release.shards(tmp_path / "out") == small_release.shards(tmp_path / "loose")
    count = manifest["tables"]["image_files"]
    assert count["balanced"] is True
    assert 0 < count["dropped"]["not_sampled"] < len(files_of(release))


def test_a_dry_run_hands_on_no_list_of_archives(release: Release, tmp_path: pathlib.Path) -> None:
    archive = tmp_path / "x.tar"
    pack_tar(archive, "x", files_of(release))
    out = io.StringIO()
    flags = release.flags(tmp_path / "out", images=None, archives=archive, workers=1, dry_run="true")
    assert convert(flags, out) == 0
    manifest = json.loads((tmp_path / "out" / "dry_run" / "manifest.json").read_bytes())["splits"]["train"]
    assert manifest["balanced"] is True
    assert manifest["totals"]["records"] == len(release.image_ids)
    assert "image_files" not in manifest["tables"]
    assert "not counted: finding and reading the images" in out.getvalue()


def test_an_interrupted_conversion_resumes(release: Release, loose: pathlib.Path, tmp_path: pathlib.Path) -> None:
    archives = pack_by_first_digit(release, tmp_path, "tar.gz")
    flags = release.flags(tmp_path / "out", images=None, archives=archives, workers=1)
    plan = make_plan(parse_convert(flags).config)
    plan = plan.keeping_in(plan.work.kept, plan.work.temporary)
    prepare_output(plan.target)
    job = plan.range_job(frozenset())
    batches = [
        decode(batch)
        for part in (
            *(part for file in job.files.values() for part in ranges_of(file, job.block_bytes)),
            *map(whole_archive, job.archives.values()),
        )
        for block in read_input(job, part, ignore_bytes)
        for shard, batch in block.rows.batches()
        if shard == 2
    ]
    convert_shard(plan.shard_job(), 2, functools.partial(collect_tables, batches), plan.classes.make_label_map({}))
    shard = next((tmp_path / "out").glob("train.tfrecord-*"))
    written = shard.stat().st_mtime_ns
    assert convert(flags) == 0
    assert shard.stat().st_mtime_ns == written
    assert small_release.shards(tmp_path / "out") == small_release.shards(loose)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())["splits"]["train"]
    assert manifest["balanced"] is True


def test_the_number_of_shards_is_planned_from_the_first_images(release: Release, tmp_path: pathlib.Path) -> None:
    archives = pack_by_first_digit(release, tmp_path, "tar.gz")
    out = io.StringIO()
    flags = release.flags(tmp_path / "out", images=None, archives=archives, workers=1, num_shards=None)
    assert convert(flags, out) == 0
    assert "plan       1 shards of about" in out.getvalue()


@pytest.mark.parametrize("compression", ["bz2", "xz"])
def test_other_compressions_are_refused(release: Release, compression: str, tmp_path: pathlib.Path) -> None:
    pack_tar(tmp_path / "all.tar", "train", files_of(release), compression)
    with pytest.raises(InputError, match=r"all\.tar: is compressed with .*unpack or recompress it"):
        run(release, tmp_path / "out", str(tmp_path / "all.tar"))


def test_a_gzip_file_that_is_no_tar(release: Release, tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(b"not a tar" * 1000))
    with pytest.raises(InputError, match=r"x\.tar\.gz: is no tar"):
        run(release, tmp_path / "out", str(tmp_path / "x.tar.gz"))


def test_a_pattern_without_files(release: Release, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"archives: no file matches .*train_\*\.tar"):
        run(release, tmp_path / "out", str(tmp_path / "{split}_*.tar"))


def test_images_and_archives_exclude_each_other(release: Release, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="archives: is a second source of the images beside images"):
        run(release, tmp_path / "out", "x.tar", images="{image_id}.jpg")


def test_an_archive_that_was_completed_is_read_again(
    release: Release, loose: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / "all.tar"
    pack_tar(archive, "train", files_of(release))
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    assert run(release, tmp_path / "out", str(archive))["images"]["rejected"]["image_unreadable"] > 1
    archive.write_bytes(data)
    run(release, tmp_path / "out", str(archive))
    for path in loose.glob("train.tfrecord-*"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_an_archive_that_holds_less_than_before_is_refused(release: Release, tmp_path: pathlib.Path) -> None:
    archive = tmp_path / "all.tar"
    pack_tar(archive, "train", files_of(release))
    run(release, tmp_path / "out", str(archive))
    archive.write_bytes(archive.read_bytes()[:2048])
    with pytest.raises(ConfigError, match=r"differs in: all\.tar"):
        run(release, tmp_path / "out", str(archive))
