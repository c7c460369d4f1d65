"""The hierarchy of the boxable classes: the classes above and below each class.

Source: bbox_labels_600_hierarchy.json of V4 to V7, a tree of `LabelName`, `Subcategory` and `Part`; as the
Object Detection API does (dataset_tools/oid_hierarchical_labels_expansion.py), only `Subcategory` is followed,
and the root, which stands for every class, is no class.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from oi_tfrecord.errors import InputError

_REMEDY = "Give the published bbox_labels_600_hierarchy.json, or a file of its layout"


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """The relations of classes.

    Attributes:
        ancestors: MID -> MIDs of all classes that include the class, however far above, without itself and the root.
        descendants: MID -> MIDs of all classes that the class includes, however far below, without itself.
    """

    ancestors: Mapping[str, frozenset[str]]
    descendants: Mapping[str, frozenset[str]]


def parse_hierarchy(data: bytes, path: str) -> Hierarchy:
    """Reads a hierarchy; a class that occurs at several places of the tree has the ancestors of all of them.

    Args:
        data: the JSON file.
        path: name of the file, for errors.

    Raises:
        InputError: if the file holds no such tree, or a class includes itself.
    """
    try:
        root = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is not JSON: {error}", _REMEDY) from error
    ancestors = _find_ancestors(root, path)
    descendants = _invert(ancestors)
    for name in ancestors:
        if both := ancestors[name] & descendants[name]:
            raise InputError(path, f"the classes {name} and {min(both)} include each other", _REMEDY)
    return Hierarchy(ancestors, descendants)


def _find_ancestors(root: Any, path: str) -> dict[str, frozenset[str]]:
    """Returns the ancestors of each class of a tree, whose root is no class."""
    ancestors: dict[str, frozenset[str]] = {}
    # A loop, as a deep tree would exceed Python's limit of recursion.
    pending: list[tuple[Any, frozenset[str]]] = [(child, frozenset()) for child in _read_node(root, path)[1]]
    while pending:
        node, above = pending.pop()
        name, children = _read_node(node, path)
        if name in above:
            raise InputError(path, f"the class {name} includes itself", _REMEDY)
        ancestors[name] = ancestors.get(name, frozenset()) | above
        pending.extend((child, above | {name}) for child in children)
    return ancestors


def _read_node(node: Any, path: str) -> tuple[str, list[Any]]:
    """Returns the name of a node of the tree, and its children."""
    name, children = (node.get("LabelName"), node.get("Subcategory", [])) if isinstance(node, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(children, list):
        raise InputError(path, "an entry is not a class with LabelName and a list Subcategory", _REMEDY)
    return name, children


def _invert(ancestors: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Returns the descendants of each class."""
    descendants: dict[str, set[str]] = {name: set() for name in ancestors}
    for name, above in ancestors.items():
        for ancestor in above:
            descendants[ancestor].add(name)
    return {name: frozenset(names) for name, names in descendants.items()}
