import dataclasses
import json
import pathlib
import shutil

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.plan import ConvertPlan, make_plan
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.label_map_file import format_pbtxt
from oi_tfrecord.sources.files import PatternSource
from tests.support import small_release
from tests.support.small_release import MIDS, UNLISTED, Release


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)


@pytest.fixture
def own(tmp_path: pathlib.Path) -> Release:
    """A release that a test may change."""
    return small_release.write_release(tmp_path / "data", images=12)


def plan_of(release: Release, output_dir: pathlib.Path | str = "/out", **flags: object) -> ConvertPlan:
    return make_plan(parse_convert(release.flags(output_dir, **flags)).config)


def ids(plan: ConvertPlan) -> dict[str, int]:
    label_map = plan.classes.make_label_map({})
    return {item.name: item.id for item in label_map.items}


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


def test_ids_follow_label_order(own: Release) -> None:
    in_list = [MIDS[2], MIDS[0], MIDS[3], MIDS[1]]
    (own.folder / "classes-bbox-trainable.txt").write_text("\n".join(in_list) + "\n")
    assert ids(plan_of(own)) == {mid: number for number, mid in enumerate(in_list, 1)}
    assert ids(plan_of(own, label_order="mid")) == {mid: number for number, mid in enumerate(sorted(MIDS), 1)}
    by_frequency = plan_of(own, label_order="frequency")
    assert by_frequency.classes.label_map is None
    counts = {MIDS[0]: 5, MIDS[1]: 50, MIDS[2]: 1, UNLISTED: 1000}
    items = by_frequency.classes.make_label_map(counts).items
    assert [item.name for item in items] == [MIDS[1], MIDS[0], MIDS[2], MIDS[3]]
    assert [item.id for item in items] == [1, 2, 3, 4]


def test_an_existing_label_map_keeps_its_ids(own: Release, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text("".join(f'item {{ name: "{mid}" id: {number} }}\n' for number, mid in enumerate(MIDS[1:], 7)))
    (own.folder / "classes-bbox-trainable.txt").write_text("\n".join(reversed(MIDS[1:])))
    for order in ("list", "mid", "frequency"):
        assert ids(plan_of(own, label_map=path, label_order=order)) == {MIDS[1]: 7, MIDS[2]: 8, MIDS[3]: 9}
    (own.folder / "classes-bbox-trainable.txt").write_text("\n".join(MIDS))
    with pytest.raises(ConfigError, match=MIDS[0]):
        plan_of(own, label_map=path)


def test_a_complete_label_map_is_its_own_result(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, label_order="mid")
    assert plan.classes.label_map is not None
    path = tmp_path / "map.pbtxt"
    path.write_text(format_pbtxt(plan.classes.label_map))
    assert plan_of(release, label_map=path).classes.label_map == plan.classes.label_map


def test_chosen_classes_restrict_the_label_map_in_list_order(release: Release, tmp_path: pathlib.Path) -> None:
    wanted = [MIDS[2], MIDS[0]]
    for classes in (",".join(wanted), f"{wanted[0]},{wanted[1]}"):
        plan = plan_of(release, classes=classes)
        assert ids(plan) == {MIDS[0]: 1, MIDS[2]: 2}
        codes = {mid: code for code, mid in enumerate(plan.classes.vocabulary.mids)}
        chosen = plan.filters.chosen_codes
        assert chosen is not None
        assert {mid for mid, code in codes.items() if chosen[code]} == set(wanted)
    path = tmp_path / "wanted.txt"
    path.write_text(f"{MIDS[2]}\n\n  Name, {MIDS[0][-3:]}  \n")
    assert ids(plan_of(release, classes=path)) == {MIDS[0]: 1, MIDS[2]: 2}


def test_without_a_class_list_every_described_class_counts(release: Release) -> None:
    config = dataclasses.replace(parse_convert(release.flags("/out")).config, class_list=())
    assert set(ids(make_plan(config))) == {*MIDS, UNLISTED}


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
