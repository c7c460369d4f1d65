"""What a conversion will do, worked out before it starts: files, classes, label map, fingerprint."""

import dataclasses
import functools
import json
import posixpath
from collections.abc import Mapping
from typing import Any

import numpy as np

from oi_tfrecord import __version__, storage
from oi_tfrecord.conversion.finish import FinishJob
from oi_tfrecord.conversion.plan_classes import ClassPlan, read_classes, read_given
from oi_tfrecord.conversion.plan_tables import check_rotation, naming_the_release, open_tables
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.conversion.shard import ShardJob
from oi_tfrecord.dataset.coverage import Unit
from oi_tfrecord.dataset.filter_warnings import AskedFor
from oi_tfrecord.dataset.manifest import TableInput
from oi_tfrecord.dataset.output_state import OutputTarget
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.images.values import ImageOptions
from oi_tfrecord.join.pair_masks import MaskRules
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.filters import RowFilters, parse_image_ids, sample_limit
from oi_tfrecord.openimages.rotation import ROTATION_COLUMN
from oi_tfrecord.openimages.schema import ATTRIBUTION, FLAGS, Listing, Table
from oi_tfrecord.records.keys import RECORD_FORMAT, ExtraKeys, RecordLayout
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.settings.check_complete import check_complete
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources.archive_listing import open_archives
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.http_client import check_installed
from oi_tfrecord.sources.masks import MaskSource
from oi_tfrecord.sources.protocol import ImageSource
from oi_tfrecord.sources.samples import ArchiveSamples, FileSamples, FolderSamples, ImageSamples, UrlSamples
from oi_tfrecord.sources.url_folders import UrlFolders
from oi_tfrecord.sources.url_image import check_url_columns
from oi_tfrecord.sources.urls import UrlSource, fetch_settings


@dataclasses.dataclass(frozen=True)
class ConvertPlan:
    """A conversion, ready to run.

    Attributes:
        config: its configuration.
        files: the CSV files of all tables.
        class_files: path to SHA-256 of the class files and lists.
        classes: the classes.
        filters: what else is left out.
        num_shards: number of shards; 0 until it is decided.
        work: folder of what is unfinished.
        shuffle_folder: folder of the files that a local run groups rows through; empty for the runner's
            shuffle.
        threads: ranges or shards that a process works on at once.
        fingerprint: what must be equal for a rerun to go on with this conversion.
        warnings: what the user should know of the inputs.
    """

    config: ConvertConfig
    files: tuple[InputFile, ...]
    class_files: Mapping[str, str]
    classes: ClassPlan
    filters: RowFilters
    num_shards: int
    work: WorkFolder
    fingerprint: dict[str, object]
    warnings: tuple[str, ...] = ()
    shuffle_folder: str = ""
    threads: int = 1

    @property
    def target(self) -> OutputTarget:
        """The split that the conversion writes."""
        config = self.config
        return OutputTarget(config.output_dir, config.split, config.overwrite, self.fingerprint, self.classes.label_map)

    def with_shards(self, num_shards: int) -> "ConvertPlan":
        """Returns the plan with its number of shards decided."""
        return dataclasses.replace(
            self, num_shards=num_shards, fingerprint=self.fingerprint | {"num_shards": num_shards}
        )

    def with_image_limit(self, limit: int) -> "ConvertPlan":
        """Returns the plan with the limit that `max_images` means."""
        return dataclasses.replace(self, filters=dataclasses.replace(self.filters, limit_below=limit))

    @property
    def source(self) -> ImageSource:
        """Where the images are."""
        return self._images[0]

    @property
    def samples(self) -> ImageSamples:
        """Images to estimate from; those that were read are kept."""
        return self._images[1]

    @functools.cached_property
    def _images(self) -> tuple[ImageSource, ImageSamples]:
        config = self.config
        metadata = tuple(file for file in self.files if file.table is Table.METADATA)
        if config.image_urls:
            kind = UrlKind(config.image_urls)
            return UrlSource(kind, config.image_cache, fetch_settings(config)), UrlSamples(kind, metadata)
        if config.url_folders:
            folders = UrlFolders(config.url_folders, config.split, config.max_image_bytes)
            return folders, FolderSamples(folders, metadata)
        if config.archives:
            archives = ArchiveSource(self._archives(Listing.IMAGE_FILES), config.max_image_bytes)
            return archives, ArchiveSamples(archives)
        files = PatternSource(config.images, config.split, config.max_image_bytes)
        return files, FileSamples(files)

    @property
    def masks(self) -> MaskSource | None:
        """Where the masks are, and what becomes of boxes without one; None if they are not asked for."""
        config = self.config
        if ExtraKeys.MASKS not in config.extra_keys:
            return None
        return MaskSource(
            rules=MaskRules(
                keep_boxes_without=config.boxes_without_mask == "empty",
                boxes_filtered=self.filters.leaves_out_boxes,
            ),
            files=PatternSource(config.mask_files, config.split, config.max_image_bytes),
            archives=ArchiveSource(self._archives(Listing.MASK_FILES), config.max_image_bytes),
            max_pixels=config.max_image_pixels,
        )

    @property
    def asked(self) -> AskedFor:
        """What the filters name, for warnings of what is not there."""
        mids = self.classes.label_mids if self.config.classes else ()
        return AskedFor(
            values=self.filters.named_values,
            classes={mid: self.classes.descriptions.get(mid, mid) for mid in mids},
            counted=self._counted,
            listed=0 if self.filters.image_ids is None else len(self.filters.image_ids),
        )

    @property
    def _counted(self) -> Table:
        return Table.BOXES if self.config.task == "detection" else Table.HUMAN_LABELS

    def _archives(self, listing: Listing) -> tuple[InputFile, ...]:
        return tuple(file for file in self.files if file.table == listing)

    @property
    def files_to_read(self) -> tuple[InputFile, ...]:
        """The files that ranges are read of.

        A dry run lists no archive, which takes as long as to read it; it times a part of one.
        """
        is_dry = self.config.dry_run
        return tuple(file for file in self.files if not (is_dry and isinstance(file.table, Listing)))

    def range_job(self, finished_shards: frozenset[int]) -> RangeJob:
        """Returns the job of the ranges; `finished_shards` take no rows any more."""
        mids = set(self.classes.listed)
        kept_codes = np.array([mid in mids for mid in self.classes.vocabulary.mids], bool)
        texts = self.source.text_columns
        if ExtraKeys.ATTRIBUTION in self.config.extra_keys or self.config.attribution_csv:
            texts |= frozenset(ATTRIBUTION.values())
        if self.config.rotation == "apply" or ExtraKeys.ROTATION in self.config.extra_keys:
            texts |= {ROTATION_COLUMN}
        return RangeJob(
            filters=self.filters,
            files={(file.table, file.number): file for file in self.files_to_read},
            vocabulary=self.classes.vocabulary,
            kept_codes=kept_codes,
            texts=texts,
            num_shards=self.num_shards,
            finished_shards=finished_shards,
            block_bytes=self.config.csv_block_mb << 20,
            work=self.work,
            shuffle_folder=self.shuffle_folder,
            counted=self._counted,
        )

    def shard_job(self) -> ShardJob:
        """Returns the job of the shards."""
        config = self.config
        columns = {name for file in self.files if file.table is Table.BOXES for name in file.names}
        layout = RecordLayout(
            tables=frozenset(file.table for file in self.files),
            flags=frozenset(field for field, column in FLAGS.items() if column in columns),
            extra_keys=frozenset(map(ExtraKeys, config.extra_keys)),
            has_boxes=config.task == "detection",
        )
        tables = dict.fromkeys(file.table for file in self.files)
        return ShardJob(
            split=config.split,
            num_shards=self.num_shards,
            output_dir=config.output_dir,
            work=self.work,
            driver=Table(config.driver),
            select=config.select,
            files={table: tuple(file.path for file in self.files if file.table is table) for table in tables},
            mids=self.classes.vocabulary.mids,
            layout=layout,
            source=self.source,
            masks=self.masks,
            image_options=ImageOptions(
                mode=config.image_mode,
                max_bytes=config.max_image_bytes,
                max_pixels=config.max_image_pixels,
                quality=config.jpeg_quality,
                chroma=config.chroma,
                max_side=config.max_side,
                pixel_budget=config.pixel_budget,
                strip_metadata=config.strip_metadata,
            ),
            source_id=config.source_id,
            turn_images=config.rotation == "apply",
            read_threads=config.read_threads,
            hierarchy=self.classes.expanded_by,
            dry_run=config.dry_run,
            attribution_csv=config.attribution_csv,
            has_spare_cores=self.num_shards < self.threads,
        )

    def finish_job(self) -> FinishJob:
        """Returns the job of the end of the conversion."""
        return FinishJob(
            split=self.config.split,
            output_dir=self.config.output_dir,
            work=self.work,
            inputs=tuple(map(_table_input, self.files_to_read)),
            about={
                "oi_tfrecord": __version__,
                "config": self.config.shaping(),
                "class_files": dict(self.class_files),
                "fingerprint": self.fingerprint,
                "warnings": self.warnings,
            },
            asked=self.asked,
            attribution_csv=self.config.attribution_csv and not self.config.dry_run,
            dry_run=self.config.dry_run,
        )


def _table_input(file: InputFile) -> TableInput:
    unit = Unit.UNPACKED_BYTES if file.compressed else Unit.BYTES
    if isinstance(file.table, Listing):
        unit = Unit.FILES
    return TableInput(str(file.table), file.number, file.path, file.size, file.header_lines, file.rows_start, unit)


def make_plan(config: ConvertConfig) -> ConvertPlan:
    """Finds and checks the inputs of a conversion.

    Args:
        config: complete configuration.

    Raises:
        ConfigError, InputError: naming the field or file to mend.
    """
    check_complete(config)
    for field in ("images", "image_cache", "url_folders", "mask_files"):
        path = getattr(config, field)
        if path and storage.is_local(path) and not path.startswith("/"):
            # Workers may run in another folder than this process.
            absolute: dict[str, Any] = {field: storage.join(storage.working_folder(), path)}
            config = dataclasses.replace(config, **absolute)
    archives, mask_archives = (
        tuple(storage.join(storage.working_folder(), name) for name in names)
        for names in (config.archives, config.mask_archives)
    )
    config = dataclasses.replace(config, archives=archives, mask_archives=mask_archives)
    with naming_the_release(config):
        files, warnings = open_tables(config)
    if config.archives:
        files = (*files, *open_archives(config.archives, config.split))
    if config.mask_archives:
        files = (*files, *open_archives(config.mask_archives, config.split, Listing.MASK_FILES, "mask_archives"))
    warnings += check_rotation(config, files)
    if config.image_urls or config.url_folders:
        check_url_columns([file for file in files if file.table is Table.METADATA])
    if config.image_urls:
        check_installed()
    class_files: dict[str, str] = {}
    with naming_the_release(config):
        classes = read_classes(config, class_files)
    plan = ConvertPlan(
        config=config,
        files=files,
        class_files=class_files,
        classes=classes,
        filters=_filters(config, classes, class_files),
        num_shards=config.num_shards,
        work=WorkFolder.of(config.output_dir, config.split),
        fingerprint=_fingerprint(config, files, class_files),
        warnings=tuple(warnings),
    )
    return plan.with_shards(config.num_shards)


def _filters(config: ConvertConfig, classes: ClassPlan, class_files: dict[str, str]) -> RowFilters:
    image_ids = None
    if config.image_ids:
        image_ids = parse_image_ids(read_given("image_ids", config.image_ids, class_files), config.image_ids)
    chosen_codes = None
    if config.classes:
        kept = set(classes.label_mids)
        chosen_codes = np.array([mid in kept for mid in classes.vocabulary.mids], bool)
    return RowFilters(
        box_sources=config.box_sources,
        exclude_flags=config.exclude_flags,
        min_confidence=config.min_confidence,
        min_box_side=config.min_box_side,
        subsets=config.subset,
        sample_below=sample_limit(config.sample),
        image_ids=image_ids,
        chosen_codes=chosen_codes,
    )


def _fingerprint(
    config: ConvertConfig, files: tuple[InputFile, ...], class_files: Mapping[str, str]
) -> dict[str, object]:
    inputs = [(str(file.table), posixpath.basename(file.path), file.size, file.modified) for file in files]
    # The number of shards counts as it is decided, not as it is given: a rerun may give the planned one.
    shaping = {name: value for name, value in config.shaping().items() if name != "num_shards"}
    values = {
        "record_format": RECORD_FORMAT,
        "config": shaping,
        "inputs": inputs,
        "class_files": sorted(class_files.values()),
    }
    return dict(json.loads(json.dumps(values)))
