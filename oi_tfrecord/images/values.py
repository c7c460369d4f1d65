"""The options of an image's preparation, the prepared image, and the rejection of an image."""

import dataclasses
from typing import Final, Literal, get_args

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.reasons import Reject

Chroma = Literal["4:4:4", "4:2:2", "4:2:0"]

MODES: Final = ("copy", "verify", "resize")

CHROMAS: Final[tuple[str, ...]] = get_args(Chroma)


class ImageRejected(Exception):
    """An image that does not reach a record."""

    def __init__(self, reason: Reject, detail: str):
        """Takes the reason apart from its detail, as rejects are counted by reason.

        Args:
            reason: why the image is rejected.
            detail: what is wrong with this image, for the list of rejects.
        """
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """How images are checked and encoded.

    Attributes:
        mode: `copy` reads the header of a plain JPEG and looks for its end; `verify` also decodes the image;
            `resize` scales down an image that is larger than `max_side` or `pixel_budget`, and copies the rest.
        max_bytes: largest file accepted.
        max_pixels: largest width times height accepted, checked before the image is decoded.
        quality: JPEG quality of re-encoded images, 1 to 100.
        chroma: chroma subsampling of re-encoded images. The default is none (4:4:4), as the source may have full
            chroma, and few images are re-encoded unless they are resized.
        max_side: longest side of a resized image in pixels; 0 for no bound.
        pixel_budget: largest width times height of a resized image; 0 for no bound.
        strip_metadata: whether a copied JPEG loses its metadata (`jpeg_metadata`); a re-encoded one has none.

    Raises:
        ConfigError: if a value is not allowed.
    """

    mode: str = "copy"
    max_bytes: int = 64 << 20
    max_pixels: int = 178_956_970
    quality: int = 95
    chroma: str = "4:4:4"
    max_side: int = 0
    pixel_budget: int = 0
    strip_metadata: bool = False

    def __post_init__(self) -> None:
        for field, choices in (("mode", MODES), ("chroma", CHROMAS)):
            value = getattr(self, field)
            if value not in choices:
                problem = f"must be {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}"
                raise ConfigError(field, problem + nearest(str(value), choices))
        for field, least in (("max_bytes", 1), ("max_pixels", 1), ("quality", 1), ("max_side", 0), ("pixel_budget", 0)):
            value = getattr(self, field)
            if type(value) is not int or value < least:
                raise ConfigError(field, f"must be a whole number from {least}, not {value!r}")
        if self.quality > 100:
            raise ConfigError("quality", f"must be at most 100, not {self.quality}")


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that is ready for a record.

    Attributes:
        encoded: a JPEG; the very object that `prepare` was given if it was copied.
        width: pixels of `encoded`, as stored.
        height: pixels of `encoded`, as stored.
        sha256: hex digest of `encoded`, lower case.
        action: how the JPEG was made; `stripped` is a copy of all but the metadata.
        source_format: format of the input: JPEG, MPO, PNG, GIF, WEBP or BMP.
        resized: whether it was scaled down.
        turned: whether it was turned by the angle that the release gives.
    """

    encoded: bytes
    width: int
    height: int
    sha256: str
    action: Literal["copied", "stripped", "reencoded"]
    source_format: str
    resized: bool = False
    turned: bool = False
