"""The classes of a conversion: read, chosen, numbered and related."""

import dataclasses
import hashlib
from collections.abc import Mapping

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.classes import (
    Vocabulary,
    decode_text,
    find_listed,
    is_class,
    read_class_list,
    read_descriptions,
)
from oi_tfrecord.openimages.csv.files import find, read_whole
from oi_tfrecord.openimages.hierarchy import Hierarchy, parse_hierarchy
from oi_tfrecord.records.label_map import (
    LabelMap,
    number_classes,
    reuse_ids,
    reuse_ids_and_append,
    sort_by_frequency,
    with_relatives,
)
from oi_tfrecord.records.label_map_file import parse_pbtxt
from oi_tfrecord.settings.convert_config import ConvertConfig


@dataclasses.dataclass(frozen=True)
class ClassPlan:
    """The classes.

    Attributes:
        descriptions: MID to display name.
        listed: classes that the release lists for the label map.
        label_mids: those of them that the label map has, in list order.
        vocabulary: all known MIDs.
        label_map: ids of the classes; None if they depend on counts (`label_order: frequency`).
        expanded_by: hierarchy by which annotations are expanded; None if they are not.
        related_by: hierarchy whose relations the label map names; None if it names none.
    """

    descriptions: Mapping[str, str]
    listed: tuple[str, ...]
    label_mids: tuple[str, ...]
    vocabulary: Vocabulary
    label_map: LabelMap | None
    expanded_by: Hierarchy | None = None
    related_by: Hierarchy | None = None

    def make_label_map(self, class_rows: Mapping[str, int]) -> LabelMap:
        """Returns the label map, given the usable rows of each MID in the counted table."""
        label_map = self.label_map or number_classes(sort_by_frequency(self.label_mids, class_rows), self.descriptions)
        return with_relatives(label_map, self.related_by) if self.related_by else label_map


def read_classes(config: ConvertConfig, class_files: dict[str, str]) -> ClassPlan:
    """Reads the class files.

    Args:
        config: names them.
        class_files: gets the path and SHA-256 of each.

    Raises:
        ConfigError, InputError: naming the field or file to mend.
    """

    def load(names: tuple[str, ...], wanted: str) -> tuple[bytes, str]:
        path = find(names, config.data_dir, config.split, wanted)[0].path
        return _read_hashed(path, class_files), path

    descriptions = read_descriptions(*load(config.class_descriptions, "class_descriptions"))
    listed = read_class_list(*load(config.class_list, "class_list")) if config.class_list else list(descriptions)
    chosen = _choose(config, listed, descriptions, class_files)
    hierarchy = parse_hierarchy(*load(config.hierarchy, "hierarchy")) if config.hierarchy else None
    related_by = hierarchy if config.hierarchy_use == "label_map" else None
    label_map = _label_map(config, chosen, descriptions, class_files)
    return ClassPlan(
        descriptions=descriptions,
        listed=tuple(listed),
        label_mids=tuple(chosen),
        vocabulary=Vocabulary.of(descriptions, listed),
        label_map=with_relatives(label_map, related_by) if label_map and related_by else label_map,
        expanded_by=hierarchy if config.hierarchy_use == "expand" else None,
        related_by=related_by,
    )


def read_given(field: str, path: str, class_files: dict[str, str]) -> bytes:
    """Returns the bytes of a file that a flag names, and adds its SHA-256 to `class_files`.

    Raises:
        ConfigError: naming the field, if it is not there.
    """
    if not storage.exists(path):
        raise ConfigError(field, f"there is no file {path}")
    return _read_hashed(path, class_files)


def _read_hashed(path: str, class_files: dict[str, str]) -> bytes:
    data = read_whole(path)
    class_files[path] = hashlib.sha256(data).hexdigest()
    return data


def _label_map(
    config: ConvertConfig, listed: list[str], descriptions: Mapping[str, str], class_files: dict[str, str]
) -> LabelMap | None:
    if config.label_map:
        data = read_given("label_map", config.label_map, class_files)
        existing = parse_pbtxt(data, config.label_map)
        number = reuse_ids_and_append if config.append_classes else reuse_ids
        return number(existing, listed, descriptions)
    if config.label_order == "frequency":
        return None
    return number_classes(sorted(listed) if config.label_order == "mid" else listed, descriptions)


def _choose(
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
