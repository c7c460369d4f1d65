"""How often images are to be repeated in training so that rare classes are seen often enough.

Source: LVIS (Gupta, Dollár, Girshick 2019, "Repeat factor sampling"): the factor of a class is max(1, sqrt(t / f)),
where f is the share of images that have it and t a threshold; that of an image is the highest of its classes.
"""

from collections.abc import Iterable

import numpy as np

from oi_tfrecord.derive.select_images import ImageClasses
from oi_tfrecord.openimages.image_id import format_id

WEIGHTS_HEADER = b"ImageID,Weight\n"


def class_factors(images_per_class: np.ndarray, images: int, threshold: float) -> np.ndarray:
    """Returns the repeat factor of each class.

    Args:
        images_per_class: int array [classes], images that have each class.
        images: all of them.
        threshold: share of images, above 0, below which a class counts as rare.

    Returns:
        float64 array [classes], at least 1; 1 where there is no image.
    """
    shares = images_per_class / max(images, 1)
    return np.sqrt(np.maximum(threshold / np.where(shares > 0, shares, threshold), 1.0))


def image_factors(batch: ImageClasses, factors: np.ndarray) -> np.ndarray:
    """Returns the repeat factor of each image, float64 array [images].

    Args:
        batch: the classes of the images.
        factors: of each class by code.
    """
    if not len(batch):
        return np.zeros(0)
    return np.maximum.reduceat(factors[batch.codes], batch.starts[:-1])


def format_weights(image_ids: Iterable[int], factors: Iterable[float]) -> bytes:
    """Returns a line of CSV for each image: ImageID and weight with six decimals."""
    pairs = zip(image_ids, factors, strict=True)
    return "".join(f"{format_id(image_id)},{factor:.6f}\n" for image_id, factor in pairs).encode()
