"""Seeded schedules of faults on a runner that tries again what failed: no record is lost or doubled."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.fault_filesystem import Faults
from tests.support.faulty_runs import (
    ALL_THROUGH_BEAM,
    BEAM_WAYS,
    Conversion,
    bundles_tried_again,
    cheap_pipelines,
    few_images,
    image_ids,
    kinds_of,
    written,
)

FIRST, SCHEDULES = (200, 800) if ALL_THROUGH_BEAM else (60, 90)
"""The seeds follow those of test_fault_commands."""
BLOCKS = 2


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversion]:
    with cheap_pipelines(), few_images(tmp_path_factory.mktemp("release") / "data") as made:
        yield made


def test_without_faults_each_record_is_there_once(conversion: Conversion) -> None:
    whole = set(conversion.release.image_ids) - set(conversion.release.broken.values())
    assert image_ids(conversion.undisturbed) == Counter(dict.fromkeys(whole, 1))


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_schedule_loses_or_doubles_a_record(conversion: Conversion, block: int) -> None:
    injected: Counter[str] = Counter()
    failed: Counter[int] = Counter()
    bundles: Counter[str] = Counter()
    for seed in range(FIRST + block, FIRST + SCHEDULES, BLOCKS):
        way = list(BEAM_WAYS)[seed % len(BEAM_WAYS)]
        faults = Faults.of_seed(seed)
        with bundles_tried_again(faults) as tried:
            ended = conversion.run_to_the_end(faults, BEAM_WAYS[way])
        assert written() == conversion.undisturbed, f"schedule {seed}, {way}"
        injected += faults.injected
        failed[ended.failed] += 1
        bundles += tried
    assert kinds_of(range(FIRST + block, FIRST + SCHEDULES, BLOCKS)) <= set(injected)
    # Too harsh or too mild if all jobs fail or none does.
    assert 0 < failed[0] < sum(failed.values())
    assert min(bundles["again"], bundles["twice"]) > SCHEDULES / BLOCKS / 4
