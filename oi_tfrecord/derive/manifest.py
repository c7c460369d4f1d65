"""The manifest of a derived split: what its sources had, what was written, and that nothing was lost."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from oi_tfrecord.dataset.accounts import AccountSum
from oi_tfrecord.dataset.manifest import build_split, is_expanded, sum_counts
from oi_tfrecord.openimages.image_id import ANY_FORMAT, HEX_FORMAT
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.keys import BOX_LABEL_KEY, LABEL_KEY, MACHINE_LABEL_KEY
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.record_counts import RecordCounts


@dataclasses.dataclass(frozen=True)
class DerivedFrom:
    """A source of a derived split.

    Attributes:
        path: its folder, as given.
        split: its name.
        manifest: its entry in the manifest of the folder.
        manifest_sha256: hex digest of that entry, as JSON with sorted keys.
        counts: of its records, as they were read.
    """

    path: str
    split: str
    manifest: Mapping[str, Any]
    manifest_sha256: str
    counts: RecordCounts


def build_derived_split(
    sources: Sequence[DerivedFrom],
    totals: AccountSum,
    label_map: LabelMap,
    about: Mapping[str, Any],
    derived: Mapping[str, Any],
    reason: str,
    keys: Collection[str] | None = None,
) -> dict[str, Any]:
    """Makes the manifest of a derived split.

    Args:
        sources: splits whose records it takes.
        totals: sum of the accounts of all its shards.
        label_map: ids of the classes.
        about: version, configuration and fingerprint.
        derived: the command and its options.
        reason: why records were left out.
        keys: keys that the records have; None for all keys that were read.

    Returns:
        The entry, in the form that a conversion has, too. It balances the records that were read with those that were
        written or left out.
    """
    split = build_split((), totals, label_map, about)
    read = sum(source.counts.records for source in sources)
    left_out = totals.images_not_selected
    images = split["images"] | {"read": read, "left_out": {reason: left_out} if left_out else {}}
    images["balanced"] &= read == images["records"] + left_out
    tables = _balance_tables(sources, totals, keys)
    # Only the conversion of the images knows this number: the manifest of the source has it.
    known = {name: value for name, value in split["totals"].items() if name != "unknown_flags_written_as_0"}
    return split | {
        "balanced": images["balanced"] and all(table["balanced"] for table in tables.values()),
        "images": images,
        "tables": tables,
        "totals": known,
        "sources": {table: sum_counts(totals.sources.get(table, {})) for table in tables},
        "derived": {
            **derived,
            "from": [
                {
                    "path": source.path,
                    "split": source.split,
                    "records": source.counts.records,
                    "manifest_sha256": source.manifest_sha256,
                    "fingerprint": source.manifest["fingerprint"],
                }
                for source in sources
            ],
        },
    }


def _balance_tables(
    sources: Sequence[DerivedFrom], totals: AccountSum, kept_keys: Collection[str] | None
) -> dict[str, dict[str, Any]]:
    read = RecordCounts()
    for source in sources:
        read.merge(source.counts)
    keys = {
        Table.BOXES: (BOX_LABEL_KEY, read.boxes),
        Table.HUMAN_LABELS: (LABEL_KEY, read.labels),
        Table.MACHINE_LABELS: (MACHINE_LABEL_KEY, read.machine_labels),
    }
    tables = {}
    for table, (key, rows_read) in sorted(keys.items()):
        is_absent = not read.keys[key] or (kept_keys is not None and key not in kept_keys)
        if table is not Table.BOXES and is_absent:
            continue
        written = totals.tables[table].written
        dropped = sum_counts(totals.tables[table].dropped)
        tables[str(table)] = {
            "rows_read": rows_read,
            "written": written,
            "rejected": {},
            "dropped": dropped,
            "balanced": rows_read == written + sum(dropped.values()),
        }
    return tables


def shared_config(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the configuration that several conversions have in common.

    Args:
        configs: configuration of each conversion.

    Returns:
        Fields that are equal in all; the `extra_keys` that all have, in the order of the first; and the hierarchy of
        the first if all are expanded by one, which may have another name in each.
    """
    first, *rest = configs
    shared = {name: value for name, value in first.items() if all(config.get(name) == value for config in rest)}
    groups = [name for name in first["extra_keys"] if all(name in config["extra_keys"] for config in rest)]
    if all(map(is_expanded, configs)):
        shared["hierarchy"] = first["hierarchy"]
    if any(config.get("image_id_format", HEX_FORMAT) == ANY_FORMAT for config in configs):
        # Records of both forms together are records with ImageIDs of any form.
        shared["image_id_format"] = ANY_FORMAT
    return {**shared, "extra_keys": groups}
