"""One process does without Beam what the pipeline does: the same files, byte for byte."""

import dataclasses
import json
import pathlib

import pytest

from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.read_range import RangeJob
from tests.support import small_release
from tests.support.small_release import Release, convert

THROUGH_BEAM = "--job_name=any"
"""A flag of Beam, which only Beam can take."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=40)


@pytest.mark.parametrize(
    "flags",
    [
        {"workers": 1},
        {"workers": 2, "label_order": "frequency", "max_images": 20, "attribution_csv": "true"},
    ],
    ids=["one worker", "threads, a limit, ids by frequency"],
)
def test_the_files_are_those_of_the_pipeline(
    flags: dict[str, object], release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ConvertPlan.range_job

    def small_ranges(plan: ConvertPlan, finished_shards: frozenset[int]) -> RangeJob:
        return dataclasses.replace(make(plan, finished_shards), block_bytes=2000)

    monkeypatch.setattr(ConvertPlan, "range_job", small_ranges)
    assert convert(release.flags(tmp_path / "here", **flags)) == 0
    assert convert([*release.flags(tmp_path / "beam", **flags), THROUGH_BEAM]) == 0
    here, beam = small_release.dataset(tmp_path / "here"), small_release.dataset(tmp_path / "beam")
    assert json.loads(here.pop("manifest.json")).keys() == json.loads(beam.pop("manifest.json")).keys()
    assert here == beam
    assert len(here) > 8
