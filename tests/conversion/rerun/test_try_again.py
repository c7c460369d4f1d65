import json
import os
import pathlib
import shutil
from typing import Any

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.convert import convert
from oi_tfrecord.conversion.outcome import ConversionResult
from oi_tfrecord.engine.progress_line import NoProgress
from tests.support import small_release
from tests.support.small_release import Release

SHARDS = 6


class Notes(NoProgress):
    """Keeps the notes of a run."""

    def __init__(self) -> None:
        """Has no notes yet."""
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def release(tmp_path: pathlib.Path) -> Release:
    """A release without faults."""
    return small_release.write_release(tmp_path / "data", images=16, faults=False)


def run(release: Release, output_dir: pathlib.Path, **flags: object) -> tuple[ConversionResult, list[str]]:
    notes = Notes()
    config = parse_convert(release.flags(output_dir, **{"num_shards": SHARDS, **flags})).config
    return convert(config, workers=1, progress=notes), notes.lines


def path_of(release: Release, image_id: str) -> pathlib.Path:
    return release.folder / "images" / f"{image_id}.jpg"


def shards_of(output_dir: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Returns what changes when a shard is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in output_dir.glob("train.tfrecord-*")}


def visible(output_dir: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output_dir.iterdir() if path.is_file()}


def test_an_image_that_is_supplied_is_converted_by_the_same_command(release: Release, tmp_path: pathlib.Path) -> None:
    whole, _ = run(release, tmp_path / "whole")
    path, cut = path_of(release, release.image_ids[3]), path_of(release, release.image_ids[8])
    path.rename(tmp_path / "held")
    data = cut.read_bytes()
    cut.write_bytes(data[:-40])
    first, _ = run(release, tmp_path / "out")
    assert first.manifest["images"]["rejected"] == {"image_cut_off": 1, "image_missing": 1}
    before = shards_of(tmp_path / "out")

    again, notes = run(release, tmp_path / "out")
    assert again.was_complete
    assert shards_of(tmp_path / "out") == before
    assert any("2 images or masks are rejected as before" in note for note in notes)

    (tmp_path / "held").rename(path)
    corrected, notes = run(release, tmp_path / "out")
    assert not corrected.was_complete
    assert any(f"1 of {SHARDS} shards are written again" in note for note in notes)
    assert corrected.manifest["images"]["rejected"] == {"image_cut_off": 1}
    after = shards_of(tmp_path / "out")
    assert len({name for name in after if after[name] != before[name]}) == 1

    cut.write_bytes(data)
    last, _ = run(release, tmp_path / "out")
    assert last.manifest == whole.manifest
    assert visible(tmp_path / "out") == visible(tmp_path / "whole")
    assert not list((tmp_path / "out").glob(".oi_tfrecord-*"))


def test_an_interruption_of_the_second_try_is_resumed(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(release, tmp_path / "whole")
    path = path_of(release, release.image_ids[0])
    path.rename(tmp_path / "held")
    run(release, tmp_path / "out")
    (tmp_path / "held").rename(path)

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("oi_tfrecord.conversion.run_plan._run_pipelines", stop)
        with pytest.raises(KeyboardInterrupt):
            run(release, tmp_path / "out")
    assert "train" not in json.loads((tmp_path / "out" / "manifest.json").read_bytes())["splits"]
    resumed, _ = run(release, tmp_path / "out")
    assert resumed.resumed_shards == SHARDS - 1
    assert visible(tmp_path / "out") == visible(tmp_path / "whole")


def test_without_the_results_of_the_first_run_overwrite_is_named(release: Release, tmp_path: pathlib.Path) -> None:
    path_of(release, release.image_ids[0]).unlink()
    run(release, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / ".oi_tfrecord-train")
    again, notes = run(release, tmp_path / "out")
    assert again.was_complete
    assert any("--overwrite" in note for note in notes)


def test_overwrite_writes_all_shards_of_a_finished_conversion_with_rejects(
    release: Release, tmp_path: pathlib.Path
) -> None:
    path_of(release, release.image_ids[0]).unlink()
    run(release, tmp_path / "out")
    before = shards_of(tmp_path / "out")
    assert run(release, tmp_path / "out", overwrite=True)[0].resumed_shards == 0
    after = shards_of(tmp_path / "out")
    assert all(after[name] != before[name] for name in before)


def touch(path: pathlib.Path) -> None:
    """Gives a file the time of a copy."""
    os.utime(path, (1, 1))


def table(release: Release, name: str) -> pathlib.Path:
    return release.folder / "train" / small_release.TABLES[name]


def test_a_table_that_was_copied_is_the_same_table(release: Release, tmp_path: pathlib.Path) -> None:
    run(release, tmp_path / "out")
    for name in small_release.TABLES:
        touch(table(release, name))
    again, notes = run(release, tmp_path / "out")
    assert again.was_complete
    assert sum("Comparing" in note for note in notes) == 3


@pytest.mark.parametrize("place", ["header", "rows"])
def test_a_table_with_other_content_of_the_same_size_is_refused(
    place: str, release: Release, tmp_path: pathlib.Path
) -> None:
    run(release, tmp_path / "out")
    boxes = table(release, "boxes")
    data = boxes.read_bytes()
    changed = data.replace(b"XMin,XMax", b"XMax,XMin") if place == "header" else data.replace(b"0.999", b"0.998", 1)
    assert len(changed) == len(data)
    boxes.write_bytes(changed)
    touch(boxes)
    with pytest.raises(Exception, match=r"annotations-human-bbox\.csv"):
        run(release, tmp_path / "out")


def interrupt(release: Release, output_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch, **flags: Any) -> None:
    """Stops a conversion after its shards are written."""

    def stop(*arguments: object) -> None:
        raise RuntimeError("stopped before the manifest")

    with monkeypatch.context() as patched:
        patched.setattr("oi_tfrecord.conversion.finish_dataset.finish_dataset", stop)
        with pytest.raises(Exception, match="stopped before the manifest"):
            run(release, output_dir, **flags)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_interrupted_conversion_is_resumed_with_copies_of_its_tables(
    compressed: bool, release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compressed:
        import gzip

        boxes = table(release, "boxes")
        boxes.with_name(boxes.name + ".gz").write_bytes(gzip.compress(boxes.read_bytes()))
        boxes.unlink()
    run(release, tmp_path / "whole")
    interrupt(release, tmp_path / "out", monkeypatch)
    for path in (release.folder / "train").iterdir():
        touch(path)
    resumed, _ = run(release, tmp_path / "out")
    assert resumed.resumed_shards == SHARDS
    assert visible(tmp_path / "out").keys() == visible(tmp_path / "whole").keys()
    for path in (tmp_path / "whole").glob("train.tfrecord-*"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_a_table_that_changed_in_secret_does_not_mix_with_what_was_written(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(release, tmp_path / "out", monkeypatch)
    boxes = table(release, "boxes")
    times = boxes.stat()
    boxes.write_bytes(boxes.read_bytes().replace(b"0.999", b"0.998", 1))
    os.utime(boxes, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(Exception, match="an input changed since the run that is resumed"):
        run(release, tmp_path / "out")
