import dataclasses
import pathlib

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.planning.plan_classes import GivenLabelMap, choose_classes, name_by_mids, plan_classes
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt
from tests.conversion.planning.conftest import plan_of
from tests.support.small_release import MIDS, UNLISTED, Release


def ids(plan: ConvertPlan) -> dict[str, int]:
    label_map = plan.classes.make_label_map({})
    return {item.name: item.id for item in label_map.items}


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


def test_classes_are_chosen_by_mid_or_name_in_list_order() -> None:
    descriptions = {"/m/a": "Apple", "/m/b": "Bench", "/m/c": "Bench"}
    assert choose_classes(["bench", "/m/a"], ["/m/c", "/m/a"], descriptions) == ["/m/c", "/m/a"]
    with pytest.raises(ConfigError, match="Cat"):
        choose_classes(["Cat"], ["/m/a"], descriptions)


def test_a_file_that_names_no_class_is_an_error(release: Release, tmp_path: pathlib.Path) -> None:
    # `verify` takes an empty label map for a fault.
    (tmp_path / "none.txt").write_text("\n \n")
    config = parse_convert(release.flags("/out", classes=tmp_path / "none.txt")).config
    with pytest.raises(InputError, match=r"none\.txt: the file lists no class"):
        plan_classes(config)


def test_the_files_of_classes_have_their_digests(release: Release, tmp_path: pathlib.Path) -> None:
    (tmp_path / "wanted.txt").write_text(MIDS[0])
    classes = plan_classes(parse_convert(release.flags("/out", classes=tmp_path / "wanted.txt")).config)
    names = ["class-descriptions.csv", "classes-bbox-trainable.txt", "wanted.txt"]
    assert [pathlib.Path(path).name for path in classes.files] == names
    assert {len(digest) for digest in classes.files.values()} == {64}
    assert classes.mask_of([MIDS[1]]).sum() == 1


NAMES = {"/m/a": "Apple", "/m/b": "Bench", "/m/c": "Bench", "/m/d": "Mouse", "/m/e": "Mouse"}


def label_map_of(*names: str) -> LabelMap:
    return LabelMap(tuple(LabelMapItem(number, name, name) for number, name in enumerate(names, 1)))


def test_display_names_of_a_label_map_are_taken_for_mids() -> None:
    given = name_by_mids(label_map_of("apple", "Mouse", "/m/b", "unicorn"), ["/m/a", "/m/b", "/m/d"], NAMES)
    assert given.label_map.id_of == {"/m/a": 1, "/m/d": 2, "/m/b": 3, "unicorn": 4}
    [warning] = given.warnings
    assert "2 names are display names" in warning
    assert "'apple' is /m/a" in warning


def test_a_label_map_of_mids_stays_as_it_is() -> None:
    label_map = label_map_of("/m/a", "/m/b", "Bench")
    # A dataset may use names of its own for MIDs.
    assert name_by_mids(label_map, ["Bench"], NAMES | {"Bench": "Bench"}) == GivenLabelMap(label_map)


def test_a_display_name_of_several_classes_is_refused_with_their_mids() -> None:
    with pytest.raises(ConfigError, match=r"'Bench' is that of several classes, /m/b, /m/c; write the MID"):
        name_by_mids(label_map_of("Apple", "Bench"), list(NAMES), NAMES)
    with pytest.raises(ConfigError, match="/m/a has two ids"):
        name_by_mids(label_map_of("Apple", "/m/a"), list(NAMES), NAMES)
