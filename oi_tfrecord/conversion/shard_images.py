"""The images of one shard: read ahead, checked, turned, with the masks of their boxes, and counted."""

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.conversion.shard_masks import LoadedMasks, MaskOutcome, ShardMasks
from oi_tfrecord.dataset.rejects_csv import Rejected
from oi_tfrecord.errors import InputError
from oi_tfrecord.images.mask_png import ImageMasks
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageRejected, PreparedImage
from oi_tfrecord.join.image_facts import ImageFacts
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.image_id import id_keys
from oi_tfrecord.openimages.rotation import ANGLES, NO_ANGLE, ROTATION_COLUMN
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import NOT_THERE, Reject
from oi_tfrecord.storage.read_ahead import ITEMS_PER_TASK, ByteBudget, map_in_order

PREFETCH_BYTES = 64 << 20
"""Bound on the image bytes that a process holds ahead of the records it writes."""

_BUDGET = ByteBudget(PREFETCH_BYTES)
"""An engine may give a process several shards at once."""

LOCAL_THREADS = 2

EXPECTED = 8
"""Files that the system reads ahead: enough to keep a disk busy, few enough to be cached still in their turn."""

_SLOW_SECONDS, _SLOW_BYTES_PER_SECOND = 1e-4, 4e9
"""A read that takes longer waited for a disk; from the page cache, 250 KB take some 20 us."""

SLOW_READS = 3
"""Slow reads in a row after which the system is asked to read ahead: a single one may have waited for a thread."""

EXPECTED_READS = 256
"""Reads for which the system is then asked; after them, reads show again whether the files are in the page cache."""

REMOTE_THREADS = 128
"""At 50 ms for an answer, as many requests give 2,500 images/s; how many bytes they hold is bounded all the same."""


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image that was read, with its masks; or the reason why the image has no record."""

    image: PreparedImage | None
    masks: LoadedMasks
    rejected: ImageRejected | None
    read_seconds: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of the image and its masks."""
        return len(self.image.encoded) + self.masks.size if self.image else 0

    @property
    def is_slow(self) -> bool:
        """Whether the read took as long as one that waits for a disk."""
        return self.read_seconds > _SLOW_SECONDS + self.size / _SLOW_BYTES_PER_SECOND


class ReadAhead:
    """Decides whether the system is to read ahead: a request costs half a read of a file in the page cache."""

    def __init__(self) -> None:
        """Starts without, until reads are slow."""
        self._slow_reads = 0
        self._expected_reads = 0

    @property
    def is_on(self) -> bool:
        """Whether the system is to read ahead for the next read."""
        return self._expected_reads > 0

    def note(self, is_slow: bool) -> None:
        """Notes whether a read was slow."""
        self._expected_reads -= self.is_on
        self._slow_reads = self._slow_reads + 1 if is_slow else 0
        if self._slow_reads == SLOW_READS:
            self._expected_reads, self._slow_reads = EXPECTED_READS, 0


@dataclasses.dataclass(frozen=True)
class ImageOutcome:
    """What became of the images of a shard.

    Attributes:
        has_record: bool array [n].
        image_bytes: bytes of the images in the records.
        rejects: the images without a record that are no part of `skipped`.
        skipped: the images that are left out as they are not there; none unless these are to be skipped.
        reencoded: images not copied byte for byte, by source format.
        image_counts: images in the records, by name as in `ShardAccount.image_counts`.
        masks: what became of the masks of their boxes.
        read_seconds: time that threads waited for the bytes of images.
    """

    has_record: np.ndarray
    image_bytes: int
    rejects: tuple[Rejected, ...]
    reencoded: Mapping[str, int]
    image_counts: Mapping[str, int]
    masks: MaskOutcome
    skipped: tuple[Rejected, ...] = ()
    read_seconds: float = 0.0

    @classmethod
    def all_written(cls, joined: JoinedShard, facts: ImageFacts) -> "ImageOutcome":
        """Returns the outcome of a shard whose images are all there, for a dry run."""
        has_record = np.ones(len(joined.image_ids), bool)
        masks = MaskOutcome.all_written(joined.masks)
        return cls(has_record, 0, (), {}, count_facts(facts, has_record, Counter()), masks)

    @property
    def records(self) -> int:
        """Number of images with a record."""
        return int(np.count_nonzero(self.has_record))

    def find_skipped(self, image_ids: np.ndarray) -> np.ndarray:
        """Returns whether each image of the shard is skipped, bool [n]; `image_ids` are their keys, uint64 [n]."""
        return np.isin(image_ids, id_keys(item.image_id.encode() for item in self.skipped))

    def skip_missing(self) -> "ImageOutcome":
        """Returns the outcome in which images that are not there are skipped, and are no rejects."""
        rejects = tuple(item for item in self.rejects if item.reason not in NOT_THERE)
        skipped = tuple(item for item in self.rejects if item.reason in NOT_THERE)
        return dataclasses.replace(self, rejects=rejects, skipped=skipped)


class ShardImages:
    """Iterates over the readable images of a shard, and notes what became of all of them.

    Attributes:
        records: images that were readable until now.
        image_bytes: their bytes.
    """

    def __init__(self, job: ShardJob, joined: JoinedShard, facts: ImageFacts):
        """Reads no image yet.

        Args:
            job: the conversion.
            joined: the shard.
            facts: facts of its images.
        """
        self._job = job
        self._facts = facts
        self._rotations = facts.rotations.tolist()
        self._rotation_texts = joined.text_columns.get(ROTATION_COLUMN, ())
        self._image_ids = joined.id_texts
        self._reader = job.source.open_shard(joined)
        self._masks = None
        if job.masks is not None and joined.masks is not None:
            self._masks = ShardMasks(job.masks, joined.masks, joined.annotations[Table.BOXES])
        self._has_record = np.zeros(len(self._image_ids), bool)
        self._read_seconds = 0.0
        self._rejects: list[Rejected] = []
        self._reencoded: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self.records = 0
        self.image_bytes = 0

    @property
    def reject_count(self) -> int:
        """Images and masks that could not be read until now."""
        rejects = sum(not (self._job.skips_missing and item.reason in NOT_THERE) for item in self._rejects)
        return rejects + (self._masks.fault_count if self._masks else 0)

    def __iter__(self) -> Iterator[tuple[int, PreparedImage, ImageMasks | None]]:
        for index, loaded in enumerate(self._load_all()):
            self._read_seconds += loaded.read_seconds
            if loaded.rejected is not None:
                self._note_reject(index, loaded.rejected)
            if loaded.image is not None:
                self._note_record(index, loaded.image, loaded.masks)
                yield index, loaded.image, loaded.masks.masks

    def outcome(self) -> ImageOutcome:
        """Returns what became of the images, once all are iterated over."""
        return ImageOutcome(
            has_record=self._has_record,
            image_bytes=self.image_bytes,
            rejects=tuple(self._rejects),
            reencoded=dict(self._reencoded),
            image_counts=count_facts(self._facts, self._has_record, self._changes),
            masks=self._masks.outcome() if self._masks else MaskOutcome.all_written(None),
            read_seconds=self._read_seconds,
        )

    def _load_all(self) -> Iterator[LoadedImage]:
        if self._needs_no_threads():
            return self._load_expected()
        is_remote = self._is_remote()
        return map_in_order(
            self._load,
            range(len(self._image_ids)),
            threads=self._job.read_threads or (REMOTE_THREADS if is_remote else LOCAL_THREADS),
            max_bytes=PREFETCH_BYTES,
            # To wait for a network costs more than to hand over a task.
            items_per_task=1 if is_remote else ITEMS_PER_TASK,
            size_of=lambda loaded: loaded.size,
            budget=_BUDGET,
        )

    def _is_remote(self) -> bool:
        masks = self._job.masks
        return self._job.source.is_remote or (masks is not None and masks.is_remote)

    def _needs_no_threads(self) -> bool:
        """Returns whether the system can read ahead.

        Threads would only wait for the interpreter then, and cost more than they save.
        """
        if self._job.read_threads or self._is_remote() or self._job.has_spare_cores:
            return False
        return not len(self._image_ids) or self._reader.expect(0)

    def _load_expected(self) -> Iterator[LoadedImage]:
        """Loads images in this thread, while the system reads the next ones if the reads have to wait."""
        count = len(self._image_ids)
        ahead = ReadAhead()
        for index in range(count):
            if ahead.is_on and index + EXPECTED < count:
                self._reader.expect(index + EXPECTED)
            loaded = self._load(index)
            ahead.note(loaded.is_slow)
            yield loaded

    def _load(self, index: int) -> LoadedImage:
        """Reads and checks an image and its masks; may be called from several threads.

        Raises:
            InputError: if the memory does not hold the decoded image.
        """
        try:
            return self._load_whole(index)
        except MemoryError:
            problem = f"the image {self._image_ids[index]} takes more memory than there is"
            remedy = "Give a lower --max_image_pixels or --max_image_bytes, which rejects the image, or fewer --workers"
            raise InputError(self._reader.path(index), problem, remedy) from None

    def _load_whole(self, index: int) -> LoadedImage:
        began = time.monotonic()
        seconds = 0.0
        try:
            degrees = self._find_turn(index)
            data = self._reader.read(index)
            seconds = time.monotonic() - began
            image = prepare(data, self._job.image_options, degrees)
        except ImageRejected as rejected:
            return LoadedImage(None, LoadedMasks(), rejected, seconds)
        if self._masks is None:
            return LoadedImage(image, LoadedMasks(), None, seconds)
        return LoadedImage(image, self._masks.load(index, image.width, image.height, degrees), None, seconds)

    def _find_turn(self, index: int) -> int:
        """Returns the degrees by which an image is turned.

        Raises:
            ImageRejected: if the metadata has no valid angle.
        """
        rotation = self._rotations[index]
        if rotation == NO_ANGLE:
            given = self._rotation_texts[index].as_py().decode("utf-8", "replace")
            detail = f"{ROTATION_COLUMN}={given!r} in the metadata; valid are empty and {ANGLES}"
            raise ImageRejected(Reject.BAD_ROTATION, detail)
        return rotation if self._job.turn_images and rotation > 0 else 0

    def _note_reject(self, index: int, rejected: ImageRejected) -> None:
        image_id = self._image_ids[index]
        self._rejects.append(
            Rejected("images", self._reader.path(index), -1, image_id, rejected.reason, rejected.detail)
        )

    def _note_record(self, index: int, image: PreparedImage, masks: LoadedMasks) -> None:
        self._has_record[index] = True
        self.records += 1
        self.image_bytes += len(image.encoded)
        if image.action == "reencoded":
            self._reencoded[image.source_format] += 1
        self._changes["stripped"] += image.action == "stripped"
        self._changes["resized"] += image.resized
        self._changes["turned"] += image.turned
        if self._masks is not None:
            self._masks.note_written(index, masks)


def count_facts(facts: ImageFacts, has_record: np.ndarray, changes: Mapping[str, int]) -> dict[str, int]:
    """Returns ShardAccount.image_counts, without zeros.

    Args:
        facts: facts of the images of a shard.
        has_record: bool array [n].
        changes: images by how they were changed.
    """
    counts = {name: int(np.count_nonzero(mask & has_record)) for name, mask in facts.counted.items()}
    return {name: count for name, count in {**changes, **counts}.items() if count}
