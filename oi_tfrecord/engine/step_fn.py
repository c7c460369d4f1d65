"""A step in a pipeline of Beam."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from oi_tfrecord.engine.step import Step, Tagged


class StepFn(beam.DoFn):
    """Runs a step in a pipeline; the other inputs of `process` are side inputs."""

    def __init__(self, step: Step):
        """Starts no thread yet, as the step may be sent to another process.

        Args:
            step: the step.
        """
        self._step = step

    def setup(self) -> None:
        """Starts the threads."""
        self._step.start()

    def process(self, element: Any, *arguments: Any) -> Iterator[Any]:
        """Starts the work on an element, and yields the outputs of work that has ended."""
        for output in self._step.process(element, *arguments):
            yield _for_beam(output)
        self._step.metrics.publish()

    def finish_bundle(self) -> Iterator[object]:
        """Yields the outputs of the work that still runs, when it has ended."""
        for output in self._step.drain():
            yield _in_global_window(_for_beam(output))
        self._step.metrics.publish()

    def teardown(self) -> None:
        """Ends the threads, and writes the last report."""
        self._step.stop()


def _for_beam(output: object) -> object:
    return beam.pvalue.TaggedOutput(output.tag, output.value) if isinstance(output, Tagged) else output


def _in_global_window(output: object) -> object:
    """Returns an output as the end of a bundle may yield it: no element gives it a window there."""
    if isinstance(output, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(output.tag, _in_global_window(output.value))
    return GlobalWindows.windowed_value(output)
