"""Plans the inputs of a conversion: tables and their columns, archives, sources of images and masks."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.attribution_csv import warn_of_lacking
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE, files_beside_shards
from oi_tfrecord.errors import ConfigError, InputError, NotFoundError
from oi_tfrecord.join.pair_masks import MaskRules
from oi_tfrecord.openimages.csv.files import InputFile, is_there, open_table
from oi_tfrecord.openimages.csv.filters import VALUE_FILTERS
from oi_tfrecord.openimages.csv.find_id_form import find_id_form
from oi_tfrecord.openimages.csv.header import find_near_column
from oi_tfrecord.openimages.image_id import ANY_FORMAT, HEX_FORMAT, IdForm
from oi_tfrecord.openimages.rotation import ROTATION_COLUMN
from oi_tfrecord.openimages.schema import (
    ATTRIBUTES,
    ATTRIBUTION,
    BOX_ID,
    CSV_TABLES,
    FLAGS,
    PREDICTED_IOU,
    REQUIRED_COLUMNS,
    Listing,
    Table,
)
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.allowed_values import BoxesWithoutMask, UrlKind
from oi_tfrecord.settings.convert_config import CVDF, ConvertConfig
from oi_tfrecord.settings.find_release import check_release, needed_tables
from oi_tfrecord.sources.archive_listing import ArchiveFile, open_archives
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource, open_pattern
from oi_tfrecord.sources.image_urls import check_url_columns
from oi_tfrecord.sources.masks import MaskSource
from oi_tfrecord.sources.protocol import ImageSource
from oi_tfrecord.sources.samples import ArchiveSamples, FileSamples, FolderSamples, ImageSamples, UrlSamples
from oi_tfrecord.sources.url_folders import UrlFolders
from oi_tfrecord.sources.urls import UrlSource, fetch_settings


@dataclasses.dataclass(frozen=True)
class TablePlan:
    """The tables of a conversion.

    Attributes:
        files: their CSV files, in the order of the tables.
        warnings: what the records will lack, as a table or a column is not there.
        id_form: what the ImageIDs of all tables are.
    """

    files: tuple[InputFile, ...]
    warnings: tuple[str, ...]
    id_form: IdForm

    @property
    def id_format(self) -> str:
        """Value of `image_id_format` for these tables, other than `auto`."""
        return HEX_FORMAT if self.id_form is IdForm.HEX else ANY_FORMAT


def plan_tables(config: ConvertConfig) -> TablePlan:
    """Finds the files of the tables that a conversion reads, and checks their columns.

    Args:
        config: complete configuration.

    Raises:
        ConfigError: naming an option whose column no file has.
        InputError: naming the file that is missing or is of another release.
    """
    opened = {table: _open_table(config, table) for table in wanted_tables(config)}
    missing = [
        f"no file for {table} ({getattr(config, table)[0]}); the records are without its keys"
        for table, files in opened.items()
        if not files
    ]
    files = tuple(file for files in opened.values() for file in files)
    form = find_id_form(config.image_id_format, files)
    files = tuple(dataclasses.replace(file, id_form=form) for file in files)
    return TablePlan(files, (*missing, *check_columns(config, files)), form)


def wanted_tables(config: ConvertConfig) -> list[Table]:
    """Returns the tables that a conversion reads if their files are there."""
    unwanted = {Table.BOXES} if config.task == "classification" else set()
    for table, key in ((Table.MACHINE_LABELS, ExtraKeys.MACHINE_LABELS), (Table.MASKS, ExtraKeys.MASKS)):
        unwanted |= set() if key in config.extra_keys else {table}
    return [table for table in CSV_TABLES if getattr(config, table, ()) and table not in unwanted]


def _open_table(config: ConvertConfig, table: Table) -> Sequence[InputFile]:
    """Returns the files of a table; none if they are missing and the conversion can do without them."""
    try:
        files = open_table(table, getattr(config, table), config.data_dir, config.split)
    except NotFoundError as error:
        if table not in needed_tables(config):
            return ()
        if table == config.driver == Table.METADATA and is_there(config.boxes, config.data_dir, config.split):
            remedy = f"{error.remedy}; or give --driver=boxes, which takes the images from the boxes"
            raise NotFoundError(error.path, error.problem, remedy) from error
        raise
    for file in files:
        check_release(config, file)
    return files


Check = Callable[[ConvertConfig, Sequence[InputFile]], list[str]]
"""Returns warnings, or raises ConfigError."""


def check_attribution_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Warns of columns that the list of attributions lacks."""
    if not config.attribution_csv:
        return []
    return warn_of_lacking({file.path: file.names for file in files if file.table is Table.METADATA})


def check_filter_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Images or boxes cannot be chosen by values of a column that is not there."""
    for table, (field, column) in VALUE_FILTERS.items():
        own = [file for file in files if file.table is table]
        without = [file.path for file in own if column not in file.names]
        if getattr(config, field) and (without or not own):
            raise ConfigError(field, f"there is no column {column} in {', '.join(without) or f'any file of {table}'}")
    return []


def check_flag_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Warns of flags by which no box can be left out, as in V3's train split."""
    return [
        f"{file.path} has no column {FLAGS[flag]}; --exclude_flags={flag} leaves out none of its boxes"
        for flag in config.exclude_flags
        for file in files
        if file.table is Table.BOXES and FLAGS[flag] not in file.names
    ]


KNOWN_COLUMNS: dict[Table, tuple[str, ...]] = {
    Table.METADATA: (VALUE_FILTERS[Table.METADATA][1], ROTATION_COLUMN),
    Table.BOXES: ("Source", "Confidence", *FLAGS.values(), *(column for column, _ in ATTRIBUTES.values())),
    Table.HUMAN_LABELS: ("Source",),
    Table.MACHINE_LABELS: ("Source",),
    Table.MASKS: (BOX_ID, PREDICTED_IOU),
}
"""Columns that are used where a file has them; the records lack their values where it does not."""


def check_near_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """A column whose name is misspelt must not be dropped without a word.

    Raises:
        InputError: naming the file and the column.
    """
    for file in files:
        if near := find_near_column(file.names, (*REQUIRED_COLUMNS[file.table], *KNOWN_COLUMNS[file.table])):
            name, known = near
            problem = f"the column '{name}' is not read, though its name is nearly that of the column '{known}'"
            raise InputError(file.path, problem, f"Rename it to {known}, or to another name to leave it out", 1)
    return []


_COLUMNS_OF_KEYS: dict[ExtraKeys, tuple[Table, tuple[str, ...]]] = {
    ExtraKeys.BOX_SOURCE: (Table.BOXES, ("Source",)),
    ExtraKeys.BOX_CONFIDENCE: (Table.BOXES, ("Confidence",)),
    ExtraKeys.INSIDE: (Table.BOXES, (FLAGS["inside"],)),
    ExtraKeys.ATTRIBUTES: (Table.BOXES, tuple(column for column, _ in ATTRIBUTES.values())),
    ExtraKeys.LABEL_SOURCE: (Table.HUMAN_LABELS, ("Source",)),
    ExtraKeys.ATTRIBUTION: (Table.METADATA, tuple(ATTRIBUTION.values())),
    ExtraKeys.BOX_ID: (Table.MASKS, (BOX_ID,)),
    ExtraKeys.PREDICTED_IOU: (Table.MASKS, (PREDICTED_IOU,)),
}


def check_columns_of_keys(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Warns of columns that the groups of extra keys need and a file lacks."""
    wanted = [(f"--extra_keys={key}", *of_key) for key, of_key in _COLUMNS_OF_KEYS.items() if key in config.extra_keys]
    if config.boxes_without_mask == BoxesWithoutMask.GROUPS:
        wanted.append((f"--boxes_without_mask={BoxesWithoutMask.GROUPS}", Table.BOXES, (FLAGS["group_of"],)))
    return [
        f"{file.path} has no column {', '.join(missing)}, which {option} needs"
        for option, table, columns in wanted
        for file in files
        if file.table is table and (missing := [column for column in columns if column not in file.names])
    ]


def check_mask_filter_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Masks cannot be chosen by a column that is not there."""
    for field, column in (("box_ids", BOX_ID), ("min_predicted_iou", PREDICTED_IOU)):
        without = [file.path for file in files if file.table is Table.MASKS and column not in file.names]
        if getattr(config, field) and without:
            raise ConfigError(field, f"there is no column {column} in {', '.join(without)}")
    return []


def check_rotation_column(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Images cannot be turned if no metadata says by how much; an empty key of the rotation is warned of."""
    if any(file.table is Table.METADATA and ROTATION_COLUMN in file.names for file in files):
        return []
    if config.rotation == "apply":
        problem = f"apply needs the column {ROTATION_COLUMN} in the metadata, which releases have from V4 on"
        raise ConfigError("rotation", problem)
    is_wanted = ExtraKeys.ROTATION in config.extra_keys
    return [f"the metadata has no column {ROTATION_COLUMN}; image/rotation is empty"] if is_wanted else []


def check_columns_of_urls(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Images cannot be found by URLs that the metadata lacks."""
    if config.image_urls or config.url_folders:
        check_url_columns([file for file in files if file.table is Table.METADATA])
    return []


CHECKS: tuple[Check, ...] = (
    check_attribution_columns,
    check_filter_columns,
    check_flag_columns,
    check_mask_filter_columns,
    check_near_columns,
    check_columns_of_keys,
    check_rotation_column,
    check_columns_of_urls,
)
"""All checks, in the order in which their warnings are listed."""


def check_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Returns the warnings of all CHECKS.

    Raises:
        ConfigError, InputError: naming the option or file that the first of them refuses.
    """
    return [warning for check in CHECKS for warning in check(config, files)]


def with_absolute_paths(config: ConvertConfig) -> ConvertConfig:
    """Returns the configuration with absolute paths of images: workers may run in another folder than this process."""
    return dataclasses.replace(
        config,
        images=config.images if config.images == CVDF else _absolute(config.images),
        image_cache=_absolute(config.image_cache),
        url_folders=_absolute(config.url_folders),
        mask_files=_absolute(config.mask_files),
        archives=tuple(map(_absolute, config.archives)),
        mask_archives=tuple(map(_absolute, config.mask_archives)),
    )


def _absolute(path: str) -> str:
    return path and storage.join(storage.working_folder(), path)


def refuse_outputs_as_inputs(config: ConvertConfig, inputs: Iterable[str]) -> None:
    """Refuses an input that the conversion would replace; its label map is written as it is, or the run is refused.

    Args:
        config: names the output folder and the split.
        inputs: paths of all files that the conversion reads.

    Raises:
        ConfigError: naming the input.
    """
    names = files_beside_shards(config.split) - {LABEL_MAP_FILE}
    outputs = {storage.identify(storage.join(config.output_dir, name)) for name in names}
    for path in inputs:
        if storage.identify(path) in outputs:
            problem = f"{path} is read by this conversion, which would replace it; give another folder"
            raise ConfigError("output_dir", problem)


def plan_archives(config: ConvertConfig, id_form: IdForm = IdForm.HEX) -> tuple[ArchiveFile, ...]:
    """Finds the archives of images and of masks.

    Args:
        config: complete configuration.
        id_form: what the ImageIDs are.

    Raises:
        ConfigError: naming the option that matches no file, or the package that is not installed.
        InputError: naming a file that is no archive.
    """
    images = open_archives(config.archives, config.split)
    masks = open_archives(config.mask_archives, config.split, Table.MASK_FILES, "mask_archives")
    return tuple(dataclasses.replace(archive, id_form=id_form) for archive in (*images, *masks))


def plan_images(
    config: ConvertConfig, tables: Sequence[InputFile], archives: Sequence[ArchiveFile]
) -> tuple[ImageSource, ImageSamples]:
    """Returns the source of the images, and samples of them to estimate from.

    Args:
        config: complete configuration, which names one source.
        tables: the CSV files.
        archives: the archives of images and masks.
    """
    metadata = tuple(file for file in tables if file.table is Table.METADATA)
    if config.image_urls:
        kind = UrlKind(config.image_urls)
        return UrlSource(kind, config.image_cache, fetch_settings(config)), UrlSamples(kind, metadata)
    if config.url_folders:
        folders = UrlFolders(config.url_folders, config.split, config.max_image_bytes)
        return folders, FolderSamples(folders, metadata)
    if config.archives:
        source = ArchiveSource(_archives_of(Table.IMAGE_FILES, archives), config.max_image_bytes)
        return source, ArchiveSamples(source)
    pattern = open_pattern(
        config.images, config.split, config.max_image_bytes, anonymous=config.anonymous, cache=config.image_cache
    )
    return pattern, FileSamples(pattern)


def plan_masks(config: ConvertConfig, archives: Sequence[ArchiveFile], *, boxes_filtered: bool) -> MaskSource | None:
    """Returns the source of the masks; None if the records hold none.

    Args:
        config: complete configuration.
        archives: the archives of images and masks.
        boxes_filtered: whether filters leave out boxes that masks may belong to.
    """
    if ExtraKeys.MASKS not in config.extra_keys:
        return None
    return MaskSource(
        rules=MaskRules(BoxesWithoutMask(config.boxes_without_mask), boxes_filtered),
        files=PatternSource(config.mask_files, config.split, config.max_image_bytes),
        archives=ArchiveSource(_archives_of(Table.MASK_FILES, archives), config.max_image_bytes),
        max_pixels=config.max_image_pixels,
    )


def _archives_of(listing: Listing, archives: Sequence[ArchiveFile]) -> tuple[ArchiveFile, ...]:
    return tuple(archive for archive in archives if archive.listing is listing)
