"""Weights of images: how often each is to be repeated in training so that rare classes are seen often enough.

Source: LVIS (Gupta, Dollár, Girshick 2019, "Repeat factor sampling"): the factor of a class is max(1, sqrt(t / f)),
where f is the share of images that have it and t a threshold; the factor of an image is the highest of its classes.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import weights_file
from oi_tfrecord.derive.plan import DerivedPlan
from oi_tfrecord.derive.select_images import ImageBatch, known_class_ids, read_batches
from oi_tfrecord.storage.csv_text import format_csv_line

WEIGHTS_HEADER = b"ImageID,Weight\n"


def write_weights(plan: DerivedPlan, threshold: float) -> dict[str, Any]:
    """Writes the weights of the images that are taken.

    Args:
        plan: a split of one source, whose shards are indexed.
        threshold: share of images below which a class counts as rare.

    Returns:
        What the manifest says about the file.
    """
    known_ids = known_class_ids(plan.label_map)
    images_per_class, images = _count_images(plan, known_ids)
    factors = class_factors(images_per_class, images, threshold)
    # Images without a class are not repeated, however few they are.
    factors[0] = 1.0
    name = weights_file(plan.split)
    digest, size = hashlib.sha256(), 0
    with storage.create(storage.join(plan.output_dir, name), plan.work.temporary) as stream:
        for piece in _format_pieces(plan, known_ids, factors):
            stream.write(piece)
            digest.update(piece)
            size += len(piece)
    return {
        "file": name,
        "bytes": size,
        "sha256": digest.hexdigest(),
        "repeat_threshold": threshold,
        "by": plan.job.by,
        "classes": [
            {"id": label_id, "images": count, "weight": round(factor, 6)}
            for label_id, count, factor in zip(
                known_ids[1:].tolist(), images_per_class[1:].tolist(), factors[1:].tolist(), strict=True
            )
        ],
    }


def class_factors(images_per_class: np.ndarray, images: int, threshold: float) -> np.ndarray:
    """Returns the repeat factor of each class.

    Args:
        images_per_class: int array [classes], number of images that have each class.
        images: number of all images.
        threshold: share of images, above 0, below which a class counts as rare.

    Returns:
        float64 array [classes], at least 1; 1 where a class has no image.
    """
    shares = images_per_class / max(images, 1)
    return np.sqrt(np.maximum(threshold / np.where(shares > 0, shares, threshold), 1.0))


def image_factors(batch: ImageBatch, factors: np.ndarray) -> np.ndarray:
    """Returns the repeat factor of each image, float64 array [images].

    Args:
        batch: the images and their classes.
        factors: of each class, by code.
    """
    if not len(batch):
        return np.zeros(0)
    return np.maximum.reduceat(factors[batch.codes], batch.starts[:-1])


def format_weights(image_ids: Iterable[str], factors: Iterable[float]) -> bytes:
    """Returns a line of CSV for each image: ImageID, and weight with six decimals."""
    pairs = zip(image_ids, factors, strict=True)
    return "".join(format_csv_line((image_id, f"{factor:.6f}")) for image_id, factor in pairs).encode()


def _count_images(plan: DerivedPlan, known_ids: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the number of images that are taken, by class code and of all."""
    images_per_class = np.zeros(len(known_ids), np.int64)
    images = 0
    for batch in read_batches(plan, known_ids):
        keep_mask = plan.job.index.read_selection(0, batch.shard, len(batch))
        images_per_class += np.bincount(batch.codes[keep_mask[batch.image_of_code]], minlength=len(known_ids))
        images += int(keep_mask.sum())
    return images_per_class, images


def _format_pieces(plan: DerivedPlan, known_ids: np.ndarray, factors: np.ndarray) -> Iterator[bytes]:
    yield WEIGHTS_HEADER
    for batch in read_batches(plan, known_ids):
        keep_mask = plan.job.index.read_selection(0, batch.shard, len(batch))
        weights = image_factors(batch, factors)
        image_ids = plan.job.index.read(0, batch.shard).id_texts(keep_mask)
        yield format_weights(image_ids, weights[keep_mask].tolist())
