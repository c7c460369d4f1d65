import pathlib

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from tests.support import small_release
from tests.support.small_release import Release


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)


@pytest.fixture
def own(tmp_path: pathlib.Path) -> Release:
    """A release that a test may change."""
    return small_release.write_release(tmp_path / "data", images=12)


def plan_of(release: Release, output_dir: pathlib.Path | str = "/out", **flags: object) -> ConvertPlan:
    return make_plan(parse_convert(release.flags(output_dir, **flags)).config)
