"""Downloads the images that a conversion would choose: by classes, by a sample, at most so many."""

import dataclasses
import os
import tempfile
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.planning.plan_shards import estimate_images
from oi_tfrecord.conversion.run_plan import choose_conversion_workers, list_images
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import StepStatus
from oi_tfrecord.errors import InputError
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources import download as downloads
from oi_tfrecord.sources.download_counts import DownloadResult
from oi_tfrecord.sources.download_options import CHOICES, DownloadOptions

_IMAGES_PER_SHARD = 100_000
"""Bounds the memory of the join."""

_LIST = "image_ids.txt"


def download(options: DownloadOptions, *, progress: Progress | None = None) -> DownloadResult:
    """Downloads the images that the metadata lists and the options choose; those that are there are kept as they are.

    Args:
        options: what is downloaded, and to where.
        progress: shows how far the download is; silent by default.

    Returns:
        The counts. The lists of successes and failures are complete, and in the order of the metadata.

    Raises:
        ConfigError, InputError: naming the field or file to correct.
    """
    progress = progress or NoProgress()
    if not options.chooses:
        return downloads.download(options, progress=progress)
    with tempfile.TemporaryDirectory(prefix="oi_tfrecord-") as folder:
        ids = choose_images(_config_of(options, folder), progress)
        if not ids:
            given = ", ".join(f"--{name}" for name in CHOICES if getattr(options, name) != _DEFAULTS[name])
            raise InputError(options.data_dir or os.curdir, f"none of its images is chosen by {given}", "Choose others")
        path = storage.join(folder, _LIST)
        storage.write(path, "".join(f"{image_id}\n" for image_id in ids).encode(), folder)
        return downloads.download(dataclasses.replace(options, image_ids=path, **_DEFAULTS), progress=progress)


def choose_images(config: ConvertConfig, progress: Progress) -> list[str]:
    """Returns the ImageIDs of the images that a conversion would write if every image were there, sorted.

    Args:
        config: complete configuration; its folder of output holds only the files of this run.
        progress: takes messages while the tables are read.

    Raises:
        ConfigError, InputError: naming the field or file to correct.
    """
    with progress.watch(StepStatus("looking at the tables")):
        plan = _with_shards(make_plan(config))
    return sorted(list_images(plan, choose_conversion_workers(plan), progress))


def _with_shards(plan: ConvertPlan) -> ConvertPlan:
    images, _ = estimate_images(plan)
    return plan.with_shards(1 + images // _IMAGES_PER_SHARD, images)


_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in dataclasses.fields(DownloadOptions) if field.name in CHOICES
}


def _config_of(options: DownloadOptions, folder: str) -> ConvertConfig:
    """Returns the configuration of a conversion that chooses the images, and needs none of them."""
    names = {field.name for field in dataclasses.fields(DownloadOptions)} & {
        field.name for field in dataclasses.fields(ConvertConfig)
    }
    given = {name: getattr(options, name) for name in names}
    return ConvertConfig(**given | {"output_dir": folder, "image_cache": folder})
