"""Masks as PNGs in files named by a pattern, or in archives."""

import dataclasses

from oi_tfrecord import storage
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.archive_places import ImageFiles
from oi_tfrecord.join.pair_masks import MaskRules
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource, expand_pattern


@dataclasses.dataclass(frozen=True)
class MaskSource:
    """The masks of a split.

    Attributes:
        rules: which boxes and masks without a partner are kept.
        files: its pattern holds `{mask_path}`, and may hold `{split}` and `{digit}`, the first hex digit of the name,
            by which the published archives are divided; the pattern is empty if archives are given.
        archives: archives of the masks, none if a pattern is given.
        max_pixels: largest width times height that is decoded.
    """

    rules: MaskRules
    files: PatternSource
    archives: ArchiveSource
    max_pixels: int

    @property
    def is_remote(self) -> bool:
        """Whether the masks are not on this machine."""
        return not storage.is_local(self.files.pattern) if self.files.pattern else self.archives.is_remote

    def paths(self, mask_path: str) -> list[str]:
        """Returns the paths at which the file with this MaskPath may be."""
        expanded = expand_pattern(self.files.pattern, self.files.split, mask_path)
        return [path.replace("{mask_path}", mask_path) for path in expanded]

    def read(self, mask_path: str, index: int, places: ImageFiles | None) -> bytes:
        """Returns the bytes of a mask.

        Args:
            mask_path: its MaskPath.
            index: of the mask in `places`.
            places: places of the shard's masks in archives; None if no archive holds any.

        Raises:
            ImageRejected: if the mask is missing, or cannot be read.
        """
        if self.files.pattern:
            return self.files.read_first(self.paths(mask_path))
        if places is None or (archive := int(places.archives[index])) < 0:
            detail = f"{len(self.archives.archives)} archives do not hold {mask_path}"
            raise ImageRejected(Reject.IMAGE_MISSING, detail)
        # Zips encode other characters in several ways.
        name = mask_path.rpartition("/")[2] if mask_path.isascii() else ""
        return self.archives.read(archive, places.rows[index], name)
