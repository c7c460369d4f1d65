"""The map of a conversion: its Beam pipeline, and all ways that data takes beside it.

    CSV files, archives
      |  FileRange
      v
    ReadTables -- rejected rows --------------------------------> rejects/range-*.csv
      |     |                                                       |
      |     +-- RangeAccount ---------------------------+           |
      |  (shard, batch of rows)                         |           |
      v                                                 |           |
    GroupBatches   elsewhere: the runner's shuffle      |           |
      |            here: through shuffle/*.rows         |           |
      |  (shard, batches of rows)                       |           |
      v                                                 |           |
    WriteShards <-- label map (side input) <------------+           |
      |   ^  |                                          |           |
      |   |  +-- shard, by temporary/ -> OUTPUT         |           |
      |   |  +-- ShardAccount, rejected rows and images -----------> results/shard-*.json
      |   |  +-- authors of the images ----------------------------> attribution/part-*.csv
      |   +-- bytes of images and masks: files, archives, URLs; they go through no shuffle
      |  number of the shard                            |           |
      v                                                 |           |
    FinishDataset <-------------------------------------+  <--------+ results/, rejects/, attribution/
      |
      +-- label_map.pbtxt, label_map.csv, rejects-SPLIT.csv, attribution-SPLIT.csv, manifest.json -> OUTPUT

OUTPUT is `output_dir`; all other folders are in the work folder, `OUTPUT/.oi_tfrecord-SPLIT` (`WorkFolder`). Accounts
of shards, rejects and authors go through files, as they may be too large for a runner to keep, and as a resumed run
needs those of finished shards. The work folder also holds:

- limit_below.json, the limit that `max_images` stands for: `build_limit_pipeline`, which runs before, finds the limit,
  and the plan of `build_pipeline` holds it.
- chosen_images: `build_choice_pipeline`, which runs before if few images are chosen of tar.gz archives, finds them.
- kept/*: reading a tar.gz leaves its images, or those that are chosen, for the shards.
- error.json, an error for the user: any step stores it, and the process that started the run raises it, as runners
  pass on no more than the text of an exception.
- progress/*.json, for the progress line: workers on this machine write them each second. Elsewhere the line counts
  the files in results/.
- damage/*: reading an archive stores its damage, and shards name it for each image that they do not find.
- fingerprint.json: a run resumes only a conversion with its own fingerprint.
- inputs.json, what the tables held, before a shard is written: a table that was copied or downloaded again since is
  compared with it.
- label_map.pbtxt, before a shard is written with it: splits that are written at the same time must have the same.

The label map is part of the plan, unless classes are ordered by frequency: then it is made from the accounts.
"""

import dataclasses
from collections.abc import Collection, Iterable

import apache_beam as beam

from oi_tfrecord.conversion.finish_dataset import add_counts, store_inputs, without_counts
from oi_tfrecord.conversion.group_by_shard import GroupBatches, GroupFiles
from oi_tfrecord.conversion.outcome import check_end
from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.planning.plan_classes import ClassPlan
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.conversion.transforms import (
    ChooseImages,
    FinishDataset,
    LimitImages,
    ReadTables,
    ReadTablesToFiles,
    WriteShards,
)
from oi_tfrecord.conversion.write_shards import ReadRows, read_batches
from oi_tfrecord.dataset.file_names import rejects_path
from oi_tfrecord.dataset.label_map_claim import claim_packed
from oi_tfrecord.join.shuffle_files import ShardSlices
from oi_tfrecord.records.packed_label_map import pack


def build_pipeline(root: beam.Pipeline, plan: ConvertPlan, finished: Collection[int]) -> beam.PCollection:
    """Adds a conversion to a pipeline.

    Args:
        root: the pipeline.
        plan: the conversion.
        finished: the shards that an earlier run finished, whose accounts are in the work folder.

    Returns:
        The manifest of the split, one dict.
    """
    shards = [shard for shard in range(plan.num_shards) if shard not in finished]
    # (key of a shard, batches of rows), RangeAccount
    grouped, accounts = read_by_shard(root, plan, plan.range_job(frozenset(finished)), shards)
    claimed = (
        # packed label map
        make_label_map(root, plan.classes, accounts)
        # the same
        | "ClaimLabelMap" >> beam.Map(claim_packed, plan.config.output_dir, plan.config.split)
        # the same, once all tables were read and before a shard is written
        | "StoreInputs"
        >> beam.Map(store_inputs, plan.work, beam.pvalue.AsList(accounts | "TakeContent" >> beam.Map(without_counts)))
    )
    label_map = beam.pvalue.AsSingleton(claimed)
    # shard
    written = grouped | "WriteShards" >> WriteShards(plan.shard_job(), label_map, plan.threads, row_reader(plan))
    # manifest of the split
    return (accounts, written) | "FinishDataset" >> FinishDataset(plan.finish_job(), label_map, finished)


def build_template_pipeline(root: beam.Pipeline, plan: ConvertPlan, finished: Collection[int]) -> beam.PCollection:
    """Adds a conversion whose job fails at its end if there are too many rejects, as no command waits for the job.

    Args:
        root: the pipeline.
        plan: the conversion.
        finished: the shards that an earlier run finished.

    Returns:
        The manifest of the split, one dict.
    """
    path = rejects_path(plan.config.output_dir, plan.config.split)
    return build_pipeline(root, plan, finished) | "CheckRejects" >> beam.Map(check_end, plan.config.max_rejects, path)


def build_choice_pipeline(root: beam.Pipeline, plan: ConvertPlan) -> beam.PCollection:
    """Adds the search for the images that are kept of tar.gz archives to a pipeline.

    Args:
        root: the pipeline.
        plan: the conversion.

    Returns:
        Nothing; the keys of the images are in the work folder.
    """
    return _group_tables(root, plan) | "ChooseImages" >> ChooseImages(plan.shard_job(), row_reader(plan))


def build_limit_pipeline(root: beam.Pipeline, plan: ConvertPlan) -> beam.PCollection:
    """Adds the search for the limit of `max_images` to a pipeline.

    Args:
        root: the pipeline.
        plan: the conversion.

    Returns:
        Nothing; the limit is in the work folder.
    """
    return _group_tables(root, plan) | "LimitImages" >> LimitImages(
        plan.shard_job(), plan.config.max_images, row_reader(plan)
    )


def _group_tables(root: beam.Pipeline, plan: ConvertPlan) -> beam.PCollection:
    """Returns (key of a shard, batches of rows) of all shards, without the places of images in archives.

    The places do not matter yet, and cost as much to find as the images to read.
    """
    job = dataclasses.replace(plan.range_job(frozenset()), archives={})
    grouped, _ = read_by_shard(root, plan, job, range(plan.num_shards))
    return grouped


def read_by_shard(
    root: beam.Pipeline, plan: ConvertPlan, job: RangeJob, shards: Iterable[int]
) -> tuple[beam.PCollection, beam.PCollection]:
    """Adds the steps that read the tables and group their rows by shard.

    Args:
        root: the pipeline.
        plan: the conversion.
        job: the ranges, and the way by which their rows are grouped.
        shards: the shards to group for.

    Returns:
        ((key of the shard, batches of rows) for each shard, RangeAccounts).
    """
    if not job.shuffle_folder:
        tables = root | "ReadTables" >> ReadTables(job)
        return tables.batches | "GroupBatches" >> GroupBatches(shards, plan.num_shards, plan.slots), tables.accounts
    accounts = root | "ReadTables" >> ReadTablesToFiles(job, plan.threads)
    return accounts | "GroupBatches" >> GroupFiles(shards, job.shuffle_folder, job.work), accounts


def row_reader(plan: ConvertPlan) -> ReadRows:
    """Returns how the rows of a shard are read from what its shuffle grouped."""
    return ShardSlices.tables if plan.shuffle_folder else read_batches


def make_label_map(root: beam.Pipeline, classes: ClassPlan, accounts: beam.PCollection) -> beam.PCollection:
    """Adds the steps that make the label map.

    Args:
        root: the pipeline.
        classes: the classes.
        accounts: RangeAccounts, which hold the rows of each class.

    Returns:
        The packed label map, one element.
    """
    if classes.label_map is not None:
        return root | "CreateLabelMap" >> beam.Create([pack(classes.label_map)])
    return (
        accounts
        # MID to rows
        | "TakeClassRows" >> beam.Map(lambda account: account.class_rows)
        | "CountClasses" >> beam.CombineGlobally(add_counts)
        # packed label map
        | "OrderByFrequency" >> beam.Map(lambda rows: pack(classes.make_label_map(rows)))
    )
