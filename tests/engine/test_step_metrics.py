import threading
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.engine.step_metrics import NAMESPACE, StepMetrics
from oi_tfrecord.storage import governor
from oi_tfrecord.storage.retry import RetryPolicy, retry


class _CountOnThread(beam.DoFn):
    def setup(self) -> None:
        self._metrics = StepMetrics()

    def process(self, number: int) -> Iterator[int]:
        thread = threading.Thread(target=self._count, args=(number,))
        thread.start()
        thread.join()
        self._metrics.publish()
        yield number

    def _count(self, number: int) -> None:
        self._metrics.count("records", number)
        self._metrics.count("nothing", 0)
        self._metrics.note("shard_msec", 10 * number)


def test_counts_of_threads_reach_the_runner() -> None:
    pipeline = beam.Pipeline(FnApiRunner())
    pipeline | beam.Create([1, 2, 3], reshuffle=False) | beam.ParDo(_CountOnThread())
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(NAMESPACE))
    assert {metric.key.metric.name: metric.committed for metric in found["counters"]} == {"records": 6}
    [times] = found["distributions"]
    assert (times.committed.count, times.committed.min, times.committed.max) == (3, 10, 30)


def test_a_request_that_is_sent_again_counts_once(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    seen: list[tuple[str, int]] = []

    class Counter:
        def __init__(self, namespace: str, name: str):
            self._name = name

        def inc(self, number: int) -> None:
            seen.append((self._name, number))

    monkeypatch.setattr("apache_beam.metrics.Metrics.counter", Counter)
    metrics, other = StepMetrics(), StepMetrics()
    metrics.publish()
    seen.clear()
    answers = iter([OSError(), OSError(), None])

    def request() -> None:
        if error := next(answers):
            raise error

    retry(request, lambda error: True, RetryPolicy(), sleep=lambda seconds: None)
    metrics.publish()
    other.publish()
    assert seen == [("retries", 2)]


def test_throttled_seconds_are_counted_under_the_name_that_dataflow_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    class _Counter:
        def __init__(self, name: str):
            self._name = name

        def inc(self, number: int) -> None:
            seen.append((self._name, number))

    monkeypatch.setattr("apache_beam.metrics.Metrics.counter", lambda namespace, name: _Counter(name))
    seconds = iter([2.5, 2.5, 4.25])
    monkeypatch.setattr(governor, "throttled_seconds", lambda: next(seconds) + governor._throttled.taken)
    metrics = StepMetrics()
    metrics.publish()
    assert ("cumulativeThrottlingSeconds", 2) in seen
