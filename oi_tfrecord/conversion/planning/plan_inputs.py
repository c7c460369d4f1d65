"""Plans the inputs of a conversion: tables and their columns, archives, sources of images and masks."""

import dataclasses
from collections.abc import Iterable, Sequence

from oi_tfrecord import storage
from oi_tfrecord.conversion.planning.check_columns import check_columns
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE, files_beside_shards
from oi_tfrecord.errors import ConfigError, NotFoundError
from oi_tfrecord.join.pair_masks import MaskRules
from oi_tfrecord.openimages.csv.files import InputFile, is_there, open_table
from oi_tfrecord.openimages.csv.find_id_form import find_id_form
from oi_tfrecord.openimages.image_id import ANY_FORMAT, HEX_FORMAT, IdForm
from oi_tfrecord.openimages.schema import (
    CSV_TABLES,
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
