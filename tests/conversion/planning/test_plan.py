import dataclasses
import json
import pathlib
import shutil

import pytest

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.sources.files import PatternSource
from tests.conversion.planning.conftest import plan_of
from tests.support import small_release
from tests.support.small_release import MIDS, UNLISTED, Release


def test_finds_the_files_and_writes_nothing(release: Release, tmp_path: pathlib.Path) -> None:
    before = small_release.dataset(release.folder)
    plan = plan_of(release, tmp_path / "out")
    assert [(file.table, pathlib.Path(file.path).name) for file in plan.tables] == [
        (Table.METADATA, "images.csv"),
        (Table.BOXES, "annotations-human-bbox.csv"),
        (Table.HUMAN_LABELS, "annotations-human.csv"),
    ]
    assert small_release.dataset(release.folder) == before
    assert not (tmp_path / "out").exists()


def test_every_class_that_is_described_is_known_and_only_listed_ones_are_kept(release: Release) -> None:
    plan = plan_of(release)
    job = plan.range_job(frozenset({3}))
    kept = {mid for mid, keep in zip(job.vocabulary.mids, job.kept_codes.tolist(), strict=True) if keep}
    assert kept == set(MIDS)
    assert UNLISTED in job.vocabulary.mids
    assert (job.num_shards, job.finished_shards) == (5, {3})
    assert job.block_bytes == 32 << 20


def test_titles_are_read_for_attribution_only(release: Release) -> None:
    assert plan_of(release).range_job(frozenset()).text_columns == frozenset()
    texts = plan_of(release, extra_keys="attribution").range_job(frozenset()).text_columns
    assert texts == {"License", "Author", "AuthorProfileURL", "Title", "OriginalLandingURL"}


def test_flags_are_written_only_where_the_table_has_them(own: Release) -> None:
    assert plan_of(own).shard_job().layout.flags == frozenset()
    header, *rows = small_release.read_table(own.folder, "boxes")
    flags = ["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"]
    small_release.write_table(own.folder, "boxes", [header + flags, *(row + ["0"] * 5 for row in rows)])
    layout = plan_of(own).shard_job().layout
    assert layout.flags == {"occluded", "truncated", "group_of", "depiction", "inside"}


def test_a_relative_pattern_of_images_is_of_this_folder(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = plan_of(release, images="images/{split}/{image_id}.jpg").shard_job().source
    assert isinstance(source, PatternSource)
    assert source.path("0123456789abcdef") == f"{tmp_path}/images/train/0123456789abcdef.jpg"
    remote = plan_of(release, images="gs://bucket/{image_id}.jpg").source
    assert isinstance(remote, PatternSource)
    assert remote.path("0") == "gs://bucket/0.jpg"


def test_the_fingerprint_is_of_this_input_and_configuration(own: Release) -> None:
    first = plan_of(own).fingerprint
    assert json.loads(json.dumps(first)) == first
    assert plan_of(own, "/elsewhere", max_rejects="3", read_threads=9, overwrite="true").fingerprint == first
    moved = own.folder.parent / "moved"
    shutil.copytree(own.folder, moved)
    # Where the tables lie does not matter; where the images lie does, as other images could be there.
    images = own.folder / "images" / "{image_id}.jpg"
    assert plan_of(dataclasses.replace(own, folder=moved), images=images).fingerprint == first
    assert plan_of(own, images="/b/{image_id}.jpg").fingerprint != first
    assert plan_of(own).with_shards(6).fingerprint != first
    (own.folder / "class-descriptions.csv").write_text("".join(f"{mid},New name\n" for mid in (*MIDS, UNLISTED)))
    assert plan_of(own).fingerprint != first


def test_a_changed_list_of_images_changes_the_fingerprint(own: Release, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ids.txt"
    found = []
    for count in (3, 4):
        path.write_text("\n".join(own.image_ids[:count]))
        plan = plan_of(own, image_ids=path)
        assert plan.filters.image_ids is not None
        assert plan.filters.image_ids.tolist() == [int(image_id, 16) for image_id in own.image_ids[:count]]
        found.append(plan.fingerprint)
    assert found[0] != found[1]


def test_the_limit_of_images_stands_beside_the_sample(release: Release) -> None:
    filters = plan_of(release, sample=0.5).with_image_limit(10).filters
    assert (filters.sample_below, filters.limit_below) == (1 << 63, 10)


@pytest.mark.parametrize(("field", "name"), [("label_map", "map.pbtxt"), ("image_ids", "ids.txt")])
def test_a_file_that_a_flag_names_must_be_there(field: str, name: str, release: Release) -> None:
    with pytest.raises(ConfigError, match=f"there is no file /not/{name}") as caught:
        plan_of(release, **{field: f"/not/{name}"})
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["label_map", "classes", "image_ids"])
def test_a_file_that_a_flag_names_must_be_text(field: str, release: Release, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "given"
    path.write_bytes(b"\n\ncaf\xe9\n")
    with pytest.raises(InputError) as raised:
        plan_of(release, **{field: path})
    assert (raised.value.path, raised.value.line) == (str(path), 3)
