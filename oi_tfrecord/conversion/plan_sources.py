"""Plans where the bytes of images and masks come from."""

import dataclasses
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.join.pair_masks import MaskRules
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.settings.convert_config import CVDF, ConvertConfig
from oi_tfrecord.sources.archive_listing import ArchiveFile, open_archives
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import CVDF_PATTERN, PatternSource
from oi_tfrecord.sources.http_client import check_installed
from oi_tfrecord.sources.masks import MaskSource
from oi_tfrecord.sources.protocol import ImageSource
from oi_tfrecord.sources.samples import ArchiveSamples, FileSamples, FolderSamples, ImageSamples, UrlSamples
from oi_tfrecord.sources.url_folders import UrlFolders
from oi_tfrecord.sources.urls import UrlSource, fetch_settings


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


def plan_archives(config: ConvertConfig) -> tuple[ArchiveFile, ...]:
    """Finds the archives of images and of masks.

    Raises:
        ConfigError: naming the option that matches no file, or the package that is not installed.
        InputError: naming a file that is no archive.
    """
    images = open_archives(config.archives, config.split)
    return (*images, *open_archives(config.mask_archives, config.split, Table.MASK_FILES, "mask_archives"))


def plan_images(
    config: ConvertConfig, tables: Sequence[InputFile], archives: Sequence[ArchiveFile]
) -> tuple[ImageSource, ImageSamples]:
    """Returns the source of the images, and samples of them to estimate from.

    Args:
        config: complete configuration, which names one source.
        tables: the CSV files.
        archives: the archives of images and masks.

    Raises:
        ConfigError: naming the package that a download needs and that is not installed.
    """
    metadata = tuple(file for file in tables if file.table is Table.METADATA)
    if config.image_urls:
        check_installed()
        kind = UrlKind(config.image_urls)
        return UrlSource(kind, config.image_cache, fetch_settings(config)), UrlSamples(kind, metadata)
    if config.url_folders:
        folders = UrlFolders(config.url_folders, config.split, config.max_image_bytes)
        return folders, FolderSamples(folders, metadata)
    if config.archives:
        source = ArchiveSource(_archives_of(Table.IMAGE_FILES, archives), config.max_image_bytes)
        return source, ArchiveSamples(source)
    is_cvdf = config.images == CVDF
    pattern = PatternSource(
        CVDF_PATTERN if is_cvdf else config.images,
        config.split,
        config.max_image_bytes,
        anonymous=config.anonymous or is_cvdf,
        cache=config.image_cache,
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
        rules=MaskRules(keep_boxes_without=config.boxes_without_mask == "empty", boxes_filtered=boxes_filtered),
        files=PatternSource(config.mask_files, config.split, config.max_image_bytes),
        archives=ArchiveSource(_archives_of(Table.MASK_FILES, archives), config.max_image_bytes),
        max_pixels=config.max_image_pixels,
    )


def _archives_of(listing: Listing, archives: Sequence[ArchiveFile]) -> tuple[ArchiveFile, ...]:
    return tuple(archive for archive in archives if archive.listing is listing)
