"""Plans what is kept of tar.gz archives while a conversion runs: how much disk it takes, and whether that is there."""

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence

from zlib_ng import zlib_ng

from oi_tfrecord import storage
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.sources.archive_format import ArchiveKind
from oi_tfrecord.sources.archive_listing import ArchiveFile

_CHOOSES_BELOW = 0.5
"""Share of the images in the archives below which the tables are read twice, to keep the images that are chosen."""

_SAMPLE_BYTES, _MOST_TIMES = 1 << 20, 16

_GZIP_BITS = 31


@dataclasses.dataclass(frozen=True)
class KeptPlan:
    """What a conversion keeps of its tar.gz archives, estimated.

    Attributes:
        archives: number of these archives.
        folder: where their images are kept.
        kept_bytes: bytes of the images.
        chooses: whether the chosen images alone are kept.
    """

    archives: int
    folder: str
    kept_bytes: int
    chooses: bool


def plan_kept(archives: Sequence[ArchiveFile], chosen_bytes: int, folder: str) -> KeptPlan:
    """Estimates what is kept of tar.gz archives.

    Args:
        archives: all archives of a conversion.
        chosen_bytes: bytes of the images that it selects.
        folder: where images are kept.
    """
    packed = [archive for archive in archives if archive.kind is ArchiveKind.TAR_GZ]
    unpacked = sum(map(estimate_unpacked, packed))
    all_images = sum(archive.size for archive in archives if archive.listing is Table.IMAGE_FILES)
    chooses = 0 < chosen_bytes < _CHOOSES_BELOW * all_images
    kept_bytes = int(unpacked * chosen_bytes / all_images) if chooses else unpacked
    return KeptPlan(len(packed), folder, kept_bytes, chooses)


def estimate_unpacked(archive: ArchiveFile) -> int:
    """Returns about how many bytes a tar.gz unpacks to, by its first bytes."""
    data = storage.read_range(archive.path, 0, _SAMPLE_BYTES)
    try:
        output = zlib_ng.decompressobj(_GZIP_BITS).decompress(data, _MOST_TIMES * _SAMPLE_BYTES)
    except zlib_ng.error:  # type: ignore[misc]
        return archive.size
    return archive.size * len(output) // len(data)


def describe_kept(kept: KeptPlan, output_bytes: int) -> str:
    """Returns a line that says what is kept where, and how much room there is.

    Args:
        kept: the plan.
        output_bytes: bytes of the records that are still to be written beside the images; 0 if they go elsewhere.

    Raises:
        ConfigError: if there is not enough room.
    """
    which = "chosen images" if kept.chooses else "images"
    line = (
        f"plan       {which} of {kept.archives:,} tar.gz archives are kept in {kept.folder} until they are in records"
    )
    size = format_size(kept.kept_bytes)
    if not storage.is_local(kept.folder):
        return f"{line}: about {size}"
    there, free = find_room(kept.folder)
    needed = max(kept.kept_bytes - there, 0) + output_bytes
    if needed > free:
        and_records = f" and {format_size(output_bytes)} for the records" if output_bytes else ""
        problem = (
            f"tar.gz takes about {size} of disk for its {which}{and_records} while the conversion runs, and "
            f"{kept.folder} has {format_size(free)}; free some, choose fewer images (--classes, --max_images), give an "
            "--output_dir on a larger disk, or recompress the archives to tar or zip, which are read in place"
        )
        raise ConfigError("archives", problem)
    return f"{line}: about {size} of {format_size(free)} that are free"


def find_room(folder: str) -> tuple[int, int]:
    """Returns the bytes of the files in a local folder, and those that are free where it is or will be."""
    path = pathlib.Path(folder)
    there = sum(file.stat().st_size for file in path.glob("*.images")) if path.is_dir() else 0
    while not path.exists():
        path = path.parent
    return there, shutil.disk_usage(path).free
