"""The join of one shard: metadata, boxes and labels of each image, in hash order, columnar."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.archive_places import ImageFiles, locate_images
from oi_tfrecord.join.batches import Batch
from oi_tfrecord.join.pair_masks import MaskRules, Masks, find_repeated, locate_masks, nothing, pair_masks
from oi_tfrecord.join.shard_rows import JoinFault, Stacked, stack
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import LABEL_TABLES, MASK_PATH, ROW_TYPES, WINDOW, Listing, Table
from oi_tfrecord.reasons import Drop, Reject

_SHIFT = np.uint64(32)


@dataclasses.dataclass(frozen=True)
class Annotations:
    """Rows of one annotation table by image: those of image `i` are `rows[offsets[i]:offsets[i + 1]]`.

    `added`, if there, marks the rows that are no rows of the table but follow from them.
    """

    rows: np.ndarray
    offsets: np.ndarray
    sources: tuple[str, ...]
    added: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class JoinedShard:
    """The images of one shard with their annotations.

    Attributes:
        image_ids: uint64 array [n] in hash order.
        annotations: per annotation table present, the rows of each image in file order.
        texts: text columns [n] of the metadata.
        faults: rejected rows.
        rejected: rejected rows per table and reason.
        dropped: dropped rows per table and reason.
        images_not_selected: images left out by `images`.
        has_metadata: bool array [n], whether the metadata table names the image.
        image_files: where the images are in archives; None if no archive was listed.
        masks: of the boxes; None if they were not asked for.
    """

    image_ids: np.ndarray
    annotations: Mapping[Table, Annotations]
    texts: Mapping[str, pa.Array]
    faults: list[JoinFault]
    rejected: dict[Table | Listing, Counter[Reject]]
    dropped: dict[Table | Listing, Counter[Drop]]
    images_not_selected: int
    has_metadata: np.ndarray
    image_files: ImageFiles | None = None
    masks: Masks | None = None


def join_shard(
    batches: Iterable[Batch], *, driver: Table, images: str, mask_rules: MaskRules | None = None
) -> JoinedShard:
    """Joins the tables of one shard.

    Args:
        batches: all batches of the shard, in any order.
        driver: the table whose ImageIDs are the images of the split.
        images: `boxed` keeps images with a box, `labelled` those with a box or a human label, `all` all.
        mask_rules: what becomes of boxes and masks that have no partner; None joins no masks.

    Returns:
        The images in hash order. A row that repeats another of its table in every column is a
        duplicate and kept once; an annotation of an image that the metadata does not name is rejected,
        and one of an image that another driver does not name is left out.
    """
    tables = stack(batches)
    faults: list[JoinFault] = []
    rejected: dict[Table | Listing, Counter[Reject]] = {table: Counter() for table in tables}
    dropped: dict[Table | Listing, Counter[Drop]] = {table: Counter() for table in tables}

    def reject(table: Table | Listing, indices: np.ndarray, reason: Reject, detail: str) -> None:
        rejected[table][reason] += len(indices)
        faults.extend(tables[table].fault(index, reason, detail) for index in indices.tolist())

    empty = np.zeros(0, ROW_TYPES[driver])
    driving = tables.get(driver, Stacked(empty, (), (), np.zeros(0, np.int64), {}))
    hashes, first = np.unique(hash_ids(driving.rows["image_id"]), return_index=True)
    if driver is Table.METADATA and len(first) < len(driving.rows):
        repeated = np.ones(len(driving.rows), bool)
        repeated[first] = False
        reject(driver, np.flatnonzero(repeated), Reject.DUPLICATE, "ImageID occurs before in this table")
    image_ids = driving.rows["image_id"][first]
    metadata_of = first if driver is Table.METADATA else np.full(len(hashes), -1)
    metadata = driving
    if driver is not Table.METADATA and Table.METADATA in tables:
        metadata = tables[Table.METADATA]
        image_of, known = _find(hashes, metadata.rows)
        if unknown := int(np.count_nonzero(~known)):
            dropped[Table.METADATA][Drop.IMAGE_NOT_SELECTED] += unknown
        described, first_row = np.unique(image_of[known], return_index=True)
        metadata_of[described] = np.flatnonzero(known)[first_row]
        if len(described) < np.count_nonzero(known):
            known[metadata_of[described]] = False
            reject(Table.METADATA, np.flatnonzero(known), Reject.DUPLICATE, "ImageID occurs before in this table")
    has_metadata = metadata_of >= 0
    texts = _take_texts(metadata, metadata_of)

    found: dict[Table, tuple[Stacked, np.ndarray]] = {}
    for table, rows in tables.items():
        if not isinstance(table, Table) or table is Table.METADATA:
            continue
        image_of, known = _find(hashes, rows.rows)
        if unknown := int(np.count_nonzero(~known)):
            if driver is Table.METADATA:
                detail = f"its ImageID is not in {driver}"
                reject(table, np.flatnonzero(~known), Reject.ANNOTATION_WITHOUT_IMAGE, detail)
            else:
                # Only the metadata names all images; another driver chooses among them.
                dropped[table][Drop.IMAGE_NOT_SELECTED] += unknown
        repeated = find_repeated(rows.texts[MASK_PATH]) if table is Table.MASKS else find_duplicates(rows.rows)
        if len(repeated := repeated[known[repeated]]):
            reject(table, repeated, Reject.DUPLICATE, "repeats an earlier row of this table")
            known[repeated] = False
        if not known.all():
            rows, image_of = rows.select(known), image_of[known]
        order = np.argsort(_narrow(image_of, len(hashes)), kind="stable")
        found[table] = rows.select(order), image_of[order]

    pairs = None
    if mask_rules is not None:
        none = np.zeros(0, np.int64)
        pairs = pair_masks(
            mask_rules,
            *found.get(Table.BOXES, (nothing(Table.BOXES), none)),
            *found.get(Table.MASKS, (nothing(Table.MASKS), none)),
        )
        found |= {Table.BOXES: (pairs.boxes, pairs.box_image), Table.MASKS: (pairs.masks, pairs.mask_image)}
        faults += pairs.faults
        for table, counts in ((Table.BOXES, pairs.boxes_dropped), (Table.MASKS, pairs.masks_dropped)):
            dropped.setdefault(table, Counter()).update(counts)
        rejected.setdefault(Table.MASKS, Counter()).update(fault.reason for fault in pairs.faults)

    selected = _select_images(len(hashes), {table: image_of for table, (_, image_of) in found.items()}, images)
    excluded = np.zeros(len(hashes), bool)
    if has_metadata.any():
        excluded[has_metadata] = metadata.rows["excluded"][metadata_of[has_metadata]] != 0
        if of_others := int(np.count_nonzero(excluded)):
            dropped[Table.METADATA][Drop.OTHER_SUBSET] += of_others
        if left_out := int(np.count_nonzero(has_metadata & ~selected & ~excluded)):
            dropped[Table.METADATA][Drop.IMAGE_NOT_SELECTED] += left_out
    not_selected = int(np.count_nonzero(~selected & ~excluded))
    selected &= ~excluded
    annotations: dict[Table, Annotations] = {}
    for table, (rows, image_of) in found.items():
        if not selected.all() and len(image_of):
            kept = selected[image_of]
            if left_out := int(np.count_nonzero(~kept)):
                of_others = int(np.count_nonzero(excluded[image_of]))
                _count_left_out(dropped[table], left_out, of_others)
                rows, image_of = rows.select(kept), image_of[kept]
                if table is Table.BOXES and pairs is not None:
                    pairs = dataclasses.replace(pairs, mask_of=pairs.mask_of[kept])
        if table is Table.MASKS:
            continue
        offsets = np.searchsorted(image_of, np.append(np.flatnonzero(selected), len(hashes)))
        annotations[table] = Annotations(rows.rows, offsets, rows.sources)
    image_files = None
    if (listed := tables.get(Listing.IMAGE_FILES)) is not None:
        image_files, repeated, others = locate_images(
            *_find(hashes[selected], listed.rows),
            count=int(np.count_nonzero(selected)),
            archives=np.array([key.file for key in listed.keys], np.int64)[listed.range_of],
            rows=listed.rows,
            windows=listed.texts.get(WINDOW),
        )
        reject(Listing.IMAGE_FILES, repeated, Reject.DUPLICATE, "the image occurs before in the archives")
        of_others = int(np.count_nonzero(_find(hashes[excluded], listed.rows)[1]))
        _count_left_out(dropped[Listing.IMAGE_FILES], others, of_others)
    masks = None
    if pairs is not None:
        mask_files = None
        if (listed := tables.get(Listing.MASK_FILES)) is not None:
            mask_files, repeated, others = locate_masks(pairs, listed)
            reject(Listing.MASK_FILES, repeated, Reject.DUPLICATE, "the mask occurs before in the archives")
            if others:
                dropped[Listing.MASK_FILES][Drop.MASK_NOT_SELECTED] += others
        masks = Masks(pairs.masks, pairs.mask_of, mask_files)
    if not selected.all():
        image_ids, has_metadata = image_ids[selected], has_metadata[selected]
        texts = {name: column.filter(pa.array(selected)) for name, column in texts.items()}
    return JoinedShard(
        image_ids, annotations, texts, faults, rejected, dropped, not_selected, has_metadata, image_files, masks
    )


def _find(hashes: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image of each row (an index into the sorted `hashes`), and whether it is one."""
    row_hashes = hash_ids(rows["image_id"])
    image_of = np.searchsorted(hashes, row_hashes)
    if not len(hashes):
        return image_of, np.zeros(len(rows), bool)
    return image_of, hashes[np.minimum(image_of, len(hashes) - 1)] == row_hashes


def _count_left_out(dropped: Counter[Drop], left_out: int, of_others: int) -> None:
    """Counts rows of images that are left out, `of_others` of them as those of other subsets."""
    for reason, count in ((Drop.OTHER_SUBSET, of_others), (Drop.IMAGE_NOT_SELECTED, left_out - of_others)):
        if count:
            dropped[reason] += count


def _take_texts(metadata: Stacked, metadata_of: np.ndarray) -> dict[str, pa.Array]:
    """Returns the text columns at `metadata_of`, empty where that is -1."""
    indices = pa.array(metadata_of, mask=metadata_of < 0)
    return {name: column.take(indices).fill_null(b"") for name, column in metadata.texts.items()}


def find_duplicates(rows: np.ndarray) -> np.ndarray:
    """Finds rows that repeat an earlier row in every column of the file.

    Args:
        rows: LABEL_ROW or BOX_ROW array [n] in file order.

    Returns:
        Indices, ascending, of the rows after the first of each set of equal rows.
    """
    # One 64-bit key per row makes the common case, no duplicate, a single sort; the rows that
    # share a key are then compared whole.
    key = hash_ids(rows["image_id"])
    names = [name for name in rows.dtype.names or () if name not in ("image_id", "line")]
    for first, second in zip(names[::2], [*names[1::2], None], strict=False):
        word = _bits(rows[first]) << _SHIFT
        key = hash_ids(key ^ (word | _bits(rows[second]) if second else word))
    order = np.sort(key)
    if not (order[1:] == order[:-1]).any():
        return np.zeros(0, np.int64)
    shared = np.unique(order[1:][order[1:] == order[:-1]])
    seen: set[tuple[object, ...]] = set()
    repeated = []
    for index in np.flatnonzero(np.isin(key, shared)).tolist():
        row = rows[index]
        values = (int(row["image_id"]), *(row[name].item() for name in names))
        if values in seen:
            repeated.append(index)
        seen.add(values)
    return np.array(repeated, np.int64)


def _bits(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "f":
        column = np.ascontiguousarray(column).view(np.uint32)
    return column.astype(np.uint64) & np.uint64(0xFFFFFFFF)


def _narrow(image_of: np.ndarray, images: int) -> np.ndarray:
    # A stable sort of 16-bit integers is a radix sort in numpy.
    return image_of.astype(np.uint16) if images <= 1 << 16 else image_of


def _select_images(count: int, image_of: Mapping[Table, np.ndarray], images: str) -> np.ndarray:
    if images == "all":
        return np.ones(count, bool)
    selected = np.zeros(count, bool)
    tables = (Table.BOXES,) if images == "boxed" else (Table.BOXES, LABEL_TABLES[0])
    for table in tables:
        if table in image_of:
            selected[image_of[table]] = True
    return selected
