import json
import pathlib
import threading
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_reports import READ
from oi_tfrecord.engine.step import ShardStep, Step, Tagged
from oi_tfrecord.engine.step_fn import StepFn
from tests.support.processes import HANG_SECONDS


@pytest.fixture
def work(tmp_path: pathlib.Path) -> WorkFolder:
    work = WorkFolder.of(str(tmp_path), "train")
    work.create({})
    return work


def test_what_is_reported_last_is_there_when_the_worker_ends(work: WorkFolder) -> None:
    worker = ShardStep(work, 2)
    worker.start()
    for shard in range(3):
        worker._reporter.end_shard(records=10 + shard, image_bytes=100, rejects=1)
    worker.stop()
    [report] = map(json.loads, work.progress())
    assert (report["records"], report["bytes"], report["rejects"], report["shards"]) == (33, 300, 3, 3)


_MEETING = threading.Barrier(2)


class _Square(Step):
    """Yields squares, and to the tag `odd` the odd numbers; the first elements wait for each other."""

    def process(self, number: int) -> Iterator[object]:
        yield from self.run(self._square, number)

    def _square(self, number: int) -> list[object]:
        if number < 2 and self._thread_count > 1:
            _MEETING.wait(HANG_SECONDS)
        return [number * number] + [Tagged("odd", number)] * (number % 2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_outputs_come_whether_with_an_element_or_at_the_end_of_a_bundle(
    threads: int, count: int, work: WorkFolder
) -> None:
    numbers = range(2, 2 + count) if count < 2 else range(count)
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    with beam.Pipeline(runner) as root:
        out = (
            root
            | beam.Create(numbers, reshuffle=False)
            | beam.ParDo(StepFn(_Square(work, READ, threads))).with_outputs("odd", main="squares")
        )
        assert_that(out.squares, equal_to([number**2 for number in numbers]), "Squares")
        assert_that(out.odd, equal_to([number for number in numbers if number % 2]), "Odd")
        # What comes at the end of a bundle must be groupable with what comes before.
        grouped = (
            out.squares
            | beam.Map(lambda square: (None, square))
            | beam.GroupByKey()
            | beam.Map(lambda item: sorted(item[1]))
        )
        assert_that(grouped, equal_to([sorted(number**2 for number in numbers)]), "Grouped")
