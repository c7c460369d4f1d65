"""The way of the data, as a Beam pipeline."""

import dataclasses
from collections.abc import Collection, Iterable

import apache_beam as beam

from oi_tfrecord.conversion.finish_dataset import FinishDataset
from oi_tfrecord.conversion.group_by_shard import GroupBatches
from oi_tfrecord.conversion.label_map_side_input import pack
from oi_tfrecord.conversion.limit_images import LimitImages
from oi_tfrecord.conversion.outcome import check_end
from oi_tfrecord.conversion.plan import ConvertPlan
from oi_tfrecord.conversion.read_tables import ReadTables
from oi_tfrecord.conversion.write_shards import WriteShards
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.file_names import rejects_path
from oi_tfrecord.openimages.schema import Listing


def build_pipeline(root: beam.Pipeline, plan: ConvertPlan, finished: Collection[int]) -> beam.PCollection:
    """Adds a conversion to a pipeline.

    Args:
        root: the pipeline.
        plan: the conversion.
        finished: the shards that an earlier run finished; it left their results in the work folder.

    Returns:
        The manifest of the split, one dict.
    """
    tables = root | "ReadTables" >> ReadTables(plan.range_job(frozenset(finished)), plan.threads)
    classes = plan.classes
    if classes.label_map is not None:
        label_map = root | "CreateLabelMap" >> beam.Create([pack(classes.label_map)])
    else:
        label_map = (
            tables.results
            # MID to rows
            | "CountClasses" >> beam.CombineGlobally(sum_class_rows)
            # packed label map
            | "OrderByFrequency" >> beam.Map(lambda rows: pack(classes.make_label_map(rows)))
        )
    label_map = beam.pvalue.AsSingleton(label_map)
    shards = [shard for shard in range(plan.num_shards) if shard not in finished]
    written = (
        (tables.batches, tables.results)
        # (shard, batches)
        | "GroupBatches" >> GroupBatches(shards, plan.shuffle_folder, plan.work)
        # shard
        | "WriteShards" >> WriteShards(plan.shard_job(), label_map, plan.threads)
    )
    return (tables.results, written) | "FinishDataset" >> FinishDataset(plan.finish_job(), label_map, finished)


def build_template_pipeline(root: beam.Pipeline, plan: ConvertPlan, finished: Collection[int]) -> beam.PCollection:
    """Adds a conversion that fails after its end by too many rejects, as no command waits for it.

    Args and result are those of `build_pipeline`.
    """
    path = rejects_path(plan.config.output_dir, plan.config.split)
    return build_pipeline(root, plan, finished) | "CheckRejects" >> beam.Map(check_end, plan.config.max_rejects, path)


def build_limit_pipeline(root: beam.Pipeline, plan: ConvertPlan) -> beam.PCollection:
    """Adds the search for the limit of `max_images` to a pipeline; see `LimitImages`."""
    job = plan.range_job(frozenset())
    # Where in archives images lie is not asked yet, and costs as much as to read them.
    tables_only = {key: file for key, file in job.files.items() if not isinstance(file.table, Listing)}
    tables = root | "ReadTables" >> ReadTables(dataclasses.replace(job, files=tables_only), plan.threads)
    return (
        (tables.batches, tables.results)
        # (shard, batches)
        | "GroupBatches" >> GroupBatches(range(plan.num_shards), plan.shuffle_folder, plan.work)
        | "LimitImages" >> LimitImages(plan.shard_job(), plan.config.max_images)
    )


def sum_class_rows(values: Iterable[RangeAccount | dict[str, int]]) -> dict[str, int]:
    """Adds up the usable rows of each MID in the counted table, from results of ranges or sums of them."""
    total: dict[str, int] = {}
    for value in values:
        for mid, count in (value.class_rows if isinstance(value, RangeAccount) else value).items():
            total[mid] = total.get(mid, 0) + count
    return total
