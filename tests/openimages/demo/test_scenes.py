import dataclasses

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.openimages.demo.drawings import DRAWN_MIDS
from oi_tfrecord.openimages.demo.scenes import Scene, SceneKind, compose_scene, extents, render

SEEDS = range(12)


def scene_of(seed: int, kind: SceneKind) -> Scene:
    return compose_scene(np.random.default_rng([seed, 99]), kind)


def changed(first: Image.Image, second: Image.Image) -> np.ndarray:
    """Bool [height, width]: the pixels that differ."""
    return (np.asarray(first) != np.asarray(second)).any(axis=2)


def changed_rectangle(first: Image.Image, second: Image.Image) -> tuple[int, int, int, int]:
    """xmin, xmax, ymin, ymax (half open) of the pixels that differ."""
    differs = changed(first, second)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    return int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1


@pytest.mark.parametrize("kind", [kind for kind in SceneKind if kind is not SceneKind.EMPTY])
def test_an_extent_is_exactly_where_leaving_the_object_out_changes_pixels(kind: SceneKind) -> None:
    for seed in SEEDS:
        scene = scene_of(seed, kind)
        picture = render(scene)
        assert scene.objects
        for i, extent in enumerate(extents(scene)):
            without = render(scene, leave_out=i)
            assert changed_rectangle(picture, without) == (extent.xmin, extent.xmax, extent.ymin, extent.ymax)


def test_an_object_stands_out_from_its_background() -> None:
    for seed in SEEDS:
        scene = scene_of(seed, SceneKind.PLAIN)
        picture = np.asarray(render(scene)).astype(float)
        for i, extent in enumerate(extents(scene)):
            without = np.asarray(render(scene, leave_out=i)).astype(float)
            inside = (slice(extent.ymin, extent.ymax), slice(extent.xmin, extent.xmax))
            assert np.abs(picture[inside] - without[inside]).mean() > 8


@pytest.mark.parametrize("kind", list(SceneKind))
def test_a_scene_shows_its_kind(kind: SceneKind) -> None:
    for seed in SEEDS:
        scene = scene_of(seed, kind)
        found = extents(scene)
        assert len(found) == len(scene.objects) <= 5
        assert (len(found) == 0) == (kind is SceneKind.EMPTY)
        assert any(thing.is_group_of for thing in scene.objects) == (kind is SceneKind.GROUP)
        assert any(thing.is_depiction for thing in scene.objects) == (kind is SceneKind.DEPICTION)
        assert len(scene.frames) == (kind is SceneKind.DEPICTION)
        if kind is SceneKind.TRUNCATED:
            assert found[0].is_truncated
        if kind is SceneKind.OCCLUDED:
            assert found[0].is_occluded


def test_objects_are_occluded_if_and_only_if_a_later_one_hides_a_part() -> None:
    answers = set()
    for seed in SEEDS:
        for kind in (SceneKind.PLAIN, SceneKind.OCCLUDED):
            scene = scene_of(seed, kind)
            for i, extent in enumerate(extents(scene)):
                uncovered = dataclasses.replace(scene, objects=scene.objects[: i + 1])
                shown, whole = (changed(render(each), render(each, leave_out=i)) for each in (scene, uncovered))
                assert extent.is_occluded == bool((whole & ~shown).any())
                answers.add(extent.is_occluded)
    assert answers == {False, True}


def test_objects_are_truncated_if_and_only_if_a_wider_picture_shows_more_of_them() -> None:
    answers = set()
    for seed in SEEDS:
        for kind in (SceneKind.PLAIN, SceneKind.TRUNCATED):
            scene = scene_of(seed, kind)
            for thing, extent in zip(scene.objects, extents(scene), strict=True):
                layer = dataclasses.replace(thing.layer, left=thing.layer.left + 200, top=thing.layer.top + 200)
                wider = Scene(
                    background=np.pad(scene.background, ((200, 200), (200, 200), (0, 0))),
                    noise=np.pad(scene.noise, ((200, 200), (200, 200), (0, 0))),
                    frames=(),
                    objects=(dataclasses.replace(thing, layer=layer),),
                )
                changes = changed(render(wider), render(wider, leave_out=0))
                changes[200:-200, 200:-200] = False
                assert extent.is_truncated == bool(changes.any())
                answers.add(extent.is_truncated)
    assert answers == {False, True}


def test_whole_objects_are_between_15_and_50_percent_of_the_shorter_side() -> None:
    for kind in (SceneKind.PLAIN, SceneKind.GROUP, SceneKind.DEPICTION):
        for seed in SEEDS:
            scene = scene_of(seed, kind)
            short = min(scene.background.shape[:2])
            for extent in extents(scene):
                if not (extent.is_occluded or extent.is_truncated):
                    sides = (extent.xmax - extent.xmin, extent.ymax - extent.ymin)
                    assert 0.14 * short <= min(sides)
                    assert max(sides) <= 0.51 * short


def test_every_class_is_drawn_in_some_scene() -> None:
    seen = {thing.mid for seed in range(60) for thing in scene_of(seed, SceneKind.PLAIN).objects}
    assert seen == set(DRAWN_MIDS)


def test_the_same_random_state_gives_the_same_pixels_and_another_state_gives_other_pixels() -> None:
    first, second, other = (np.asarray(render(scene_of(seed, SceneKind.GROUP))) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert first.shape != other.shape or not np.array_equal(first, other)
