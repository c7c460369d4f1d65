import dataclasses
import json
import pathlib
import pickle
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.finish_dataset import add_counts
from oi_tfrecord.conversion.pipeline import build_limit_pipeline, build_pipeline
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.dataset.output_state import prepare_output
from tests.support import small_release
from tests.support.small_release import Release

COMPOSITES = ("ReadTables", "GroupBatches", "WriteShards", "FinishDataset", "LimitImages")
WRITE_SHARD = "WriteShards/WriteShard"
FLINK_ELEMENT_BYTES = 10_000_000
"""Flink takes no larger element."""
MOST_RESULT_BYTES = 100
"""A result holds counts per class: 600 classes in three tables, some 20 bytes each."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)


def plan_of(release: Release, output_dir: pathlib.Path, **flags: object) -> ConvertPlan:
    return make_plan(parse_convert(release.flags(output_dir, **flags)).config)


class Graph(PipelineVisitor):
    """The steps of a pipeline that have no parts."""

    def __init__(self, pipeline: beam.Pipeline):
        self.steps: list[AppliedPTransform] = []
        self.labels: list[str] = []
        pipeline.visit(self)

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        self.labels.append(transform_node.full_label)

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self.labels.append(transform_node.full_label)
        self.steps.append(transform_node)

    def downstream(self, label: str) -> list[AppliedPTransform]:
        """Returns the steps that what the step `label` yields reaches, also as a side input."""
        [start] = [step for step in self.steps if step.full_label.startswith(label)]
        reached = set(start.outputs.values())
        found: list[AppliedPTransform] = []
        while more := [
            step
            for step in self.steps
            if step not in found
            and (reached & set(step.inputs) or reached & {side.pvalue for side in step.side_inputs})
        ]:
            found += more
            reached |= {output for step in more for output in step.outputs.values()}
        return found


def graph_of(plan: ConvertPlan, finished: Iterable[int] = ()) -> Graph:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build_pipeline(pipeline, plan, frozenset(finished))
    return Graph(pipeline)


def own_labels(graph: Graph) -> list[str]:
    """Returns the labels of our steps, without those of the parts of Beam's."""
    parts = [label.split("/") for label in graph.labels if label]
    return ["/".join(part) for part in parts if len(part) == 1 or (len(part) == 2 and part[0] in COMPOSITES)]


def made_up(labels: Iterable[str]) -> list[str]:
    """Returns the labels that Beam made up: they show code, such as Map(<lambda at ...>), and change with it."""
    return [label for label in labels if "(" in label or "<" in label]


def groups(steps: Iterable[AppliedPTransform]) -> list[str]:
    return [step.full_label for step in steps if isinstance(step.transform, beam.GroupByKey | beam.Reshuffle)]


@pytest.mark.parametrize("shuffle", ["runner", "files"])
@pytest.mark.parametrize("order", ["list", "frequency"])
def test_only_numbers_of_shards_are_shuffled_after_images_are_read(
    shuffle: str, order: str, release: Release, tmp_path: pathlib.Path
) -> None:
    plan = plan_of(release, tmp_path, label_order=order)
    if shuffle == "files":
        plan = dataclasses.replace(plan, shuffle_folder=str(tmp_path))
    graph = graph_of(plan)
    # The step itself is the only one that reads images, and what follows it is the end.
    after = graph.downstream(WRITE_SHARD)
    assert groups(after) == ["FinishDataset/GroupResults/CoGroupByKeyImpl/GroupByKey"]
    before = groups(graph.steps)
    assert len(before) > 1
    assert ("GroupBatches/GroupByShard" in before) == (shuffle == "runner")


def test_what_a_shard_yields_is_small(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=24, size=(640, 480), boxes=100, title_bytes=5000)
    plan = plan_of(release, tmp_path / "out", num_shards=2, extra_keys="attribution")
    prepare_output(plan.target)
    sizes: dict[str, list[int]] = {"batches": [], "results": []}

    class Spy(beam.DoFn):
        def __init__(self, name: str):
            self._name = name

        def process(self, element: Any) -> Iterable[object]:
            data = pickle.dumps(element) if isinstance(element, int) else element[1]
            (tmp_path / f"{self._name}-{len(data)}-{id(element)}").touch()
            yield element

    pipeline = beam.Pipeline(runner=FnApiRunner())
    build_pipeline(pipeline, plan, ())
    steps = {step.full_label: step for step in Graph(pipeline).steps}
    [written] = steps[next(label for label in steps if label.startswith(WRITE_SHARD))].outputs.values()
    read = steps[next(label for label in steps if label.startswith("ReadTables/ReadRanges"))]
    written | "SpyResults" >> beam.ParDo(Spy("results"))
    read.outputs[None] | "SpyBatches" >> beam.ParDo(Spy("batches"))
    pipeline.run().wait_until_finish()
    for path in tmp_path.glob("*-*-*"):
        name, size, _ = path.name.split("-")
        sizes[name].append(int(size))
    image_bytes = sum(path.stat().st_size for path in (release.folder / "images").iterdir())
    assert len(sizes["results"]) == 2
    assert 0 < max(sizes["results"]) < MOST_RESULT_BYTES < image_bytes
    assert 0 < max(sizes["batches"]) < FLINK_ELEMENT_BYTES
    assert sum(map(len, small_release.shards(tmp_path / "out").values())) > image_bytes / 2


def test_labels_are_fixed_and_given(release: Release, tmp_path: pathlib.Path) -> None:
    other = small_release.write_release(tmp_path / "other", images=30, boxes=9, seed=5)
    own = own_labels(graph_of(plan_of(release, tmp_path / "a")))
    assert own == own_labels(graph_of(plan_of(other, tmp_path / "b", num_shards=9), finished=(1, 4)))
    assert {"ReadTables/ReadRanges", "GroupBatches", WRITE_SHARD, "FinishDataset/WriteManifest"} <= set(own)
    assert not made_up(own)


def test_labels_of_the_limit_are_given(release: Release, tmp_path: pathlib.Path) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build_limit_pipeline(pipeline, plan_of(release, tmp_path, max_images=3))
    own = own_labels(Graph(pipeline))
    assert "LimitImages/HashImages" in own
    assert not made_up(own)


def test_the_pipeline_yields_the_manifest_of_the_split(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path / "out", num_shards=3)
    prepare_output(plan.target)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    split = build_pipeline(pipeline, plan, ())
    (
        split
        | beam.Map(lambda item: (tmp_path / "split.json").write_text(json.dumps(item)))
    )  # fmt: skip
    pipeline.run().wait_until_finish()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert json.loads((tmp_path / "split.json").read_text()) == manifest["splits"]["train"]
    # Without a folder of the shuffle the batches went through the runner.
    assert list((tmp_path / "out" / ".oi_tfrecord-train" / "shuffle").iterdir()) == []


def test_counts_of_classes_add_up() -> None:
    assert add_counts([{"/m/a": 2, "/m/b": 1}, {"/m/b": 5}, {}]) == {"/m/a": 2, "/m/b": 6}


def test_counts_may_be_added_in_any_grouping() -> None:
    counts = [{"/m/a": n, f"/m/{n}": 1} for n in range(1, 5)]
    whole = add_counts(counts)
    assert whole == {"/m/a": 10, "/m/1": 1, "/m/2": 1, "/m/3": 1, "/m/4": 1}
    assert add_counts([add_counts(counts[:1]), add_counts([]), add_counts(counts[1:])]) == whole
