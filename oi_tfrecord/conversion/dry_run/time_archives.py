"""Times how archives are listed and how images are read from them, on a part of one of each kind."""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.dry_run.predict import ListingTiming
from oi_tfrecord.conversion.dry_run.time_storage import Extent, drop_cached, find_cached, spread_extents
from oi_tfrecord.conversion.list_archive import make_file_rows
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.batches import partition
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.filters import RowFilters
from oi_tfrecord.openimages.schema import WINDOW, Listing, RangeKey
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.archive_listing import ArchiveListing, Found, read_kind
from oi_tfrecord.sources.archives import ArchiveSource

_LEAST_SECONDS = 1.0

_SAMPLED_IMAGES = 256

_PROBED_PLACES = 32


@dataclasses.dataclass(frozen=True)
class ListedPart:
    """What was listed of an archive.

    Attributes:
        file: the archive.
        images: that were found.
        share: of the archive, 0 to 1.
        seconds: that it took.
        shuffled_bytes: of the rows.
        was_cached: whether most of a local archive was in memory before.
    """

    file: InputFile
    images: tuple[Found, ...]
    share: float
    seconds: float
    shuffled_bytes: int
    was_cached: bool = False

    @property
    def whole(self) -> Extent:
        """The archive."""
        return Extent(self.file.path, 0, self.file.size)


def list_part(job: RangeJob, file: InputFile, least_seconds: float = _LEAST_SECONDS) -> ListedPart:
    """Lists an archive from its start, as a conversion does, and times it.

    If most of a local archive is not in memory, the listing starts without any of it: else the start, of which every
    estimate reads, would stand for the rest.

    Args:
        job: the conversion.
        file: the archive.
        least_seconds: after which no more is read, unless the archive has ended. Of a zip all is listed, as its
            directory is read as a whole.

    Raises:
        InputError: if nothing of it can be listed.
    """
    was_cached = False
    if storage.is_local(file.path):
        cached = find_cached(spread_extents([(file.path, file.size)], _PROBED_PLACES, 1))
        was_cached = sum(cached) >= len(cached) / 2
        if not was_cached:
            drop_cached([Extent(file.path, 0, file.size)])
    listing = ArchiveListing(file)
    images: list[Found] = []
    passed, is_over = 0, False
    began = time.perf_counter()
    for found in listing.images():
        # What is listed in one go with what was read before costs next to nothing, and belongs to it.
        if is_over and listing.passed != passed:
            break
        images.append(found)
        passed = listing.passed
        is_over = time.perf_counter() > began + least_seconds
    else:
        passed = file.size
    with_names = file.table == Listing.MASK_FILES
    rows = make_file_rows(images, 0, listing.members, job, with_names=with_names)
    key = RangeKey(file.table, file.number, 0)
    shuffled_bytes = sum(len(data) for _, data in partition(key, rows, 1, frozenset()))
    seconds = time.perf_counter() - began
    return ListedPart(file, tuple(images), passed / max(file.size, 1), seconds, shuffled_bytes, was_cached)


def time_listing(job: RangeJob, archives: Sequence[InputFile]) -> tuple[ListingTiming, ListedPart | None]:
    """Estimates what it takes to list archives from the first one of each kind.

    Args:
        job: the conversion.
        archives: of images and masks.

    Returns:
        (the estimate, the part of an archive of images that was listed, None without any).

    Raises:
        InputError: if an archive can be listed from its very start no further.
    """
    kinds: defaultdict[tuple[str, str], list[InputFile]] = defaultdict(list)
    for file in archives:
        kinds[str(file.table), read_kind(file.path)].append(file)
    parts = {key: list_part(job, files[0]) for key, files in kinds.items()}
    # How many times the listed part the archives of a kind are, by their bytes.
    times = {
        key: sum(file.size for file in files) / max(parts[key].share * files[0].size, 1) for key, files in kinds.items()
    }
    seconds = {key: part.seconds * times[key] for key, part in parts.items()}
    total = sum(seconds.values())
    slowest = max(
        (seconds[key] * max(file.size for file in files) / max(sum(file.size for file in files), 1))
        for key, files in kinds.items()
    )
    timing = ListingTiming(
        archives=len(archives),
        seconds=total,
        largest=slowest / total if total else 0.0,
        shuffled_bytes=round(sum(part.shuffled_bytes * times[key] for key, part in parts.items())),
    )
    of_images = (part for part in parts.values() if part.file.table == Listing.IMAGE_FILES)
    return timing, next(of_images, None)


class ArchiveSample:
    """Images of a listed part, read as a conversion reads them."""

    def __init__(self, source: ArchiveSource, job: RangeJob, part: ListedPart):
        """Initializes the instance.

        Args:
            source: the archives.
            job: the conversion.
            part: images of one of them.
        """
        self._source = source
        self._archive, self._path = part.file.number, part.file.path
        images = part.images[:_SAMPLED_IMAGES]
        rows = make_file_rows(images, 0, len(images), dataclasses.replace(job, filters=RowFilters()))
        self._rows: np.ndarray = rows.rows
        windows = rows.texts.get(WINDOW)
        self._windows = [b""] * len(images) if windows is None else windows.to_pylist()
        self.stored_bytes = float(np.mean(self._rows["stored"])) if len(self._rows) else 0.0

    @property
    def extents(self) -> list[Extent]:
        """Where the images are; empty if that is not this machine."""
        places = zip(self._rows["offset"].tolist(), self._rows["stored"].tolist(), strict=True)
        return [Extent(self._path, *place) for place in places] if storage.is_local(self._path) else []

    def read(self, image_id: str) -> bytes:
        """Returns the bytes of one of the images in the place of any.

        Raises:
            ImageRejected: if it cannot be read, or there is none.
        """
        if not len(self._rows):
            raise ImageRejected(Reject.IMAGE_MISSING, "no image is at the start of the archives")
        index = int(image_id, 16) % len(self._rows)
        return self._source.read(self._archive, self._rows[index], self._windows[index])
