"""The whole command on storage that fails, as a user runs it: it stops at the first fault, and is run again."""

import pathlib
from collections import Counter
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from tests.support import small_release
from tests.support.fault_filesystem import Faults
from tests.support.faulty_runs import (
    ALL_THROUGH_BEAM,
    OUT,
    RUNS,
    WAYS,
    Conversion,
    cheap_pipelines,
    few_images,
    image_ids,
    kinds_of,
    run_command,
    written,
)
from tests.support.small_release import convert

SCHEDULES = 200 if ALL_THROUGH_BEAM else 60


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversion]:
    with cheap_pipelines(), few_images(tmp_path_factory.mktemp("release") / "data") as made:
        yield made


def test_without_faults_it_is_the_output_of_a_local_run_with_each_record_once(
    conversion: Conversion, tmp_path: pathlib.Path
) -> None:
    files = conversion.undisturbed
    assert convert(conversion.release.flags(tmp_path, num_shards=3, workers=1)) == 0
    shards = {path.rpartition("/")[2]: data for path, data in files.items() if ".tfrecord-" in path}
    assert shards == small_release.shards(tmp_path)
    whole = set(conversion.release.image_ids) - set(conversion.release.broken.values())
    assert image_ids(files) == Counter(dict.fromkeys(whole, 1))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_bytes(conversion: Conversion, way: str) -> None:
    conversion.run_once(Faults(0, error_rate=0.0), way)
    assert written() == conversion.undisturbed


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_every_schedule_ends_in_the_same_bytes(conversion: Conversion) -> None:
    injected: Counter[str] = Counter()
    failed: Counter[int] = Counter()
    printed, killed = 0, 0
    for seed in range(SCHEDULES):
        way = list(WAYS)[seed % len(WAYS)]
        faults = Faults.of_seed(seed)
        ended = conversion.run_to_the_end(faults, WAYS[way])
        assert written() == conversion.undisturbed, f"schedule {seed}, {way}"
        injected += faults.injected
        failed[ended.failed] += 1
        printed += len(ended.printed)
        killed += ended.killed
    assert kinds_of(range(SCHEDULES)) <= set(injected)
    # The schedules are none if all runs end well, and say nothing of resuming if none does before all faults are over.
    assert printed > killed
    assert 0 < failed[RUNS] < sum(failed.values())


def test_a_slow_store_gives_the_same_bytes(conversion: Conversion) -> None:
    faults = Faults(1, error_rate=0.0, slow_rate=0.5)
    conversion.run_once(faults, "threads", read_threads=4)
    assert written() == conversion.undisturbed
    assert faults.injected["slow"] > 50


def test_a_store_that_stays_full_is_named(conversion: Conversion) -> None:
    conversion.start(Faults(0, error_rate=0.0, full_from=10, full_to=10**9))
    code, err = run_command(conversion.flags(workers=1))
    assert code == 1
    assert "injected: disk full" in err.splitlines()[-1]
    assert not [path for path in written() if path.endswith("manifest.json")]
    assert storage.exists(OUT)


def test_schedules_have_every_fault_on_every_way() -> None:
    found: Counter[tuple[str, str]] = Counter()
    for seed in range(SCHEDULES):
        faults = Faults.of_seed(seed)
        assert faults.error_rate == 0.01
        found.update(
            (list(WAYS)[seed % len(WAYS)], name)
            for name in ("kill_rate", "rename_rate", "full_to", "slow_rate")
            if getattr(faults, name)
        )
    assert len(found) == 12
    assert min(found.values()) > 1


def test_faults_of_a_seed_are_always_the_same(conversion: Conversion) -> None:
    def injected() -> Counter[str]:
        faults = Faults.of_seed(0)
        conversion.run_to_the_end(faults, WAYS["files"])
        return faults.injected

    assert injected() == injected() != Counter()


def test_a_local_path_is_left_alone(conversion: Conversion, tmp_path: pathlib.Path) -> None:
    conversion.start(Faults(0, error_rate=1.0))
    storage.write(str(tmp_path / "a"), b"x", str(tmp_path))
    with pytest.raises(OSError, match="injected"):
        storage.write(f"{OUT}/a", b"x", OUT)
