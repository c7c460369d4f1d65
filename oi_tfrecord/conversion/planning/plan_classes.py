"""Plans the classes of a conversion: read, chosen, numbered and related."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.classes import (
    Vocabulary,
    check_separator,
    decode_text,
    find_listed,
    is_class,
    read_class_list,
    read_descriptions,
)
from oi_tfrecord.openimages.csv.files import find, read_whole
from oi_tfrecord.openimages.csv.filters import ImpliedClasses
from oi_tfrecord.openimages.hierarchy import Hierarchy, parse_hierarchy
from oi_tfrecord.records.label_map import (
    LabelMap,
    number_classes,
    reuse_ids,
    reuse_ids_and_append,
    sort_by_frequency,
    with_relatives,
    without_relatives,
)
from oi_tfrecord.records.label_map_file import parse_pbtxt
from oi_tfrecord.settings.convert_config import ConvertConfig

_NAMED_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class GivenFile:
    """A small file that a configuration names, read whole.

    Attributes:
        path: path of the file.
        data: its bytes, decompressed.
    """

    path: str
    data: bytes

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


@dataclasses.dataclass(frozen=True)
class ClassPlan:
    """The classes.

    Attributes:
        descriptions: MID to display name.
        listed: classes that the release lists for the label map.
        label_mids: the listed classes that the label map has, in list order.
        vocabulary: all known MIDs.
        label_map: ids of the classes; None if they depend on counts (`label_order: frequency`).
        expanded_by: hierarchy by which annotations are expanded; None if they are not.
        related_by: hierarchy whose relations the label map names; None for a label map without relations.
        files: path to SHA-256 of the files that the classes were read from.
        warnings: what the user should know of the classes.
    """

    descriptions: Mapping[str, str]
    listed: tuple[str, ...]
    label_mids: tuple[str, ...]
    vocabulary: Vocabulary
    label_map: LabelMap | None
    expanded_by: Hierarchy | None
    related_by: Hierarchy | None
    files: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def make_label_map(self, class_rows: Mapping[str, int]) -> LabelMap:
        """Returns the label map, given the usable rows of each MID in the counted table."""
        if self.label_map is not None:
            return self.label_map
        in_order = sort_by_frequency(self.label_mids, class_rows)
        return _relate(number_classes(in_order, self.descriptions), self.expanded_by, self.related_by)

    @property
    def implied(self) -> ImpliedClasses | None:
        """The classes outside the label map that imply classes in it; None if annotations are not expanded."""
        if self.expanded_by is None:
            return None
        return ImpliedClasses.of(self.expanded_by, self.vocabulary.mids, self.label_mids)

    def mask_of(self, mids: Sequence[str]) -> np.ndarray:
        """Returns a bool array, which codes of the vocabulary are those of `mids`."""
        chosen = set(mids)
        return np.array([mid in chosen for mid in self.vocabulary.mids], bool)


def plan_classes(config: ConvertConfig) -> ClassPlan:
    """Reads the class files.

    Args:
        config: complete configuration.

    Raises:
        ConfigError, InputError: naming the option or file to correct.
    """
    description_file = _find_file(config, "class_descriptions")
    descriptions = read_descriptions(description_file.data, description_file.path)
    list_file = _find_file(config, "class_list") if config.class_list else None
    listed = read_class_list(list_file.data, list_file.path) if list_file else list(descriptions)
    choice_file = _find_choice_file(config, descriptions)
    names = _read_names(choice_file) if choice_file else config.classes
    chosen = choose_classes(names, listed, descriptions) if config.classes else listed
    hierarchy_file = _find_file(config, "hierarchy") if config.hierarchy else None
    hierarchy = parse_hierarchy(hierarchy_file.data, hierarchy_file.path) if hierarchy_file else None
    related_by = hierarchy if config.hierarchy_use == "label_map" else None
    expanded_by = hierarchy if config.hierarchy_use == "expand" else None
    map_file = read_given_file("label_map", config.label_map) if config.label_map else None
    given_map = _read_label_map(map_file, listed, descriptions) if map_file else None
    label_map = _number_classes(config, given_map.label_map if given_map else None, chosen, descriptions)
    files = (description_file, list_file, choice_file, hierarchy_file, map_file)
    return ClassPlan(
        descriptions=descriptions,
        listed=tuple(listed),
        label_mids=tuple(chosen),
        # The hierarchy may know classes that a short list of descriptions lacks.
        vocabulary=Vocabulary.of(descriptions, listed, expanded_by.ancestors if expanded_by else ()),
        label_map=None if label_map is None else _relate(label_map, expanded_by, related_by),
        expanded_by=expanded_by,
        related_by=related_by,
        files={file.path: file.sha256 for file in files if file},
        warnings=(
            *(warn_of_relations(related_by, chosen) if related_by else ()),
            *(given_map.warnings if given_map else ()),
        ),
    )


def read_given_file(field: str, path: str) -> GivenFile:
    """Returns a file that an option names by its path.

    Raises:
        ConfigError: naming the option, if there is no such file.
    """
    if not storage.exists(path):
        raise ConfigError(field, f"there is no file {path}")
    return GivenFile(path, read_whole(path))


def _find_file(config: ConvertConfig, field: str) -> GivenFile:
    """Returns a file of the release, which an option names relative to `data_dir`."""
    path = find(getattr(config, field), config.data_dir, config.split, field)[0].path
    return GivenFile(path, read_whole(path))


def _find_choice_file(config: ConvertConfig, descriptions: Mapping[str, str]) -> GivenFile | None:
    """Returns the file that `--classes` names; None if it names classes."""
    if len(config.classes) != 1:
        return None
    [name] = config.classes
    # A folder of images may have the name of a class.
    is_file = not is_class(name, descriptions) and storage.exists(name)
    return GivenFile(name, read_whole(name)) if is_file else None


def _read_names(file: GivenFile) -> list[str]:
    lines = decode_text(file.data, file.path).splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("/"):
            check_separator(line, file.path, number)
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(file.path, "the file lists no class", "Give a MID or display name per line")
    return names


def choose_classes(names: Sequence[str], listed: Sequence[str], descriptions: Mapping[str, str]) -> list[str]:
    """Returns the listed classes that are named, in list order.

    Args:
        names: MIDs or display names.
        listed: MIDs of the list.
        descriptions: MID to display name.

    Raises:
        ConfigError: naming a class that is not listed.
    """
    named = {mid: descriptions.get(mid, mid) for mid in listed}
    mids = {find_listed(name, named, descriptions) for name in names}
    return [mid for mid in listed if mid in mids]


@dataclasses.dataclass(frozen=True)
class GivenLabelMap:
    """A label map that is reused.

    Attributes:
        label_map: its classes, named by MIDs where a class has the name.
        warnings: what the user should know of them.
    """

    label_map: LabelMap
    warnings: tuple[str, ...] = ()


def _read_label_map(file: GivenFile, listed: Sequence[str], descriptions: Mapping[str, str]) -> GivenLabelMap:
    return name_by_mids(parse_pbtxt(file.data, file.path), listed, descriptions)


def name_by_mids(label_map: LabelMap, listed: Sequence[str], descriptions: Mapping[str, str]) -> GivenLabelMap:
    """Names the items of a label map by MIDs, whose `name` is the display name of a class.

    Args:
        label_map: the label map; tutorials and CVAT name its items by display names.
        listed: MIDs of the class list; a name that classes outside of the list have, too, is of the listed class.
        descriptions: MID to display name.

    Returns:
        The label map; items that no class has the name of stay as they are.

    Raises:
        ConfigError: if several classes have the name of an item, or two items name the same class.
    """
    known = {*listed, *descriptions}
    in_list = _mids_by_name({mid: descriptions.get(mid, mid) for mid in listed})
    by_name = _mids_by_name(descriptions) | in_list
    mids: dict[str, str] = {}
    for item in label_map.items:
        if item.name in known or item.name.startswith("/") or not (found := by_name.get(item.name.strip().casefold())):
            continue
        if len(found) > 1:
            raise ConfigError(
                "label_map",
                f"the name {item.name!r} is that of several classes, {', '.join(found)}; write the MID of one as name",
            )
        mids[item.name] = found[0]
    if not mids:
        return GivenLabelMap(label_map)
    renamed = tuple(dataclasses.replace(item, name=mids.get(item.name, item.name)) for item in label_map.items)
    example, mid = next(iter(mids.items()))
    warning = f"--label_map: {len(mids):,} names are display names, taken for the MIDs: {example!r} is {mid}"
    return GivenLabelMap(LabelMap(renamed), (warning,))


def _mids_by_name(names: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the MIDs of each display name, in lower case."""
    by_name: dict[str, list[str]] = {}
    for mid, name in names.items():
        by_name.setdefault(name.strip().casefold(), []).append(mid)
    return by_name


def _number_classes(
    config: ConvertConfig, given: LabelMap | None, chosen: list[str], descriptions: Mapping[str, str]
) -> LabelMap | None:
    if given is not None:
        number = reuse_ids_and_append if config.append_classes else reuse_ids
        return number(given, chosen, descriptions)
    if config.label_order == "frequency":
        return None
    return number_classes(sorted(chosen) if config.label_order == "mid" else chosen, descriptions)


def _relate(label_map: LabelMap, expanded_by: Hierarchy | None, related_by: Hierarchy | None) -> LabelMap:
    # A reader would expand the records a second time by relatives that a reused label map names.
    expanded = label_map if expanded_by is None else without_relatives(label_map)
    return expanded if related_by is None else with_relatives(expanded, related_by)


def warn_of_relations(hierarchy: Hierarchy, label_mids: Sequence[str]) -> list[str]:
    """Returns warnings of a label map that is to name relatives, by which a reader expands the records.

    Args:
        hierarchy: the relations.
        label_mids: the classes of the label map.
    """
    included = set().union(*(hierarchy.descendants.get(mid, frozenset()) for mid in label_mids))
    if included.isdisjoint(label_mids):
        return [
            "--hierarchy_use=label_map: no class of the label map is a subclass of another, so it names no relatives"
        ]
    if lacking := sorted(included.difference(label_mids)):
        named = ", ".join(lacking[:_NAMED_CLASSES]) + (", ..." if len(lacking) > _NAMED_CLASSES else "")
        return [
            f"--hierarchy_use=label_map: {len(lacking):,} subclasses of the classes are not in the label map "
            f"({named}), so their boxes and labels are left out; --hierarchy_use=expand counts them for the classes"
        ]
    return []
