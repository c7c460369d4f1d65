"""What a conversion will do, worked out before it starts: files, classes, label map, fingerprint."""

import dataclasses
import hashlib
import json
import posixpath
from collections.abc import Mapping
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.archive_job import open_archives
from oi_tfrecord.archive_source import ArchiveSource
from oi_tfrecord.classes import Vocabulary, decode_text, find_listed, is_class, read_class_list, read_descriptions
from oi_tfrecord.config import ConvertConfig
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.fetch import check_installed
from oi_tfrecord.filter_columns import check_filter_columns
from oi_tfrecord.filters import RowFilters, parse_image_ids, sample_limit
from oi_tfrecord.image_source import ImageSource, PatternSource
from oi_tfrecord.images import ImageOptions
from oi_tfrecord.inputs import InputFile, find, is_there, open_table, read_whole
from oi_tfrecord.label_map import LabelMap, build, parse_pbtxt, reuse
from oi_tfrecord.range_job import RangeJob
from oi_tfrecord.record_keys import ExtraKeys, RecordLayout, UrlKind
from oi_tfrecord.release_check import check_release, naming_the_release, needed_tables
from oi_tfrecord.shard_job import ShardJob
from oi_tfrecord.tables import ATTRIBUTION, FLAGS, Listing, Table
from oi_tfrecord.url_folders import UrlFolders
from oi_tfrecord.url_images import check_url_columns
from oi_tfrecord.url_source import UrlSource, fetch_settings
from oi_tfrecord.work_folder import WorkFolder

RECORD_FORMAT = 1
"""Raised whenever the same input and configuration would give other bytes."""


DRY_RUN_FOLDER = "dry_run"
"""Folder within the output for what a dry run writes."""


@dataclasses.dataclass(frozen=True)
class ConvertPlan:
    """A conversion, ready to run.

    Attributes:
      config: its configuration.
      files: the CSV files of all tables.
      class_files: path to SHA-256 of the class files.
      descriptions: MID to display name.
      class_list: classes that the release lists for the label map.
      label_mids: those of them that the label map has, in list order.
      filters: what else is left out.
      vocabulary: all known MIDs.
      label_map: ids of the classes; None if they depend on counts (`label_order: frequency`).
      num_shards: number of shards; 0 until it is decided.
      work: folder of what is unfinished.
      shuffle_folder: folder of the files that a local run groups rows through; empty for the runner's
        shuffle.
      fingerprint: what must be equal for a rerun to go on with this conversion.
      warnings: what the user should know of the inputs.
    """

    config: ConvertConfig
    files: tuple[InputFile, ...]
    class_files: Mapping[str, str]
    descriptions: Mapping[str, str]
    class_list: tuple[str, ...]
    label_mids: tuple[str, ...]
    filters: RowFilters
    vocabulary: Vocabulary
    label_map: LabelMap | None
    num_shards: int
    work: WorkFolder
    fingerprint: dict[str, object]
    warnings: tuple[str, ...] = ()
    shuffle_folder: str = ""

    def with_shards(self, num_shards: int) -> "ConvertPlan":
        """Returns the plan with its number of shards decided."""
        return dataclasses.replace(
            self, num_shards=num_shards, fingerprint=self.fingerprint | {"num_shards": num_shards}
        )

    def with_sample_below(self, limit: int) -> "ConvertPlan":
        """Returns the plan with the limit that `max_images` means."""
        filters = dataclasses.replace(self.filters, sample_below=min(limit, self.filters.sample_below))
        return dataclasses.replace(self, filters=filters)

    @property
    def source(self) -> ImageSource:
        """Where the images are."""
        metadata = tuple(file for file in self.files if file.table is Table.METADATA)
        if self.config.image_urls:
            return UrlSource(
                UrlKind(self.config.image_urls), self.config.image_cache, fetch_settings(self.config), metadata
            )
        if self.config.url_folders:
            return UrlFolders(self.config.url_folders, self.config.split, self.config.max_image_bytes, metadata)
        if self.config.archives:
            listed = tuple(file for file in self.files if isinstance(file.table, Listing))
            return ArchiveSource(listed, self.config.max_image_bytes)
        return PatternSource(self.config.images, self.config.split, self.config.max_image_bytes)

    def range_job(self, finished_shards: frozenset[int]) -> RangeJob:
        """Returns the job of the ranges; `finished_shards` take no rows any more."""
        mids = set(self.class_list)
        kept_codes = np.array([mid in mids for mid in self.vocabulary.mids], bool)
        texts = self.source.texts
        if ExtraKeys.ATTRIBUTION in self.config.extra_keys:
            texts |= frozenset(ATTRIBUTION.values())
        return RangeJob(
            filters=self.filters,
            # A dry run looks for no image, so it need not list archives, which takes as long as to read them.
            files={
                (file.table, file.number): file
                for file in self.files
                if not (self.config.dry_run and isinstance(file.table, Listing))
            },
            vocabulary=self.vocabulary,
            kept_codes=kept_codes,
            texts=texts,
            num_shards=self.num_shards,
            finished_shards=finished_shards,
            block_bytes=self.config.csv_block_mb << 20,
            work=self.work,
            shuffle_folder=self.shuffle_folder,
        )

    def shard_job(self) -> ShardJob:
        """Returns the job of the shards."""
        config = self.config
        columns = {name for file in self.files if file.table is Table.BOXES for name in file.names}
        layout = RecordLayout(
            tables=frozenset(file.table for file in self.files),
            flags=frozenset(field for field, column in FLAGS.items() if column in columns),
            extra_keys=frozenset(map(ExtraKeys, config.extra_keys)),
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
            mids=self.vocabulary.mids,
            layout=layout,
            source=self.source,
            image_options=ImageOptions(
                mode=config.image_mode, max_bytes=config.max_image_bytes, max_pixels=config.max_image_pixels
            ),
            read_threads=config.read_threads,
            dry_run=config.dry_run,
        )

    def make_label_map(self, class_rows: Mapping[str, int]) -> LabelMap:
        """Returns the label map, given the usable box rows of each MID."""
        return self.label_map or build(self.label_mids, self.descriptions, "frequency", class_rows)


def make_plan(config: ConvertConfig) -> ConvertPlan:
    """Finds and checks the inputs of a conversion.

    Args:
      config: complete configuration.

    Raises:
      ConfigError, InputError: naming the field or file to mend.
    """
    config.check_complete()
    if config.dry_run:
        folder = storage.join(config.output_dir, DRY_RUN_FOLDER)
        config = dataclasses.replace(config, output_dir=folder, overwrite=True)
    for field in ("images", "image_cache", "url_folders"):
        path = getattr(config, field)
        if path and storage.is_local(path) and not path.startswith("/"):
            # Workers may run in another folder than this process.
            absolute: dict[str, Any] = {field: storage.join(storage.working_folder(), path)}
            config = dataclasses.replace(config, **absolute)
    archives = tuple(storage.join(storage.working_folder(), name) for name in config.archives)
    config = dataclasses.replace(config, archives=archives)
    with naming_the_release(config):
        files, warnings = _open_tables(config)
    if config.archives:
        files = (*files, *open_archives(config.archives, config.split))
    if config.image_urls or config.url_folders:
        check_url_columns([file for file in files if file.table is Table.METADATA])
    if config.image_urls:
        check_installed()
    class_files: dict[str, str] = {}

    def load(names: tuple[str, ...], wanted: str) -> tuple[bytes, str]:
        with naming_the_release(config):
            path = find(names, config.data_dir, config.split, wanted)[0].path
        return _read_hashed(path, class_files), path

    descriptions = read_descriptions(*load(config.class_descriptions, "class_descriptions"))
    listed = read_class_list(*load(config.class_list, "class_list")) if config.class_list else list(descriptions)
    chosen = _choose_classes(config, listed, descriptions, class_files)
    label_map = _label_map(config, chosen, descriptions, class_files)
    vocabulary = Vocabulary.of(descriptions, listed)
    plan = ConvertPlan(
        config=config,
        files=files,
        class_files=class_files,
        descriptions=descriptions,
        class_list=tuple(listed),
        label_mids=tuple(chosen),
        filters=_filters(config, vocabulary, chosen if config.classes else None, class_files),
        vocabulary=vocabulary,
        label_map=label_map,
        num_shards=config.num_shards,
        work=WorkFolder.of(config.output_dir, config.split),
        fingerprint=_fingerprint(config, files, class_files),
        warnings=tuple(warnings),
    )
    return plan.with_shards(config.num_shards)


def _open_tables(config: ConvertConfig) -> tuple[tuple[InputFile, ...], list[str]]:
    """Returns the files of the tables that are there, and a warning for each that is not."""
    needed = needed_tables(config)
    files: list[InputFile] = []
    warnings = []
    for table in Table:
        names = getattr(config, table, ())
        unwanted = table is Table.MACHINE_LABELS and ExtraKeys.MACHINE_LABELS not in config.extra_keys
        if not names or unwanted:
            continue
        if table not in needed and not is_there(names, config.data_dir, config.split):
            warnings.append(f"no file for {table} ({names[0]}); the records are without its keys")
            continue
        opened = open_table(table, names, config.data_dir, config.split)
        for file in opened:
            check_release(config, file)
        files += opened
    return tuple(files), warnings + check_filter_columns(config, files)


def _label_map(
    config: ConvertConfig, listed: list[str], descriptions: Mapping[str, str], class_files: dict[str, str]
) -> LabelMap | None:
    if config.label_map:
        data = _read_given("label_map", config.label_map, class_files)
        return reuse(parse_pbtxt(decode_text(data, config.label_map), config.label_map), listed, descriptions)
    if config.label_order == "frequency":
        return None
    return build(listed, descriptions, "mid" if config.label_order == "mid" else "list")


def _read_given(field: str, path: str, class_files: dict[str, str]) -> bytes:
    """Returns the bytes of a file that a flag names, and adds its SHA-256 to `class_files`."""
    if not storage.exists(path):
        raise ConfigError(field, f"there is no file {path}")
    return _read_hashed(path, class_files)


def _read_hashed(path: str, class_files: dict[str, str]) -> bytes:
    data = read_whole(path)
    class_files[path] = hashlib.sha256(data).hexdigest()
    return data


def _choose_classes(
    config: ConvertConfig, listed: list[str], descriptions: Mapping[str, str], class_files: dict[str, str]
) -> list[str]:
    """Returns the classes of the list that `--classes` names, in list order."""
    if not config.classes:
        return listed
    wanted = config.classes
    # A folder of images may be called as a class is.
    if len(wanted) == 1 and not is_class(wanted[0], descriptions) and storage.exists(wanted[0]):
        lines = decode_text(_read_hashed(wanted[0], class_files), wanted[0]).splitlines()
        wanted = tuple(line.strip() for line in lines if line.strip())
    named = {mid: descriptions.get(mid, mid) for mid in listed}
    mids = {find_listed(name, named, descriptions) for name in wanted}
    return [mid for mid in listed if mid in mids]


def _filters(
    config: ConvertConfig, vocabulary: Vocabulary, chosen: list[str] | None, class_files: dict[str, str]
) -> RowFilters:
    image_ids = None
    if config.image_ids:
        image_ids = parse_image_ids(_read_given("image_ids", config.image_ids, class_files), config.image_ids)
    chosen_codes = None
    if chosen is not None:
        kept = set(chosen)
        chosen_codes = np.array([mid in kept for mid in vocabulary.mids], bool)
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
