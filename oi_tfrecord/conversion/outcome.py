"""What a conversion tells its user at the start and at the end."""

from collections.abc import Mapping
from typing import Any, TextIO

from oi_tfrecord import storage
from oi_tfrecord.conversion.plan import ConvertPlan
from oi_tfrecord.conversion.plan_shards import UNSEEN_IMAGE_BYTES, ShardPlan
from oi_tfrecord.dataset.coverage import find_losses
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE, MANIFEST_FILE, rejects_file
from oi_tfrecord.dataset.manifest import too_many_rejects
from oi_tfrecord.engine.progress_line import format_size
from oi_tfrecord.errors import EngineError, InputError
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.records.sharding import shard_file
from oi_tfrecord.settings.convert_config import parse_max_rejects


def first_shard(plan: ConvertPlan) -> str:
    """Returns the path of the first shard, for messages."""
    return storage.join(plan.config.output_dir, shard_file(plan.config.split, 0, plan.num_shards))


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


TOLD_LOSSES = 20
"""Losses that are told one by one."""


def find_problems(split: Mapping[str, Any], max_rejects: str, rejects_path: str) -> tuple[int, list[str]]:
    """Returns the exit code of a conversion, and a line for each thing that is wrong with it.

    Args:
        split: its manifest.
        max_rejects: the bound, a count or a percentage.
        rejects_path: where the rejects are listed.

    Returns:
        (0 for none, 2 for too many rejects, 3 if rows or images were lost; the lines).
    """
    if not split["balanced"]:
        losses = [detail for _, detail in find_losses(split)]
        told = losses[:TOLD_LOSSES] + [f"... and {len(losses) - TOLD_LOSSES} more"] * (len(losses) > TOLD_LOSSES)
        remedy = "run the same command with --overwrite, and if it happens again, please report it"
        return 3, [*told, f"rows or images were lost or doubled, by the runner or a fault of oi_tfrecord: {remedy}"]
    limit, is_percentage = parse_max_rejects(max_rejects)
    if over := too_many_rejects(split, limit, is_percentage):
        over.append(
            f"more rejects than --max_rejects={max_rejects} allows; they are listed in {rejects_path}. "
            "The records are complete without them: mend the input, or give a higher --max_rejects."
        )
    return 2 if over else 0, over


def check_end(split: Mapping[str, Any], max_rejects: str, rejects_path: str) -> Mapping[str, Any]:
    """Returns the manifest if nothing is wrong; the arguments are those of `find_problems`.

    Raises:
        InputError: too many rejects.
        EngineError: something was lost. Both tell all that is wrong, for a job that has no other way to tell it.
    """
    code, problems = find_problems(split, max_rejects, rejects_path)
    if code == 3:
        raise EngineError("; ".join(problems[:-1]) or "the counts do not balance", problems[-1])
    if problems:
        raise InputError(
            rejects_path, " ".join(problems).rstrip("."), "Nothing of the dataset is missing but what is rejected"
        )
    return split
