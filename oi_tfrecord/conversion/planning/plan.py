"""Plans a conversion: finds and checks its inputs, and decides what is read, kept and written."""

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence

from oi_tfrecord import __version__
from oi_tfrecord.conversion.finish import FinishJob, archive_input, table_input
from oi_tfrecord.conversion.kept_lists import split_lists
from oi_tfrecord.conversion.planning.plan_classes import ClassPlan, plan_classes, read_given_file
from oi_tfrecord.conversion.planning.plan_inputs import (
    plan_archives,
    plan_images,
    plan_masks,
    plan_tables,
    refuse_outputs_as_inputs,
    with_absolute_paths,
)
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.conversion.rerun.fingerprint import make_fingerprint
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.filter_warnings import FilterNames
from oi_tfrecord.dataset.output_state import OutputTarget
from oi_tfrecord.dataset.work_folder import WorkFolder, digest_fingerprint
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.filters import RowFilters, sample_limit
from oi_tfrecord.openimages.csv.id_lists import ImageIdList, parse_box_ids, parse_image_ids
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.settings.check_complete import check_complete
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.find_release import naming_the_release
from oi_tfrecord.settings.plan_records import image_options, record_layout, text_columns
from oi_tfrecord.settings.selection import explain_selection
from oi_tfrecord.sources.archive_listing import ArchiveFile
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.kept_images import KeptFolder
from oi_tfrecord.sources.masks import MaskSource
from oi_tfrecord.sources.protocol import ImageSource
from oi_tfrecord.sources.samples import ImageSamples

ALL_SPLITS_FILE = "image_ids_and_rotation.csv"
"""Name of the published metadata of the images of all splits (V4 and later)."""


@dataclasses.dataclass(frozen=True)
class ConvertPlan:
    """A conversion, planned.

    Attributes:
        config: its configuration, with absolute paths.
        tables: the CSV files.
        archives: the archives of images and of masks.
        classes: the classes.
        filters: rows and images that are left out.
        listed: the images that are kept; None keeps all.
        source: where images come from.
        samples: images to estimate from.
        masks: where the masks of boxes come from; None for records without masks.
        class_files: path to SHA-256 of the class files and of the list of images.
        warnings: what the user should know of the inputs.
        work: folder of unfinished results.
        fingerprint: what must be equal for a rerun to resume this conversion.
        num_shards: number of shards; 0 until it is decided.
        shuffle_folder: folder of the files that a local run groups rows through; empty for the runner's shuffle.
        threads: ranges or shards that a process of the run works on at once.
        slots: slots of the job on Flink, over which shards are spread evenly; 0 if unknown.
        expected_images: estimated number of images, for the progress line; 0 if unknown.
        chooses_images: whether only the chosen images are kept of tar.gz archives.
        kept: where images of tar.gz archives are kept; its path is empty until a run decides.
    """

    config: ConvertConfig
    tables: tuple[InputFile, ...]
    archives: tuple[ArchiveFile, ...]
    classes: ClassPlan
    filters: RowFilters
    listed: ImageIdList | None
    source: ImageSource
    samples: ImageSamples
    masks: MaskSource | None
    class_files: Mapping[str, str]
    warnings: tuple[str, ...]
    work: WorkFolder
    fingerprint: dict[str, object]
    num_shards: int = 0
    shuffle_folder: str = ""
    threads: int = 1
    slots: int = 0
    expected_images: int = 0
    chooses_images: bool = False
    kept: KeptFolder = dataclasses.field(default_factory=KeptFolder)

    @property
    def archives_to_list(self) -> tuple[ArchiveFile, ...]:
        """The archives that are listed now: a dry run lists none, as that takes as long as to read them."""
        return () if self.config.dry_run else self.archives

    @property
    def counted(self) -> Table:
        """Table whose rows of each class are counted."""
        return Table.BOXES if self.config.task == "detection" else Table.HUMAN_LABELS

    @property
    def target(self) -> OutputTarget:
        """The split that the conversion writes."""
        config = self.config
        return OutputTarget(config.output_dir, config.split, config.overwrite, self.fingerprint, self.classes.label_map)

    def with_shards(self, num_shards: int, expected_images: int = 0) -> "ConvertPlan":
        """Returns the plan with its number of shards decided.

        Args:
            num_shards: number of shards.
            expected_images: estimated number of images; 0 if unknown.
        """
        fingerprint = self.fingerprint | {"num_shards": num_shards}
        return dataclasses.replace(
            self, num_shards=num_shards, fingerprint=fingerprint, expected_images=expected_images
        )

    def keeping_in(self, folder: str, temporary: str) -> "ConvertPlan":
        """Returns the plan with a place for the images of tar.gz archives.

        Args:
            folder: the place.
            temporary: folder on the same storage for files that are being written.
        """
        kept = dataclasses.replace(
            self.kept,
            path=folder,
            temporary=temporary,
            chosen=self.work.chosen_images if self.chooses_images else "",
            max_bytes=self.config.max_image_bytes,
        )
        source, masks = self.source, self.masks
        if isinstance(source, ArchiveSource):
            source = dataclasses.replace(source, kept_folder=folder)
        if masks is not None:
            masks = dataclasses.replace(masks, archives=dataclasses.replace(masks.archives, kept_folder=folder))
        return dataclasses.replace(self, kept=kept, source=source, masks=masks)

    def with_image_limit(self, limit: int) -> "ConvertPlan":
        """Returns the plan with the limit that `max_images` means."""
        return dataclasses.replace(self, filters=dataclasses.replace(self.filters, limit_below=limit))

    def range_job(self, finished_shards: frozenset[int]) -> RangeJob:
        """Returns the job of the ranges; no rows are read for `finished_shards`."""
        filters, kept_lists = split_lists(self.filters, self.work)
        return RangeJob(
            job_filters=filters,
            kept_lists=kept_lists,
            files={(file.table, file.number): file for file in self.tables},
            archives={(archive.listing, archive.number): archive for archive in self.archives_to_list},
            vocabulary=self.classes.vocabulary,
            kept_codes=self.classes.mask_of(self.classes.listed),
            text_columns=self.source.text_columns | text_columns(self.config),
            num_shards=self.num_shards,
            finished_shards=finished_shards,
            block_bytes=self.config.csv_block_mb << 20,
            work=self.work,
            shuffle_folder=self.shuffle_folder,
            counted=self.counted,
            kept=self.kept,
        )

    def shard_job(self) -> ShardJob:
        """Returns the job of the shards."""
        config = self.config
        return ShardJob(
            split=config.split,
            num_shards=self.num_shards,
            output_dir=config.output_dir,
            work=self.work,
            driver=Table(config.driver),
            select=config.selection,
            files=_paths(self.tables, self.archives),
            mids=self.classes.vocabulary.mids,
            layout=record_layout(config, self.tables),
            source=self.source,
            masks=self.masks,
            image_options=image_options(config),
            source_id=config.source_id,
            turn_images=config.rotation == "apply",
            read_threads=config.read_threads,
            hierarchy=self.classes.expanded_by,
            is_listed=self.classes.mask_of(self.classes.listed),
            is_chosen=self.classes.mask_of(self.classes.label_mids),
            dry_run=config.dry_run,
            attribution_csv=config.attribution_csv,
            conversion=digest_fingerprint(self.fingerprint),
            skips_missing=config.missing_images == "skip",
            has_spare_cores=self.num_shards < self.threads,
            shard_sha256=config.shard_sha256,
        )

    def finish_job(self) -> FinishJob:
        """Returns the job of the end of the conversion."""
        config = self.config
        return FinishJob(
            split=config.split,
            output_dir=config.output_dir,
            work=self.work,
            inputs=(*map(table_input, self.tables), *map(archive_input, self.archives_to_list)),
            about={
                "oi_tfrecord": __version__,
                "config": config.shaping(),
                "selection": explain_selection(config.selection),
                "class_files": dict(self.class_files),
                "fingerprint": self.fingerprint,
                "warnings": self.warnings,
            },
            filter_names=_filter_names(self),
            attribution_csv=config.attribution_csv and not config.dry_run,
            dry_run=config.dry_run,
        )


def make_plan(config: ConvertConfig) -> ConvertPlan:
    """Finds and checks the inputs of a conversion.

    Args:
        config: complete configuration.

    Returns:
        The plan, with the number of shards of the configuration.

    Raises:
        ConfigError, InputError: naming the option or file to correct.
    """
    check_complete(config)
    config = with_absolute_paths(config)
    with naming_the_release(config):
        tables = plan_tables(config)
    config = dataclasses.replace(config, image_id_format=tables.id_format)
    archives = plan_archives(config, tables.id_form)
    source, samples = plan_images(config, tables.files, archives)
    with naming_the_release(config):
        classes = plan_classes(config)
    id_file = read_given_file("image_ids", config.image_ids) if config.image_ids else None
    id_list = parse_image_ids(id_file.data, id_file.path, config.split, tables.id_form) if id_file else None
    box_id_file = read_given_file("box_ids", config.box_ids) if config.box_ids else None
    filters = plan_filters(config, tables.files, classes, id_list)
    if box_id_file:
        filters = dataclasses.replace(filters, box_ids=parse_box_ids(box_id_file.data, box_id_file.path))
    class_files = {**classes.files, **{file.path: file.sha256 for file in (id_file, box_id_file) if file}}
    paths = (*(file.path for file in tables.files), *(file.path for file in archives), *class_files)
    refuse_outputs_as_inputs(config, paths)
    plan = ConvertPlan(
        config=config,
        tables=tables.files,
        archives=archives,
        classes=classes,
        filters=filters,
        listed=id_list,
        source=source,
        samples=samples,
        masks=plan_masks(config, archives, boxes_filtered=filters.leaves_out_boxes),
        class_files=class_files,
        warnings=(*tables.warnings, *classes.warnings, *_warn_of_other_splits(config, id_list)),
        work=WorkFolder.of(config.output_dir, config.split),
        fingerprint=make_fingerprint(config, tables.files, archives, class_files),
    )
    return plan.with_shards(config.num_shards)


def _warn_of_other_splits(config: ConvertConfig, id_list: ImageIdList | None) -> list[str]:
    if id_list is None or not id_list.other_splits:
        return []
    return [f"{config.image_ids} has {id_list.other_splits:,} lines of other splits than {config.split}, left out"]


def plan_filters(
    config: ConvertConfig, tables: Sequence[InputFile], classes: ClassPlan, id_list: ImageIdList | None
) -> RowFilters:
    """Returns the filters of rows and images.

    Args:
        config: complete configuration.
        tables: the tables; a metadata file of all splits makes a filter.
        classes: the classes.
        id_list: the images that are kept; None keeps all.
    """
    of_all_splits = config.driver == Table.METADATA and any(
        posixpath.basename(file.path).startswith(ALL_SPLITS_FILE) for file in tables
    )
    return RowFilters(
        box_sources=config.box_sources,
        exclude_flags=config.exclude_flags,
        min_confidence=config.min_confidence,
        min_box_side=config.min_box_side,
        min_predicted_iou=config.min_predicted_iou,
        subsets=config.subset or ((config.split,) if of_all_splits else ()),
        sample_below=sample_limit(config.sample),
        image_ids=id_list.image_ids if id_list else None,
        image_names=id_list.names if id_list else None,
        chosen_codes=classes.mask_of(classes.label_mids) if config.classes else None,
        implied=classes.implied,
    )


def _filter_names(plan: ConvertPlan) -> FilterNames:
    """Returns what filters name, for warnings of names that no row has."""
    mids = plan.classes.label_mids if plan.config.classes else ()
    return FilterNames(
        values=plan.filters.named_values,
        classes={mid: plan.classes.descriptions.get(mid, mid) for mid in mids},
        counted=plan.counted,
        listed=0 if plan.filters.image_ids is None else len(plan.filters.image_ids),
    )


def _paths(tables: Sequence[InputFile], archives: Sequence[ArchiveFile]) -> dict[Table, tuple[str, ...]]:
    """Returns the paths of the files of each table and listing, by the number of the file."""
    paths: dict[Table, tuple[str, ...]] = {}
    for file in tables:
        paths[file.table] = (*paths.get(file.table, ()), file.path)
    for archive in archives:
        paths[archive.listing] = (*paths.get(archive.listing, ()), archive.path)
    return paths
