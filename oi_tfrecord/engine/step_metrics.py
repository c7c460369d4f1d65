"""Metrics of a step that works on threads, as the page of a runner shows them."""

import threading
from collections import Counter

from oi_tfrecord.storage.governor import take_throttled_seconds
from oi_tfrecord.storage.retry import take_retries

NAMESPACE = "oi_tfrecord"
"""Namespace of all metrics."""


THROTTLED = "cumulativeThrottlingSeconds"
"""The counter of Beam's own clients of stores, by which Dataflow sees that more workers would not help."""


class StepMetrics:
    """Holds the counts of threads until the runner's own thread publishes the counts.

    Beam credits a metric to the step whose thread counts, so a count from another thread would be lost.
    """

    def __init__(self) -> None:
        """Counts nothing yet."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._values: list[tuple[str, int]] = []

    def count(self, name: str, number: int) -> None:
        """Adds to a counter; any thread may call this.

        Args:
            name: name of the counter.
            number: how much to add; a counter that gets nothing but 0 does not appear.
        """
        with self._lock:
            self._counts[name] += number

    def note(self, name: str, value: int) -> None:
        """Adds a value to a distribution; any thread may call this.

        Args:
            name: name of the distribution, which ends with the unit.
            value: the value.
        """
        with self._lock:
            self._values.append((name, value))

    def publish(self) -> None:
        """Gives the counts until now to Beam, with those of requests; called from the runner's thread."""
        from apache_beam.metrics import Metrics

        with self._lock:
            counts, self._counts = self._counts, Counter()
            values, self._values = self._values, []
        counts["retries"] += take_retries()
        counts[THROTTLED] += take_throttled_seconds()
        for name, number in counts.items():
            if number:
                Metrics.counter(NAMESPACE, name).inc(number)
        for name, value in values:
            Metrics.distribution(NAMESPACE, name).update(value)
