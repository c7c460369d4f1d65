"""What a conversion tells its user at the start and at the end."""

from collections.abc import Mapping
from typing import Any, TextIO

from oi_tfrecord import storage
from oi_tfrecord.byte_sizes import format_size
from oi_tfrecord.finish import LABEL_MAP_FILE, rejects_file
from oi_tfrecord.manifest import MANIFEST_FILE
from oi_tfrecord.output_state import first_shard
from oi_tfrecord.plan import ConvertPlan
from oi_tfrecord.shard_plan import UNSEEN_IMAGE_BYTES, ShardPlan
from oi_tfrecord.tables import Listing, Table


def print_shard_plan(shard_plan: ShardPlan, num_shards: int, place: tuple[str, str], out: TextIO) -> None:
    """Prints how many shards there will be and why.

    Args:
      shard_plan: the estimate.
      num_shards: what is used, planned or given.
      place: the field of the configuration that says where images are, and where the missing one was looked for.
      out: where to.
    """
    size, images = shard_plan.output_bytes, f"about {shard_plan.images:,} images"
    if size:
        text = (
            f"{num_shards:,} shards of about {format_size(size / num_shards)}: {images}, "
            f"{100 * shard_plan.found:.0f} % of them found, {format_size(shard_plan.image_bytes)} each (sampled); "
            f"output about {format_size(size)}"
        )
    elif shard_plan.missing:
        field, path = place
        text = (
            f"{num_shards:,} shards: {images}, none of the {shard_plan.sampled:,} that were looked for is there, as "
            f"{path}; put them there, or give another --{field}. Shards are planned for "
            f"{format_size(UNSEEN_IMAGE_BYTES)} an image"
        )
    else:
        text = f"{num_shards:,} shards: {images}, as far as a sample of the tables tells"
    print(f"plan       {text}", file=out)


def print_summary(plan: ConvertPlan, split: Mapping[str, Any], seconds: float, out: TextIO) -> None:
    """Prints the counts of a finished conversion and where its files are.

    Args:
      plan: the conversion.
      split: its manifest.
      seconds: that it took.
      out: where to.
    """
    config, totals, images = plan.config, split["totals"], split["images"]
    if config.dry_run:
        lines = [f"dry run    {totals['records']:,} records expected, if every image is there; {seconds:.1f} s"]
    else:
        lines = [
            f"records    {totals['records']:,} in {totals['shards']:,} shards, {format_size(totals['bytes'])}, "
            f"{seconds:.1f} s",
            f"           {first_shard(plan)}{' ...' if plan.num_shards > 1 else ''}",
        ]
    lines.append(
        f"images     {images['selected']:,} selected, {images['not_selected']:,} not selected, "
        f"{sum(images['rejected'].values()):,} rejected{_by_reason(images['rejected'])}"
    )
    for table in (*Table, *Listing):
        if (count := split["tables"].get(table)) is not None:
            lines.append(
                f"{table:<14} {count['rows_read']:,} rows read, {count['written']:,} written, "
                f"{sum(count['rejected'].values()):,} rejected{_by_reason(count['rejected'])}, "
                f"{sum(count['dropped'].values()):,} left out{_by_reason(count['dropped'])}"
            )
    files: tuple[tuple[str, str], ...] = (
        ("label map", LABEL_MAP_FILE),
        ("manifest", MANIFEST_FILE),
        ("rejects", rejects_file(config.split)),
    )
    if attribution := split.get("attribution"):
        files += (("credits", attribution["file"]),)
    lines += [f"{name:<10} {storage.join(config.output_dir, file)}" for name, file in files]
    lines += [f"warning    {warning}" for warning in split["warnings"]]
    print("\n".join(lines), file=out)


def _by_reason(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in counts.items())})" if counts else ""
