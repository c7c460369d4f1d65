"""Trains a small detector in Keras on records, and writes what it finds in the validation split.

    oi-tfrecord sample --output_dir=sample/data --train_images=1000 --validation_images=200
    oi-tfrecord convert --config=configs/sample.yaml --split=train
    oi-tfrecord convert --config=configs/sample.yaml --split=validation
    python examples/keras/train.py sample/records --detections=detections.json
    python examples/draw_detections.py sample/records detections.json detections.jpg

The detector is a small FCOS (Tian et al. 2019, arxiv.org/abs/1904.01355) of one scale: each cell of a grid says of
which class the object is whose middle it lies in, and how far the object's four sides are from the cell's centre.
"""

import argparse
import json
import os
import pathlib
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from keras import layers, ops

import oi_tfrecord
from oi_tfrecord.dataset.label_map import read_label_map

IMAGE_SIZE = (128, 128)
GRID = 16
BATCH = 16
MIDDLE = 1.5 / GRID
"""How far the middle of an object reaches from its centre, as a fraction of the image's side."""


def cell_centres() -> tf.Tensor:
    """Returns the (y, x) of each cell's centre, float32 [GRID * GRID, 2], normalised, row by row."""
    axis = (tf.range(GRID, dtype=tf.float32) + 0.5) / GRID
    return tf.reshape(tf.stack(tf.meshgrid(axis, axis, indexing="ij"), axis=-1), (-1, 2))


def training_pair(batch: dict[str, tf.Tensor], ids: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the images of a batch, half of it mirrored, and the answer that the model should give for each cell.

    Args:
        batch: What `oi_tfrecord.load` gives; boxes are padded with zeros.
        ids: Ids of the label map, in the order of the model's classes.

    Returns:
        uint8 [batch, height, width, 3], and float32 [batch, cells, classes + 4]: 1 for the class of the object, then
        the normalised distances to its top, left, bottom and right; all 0 where there is none.
    """
    images, boxes = batch["image"], batch["boxes"]
    half = BATCH // 2
    images = tf.concat([images[:half], images[half:, :, ::-1]], axis=0)
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    mirrored = tf.stack([ymin, 1 - xmax, ymax, 1 - xmin], axis=-1)
    boxes = tf.concat([boxes[:half], mirrored[half:]], axis=0)[:, None]
    labels, centres = batch["labels"], cell_centres()[None, :, None]
    sides = tf.concat([centres - boxes[..., :2], boxes[..., 2:] - centres], axis=-1)
    offset = tf.abs(centres - (boxes[..., :2] + boxes[..., 2:]) / 2)
    is_middle = (tf.reduce_min(sides, -1) > 0) & (tf.reduce_max(offset, -1) < MIDDLE) & (labels[:, None] > 0)
    # Where middles overlap the smaller object is meant: it has fewer cells.
    area = tf.where(is_middle, tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], -1), 2.0)
    chosen = tf.one_hot(tf.argmin(area, -1), tf.shape(area)[-1]) * tf.cast(is_middle, tf.float32)
    classes = tf.cast(labels[..., None] == tf.constant(ids, tf.int64), tf.float32)
    return images, tf.concat([chosen @ classes, tf.einsum("bcn,bcns->bcs", chosen, sides)], axis=-1)


def detection_loss(truth: tf.Tensor, said: tf.Tensor) -> tf.Tensor:
    """Returns the focal loss of the classes plus 1 - IoU of the boxes, per cell that has an object."""
    wanted, logits = truth[..., :-4], said[..., :-4]
    surprise = ops.square(wanted - ops.sigmoid(logits))
    class_loss = ops.sum(surprise * ops.binary_crossentropy(wanted, logits, from_logits=True))

    def area(distances: tf.Tensor) -> tf.Tensor:
        return (distances[..., 0] + distances[..., 2]) * (distances[..., 1] + distances[..., 3])

    true_sides, sides = truth[..., -4:], ops.sigmoid(said[..., -4:])
    # Both boxes contain the cell's centre, so this is their intersection.
    common = area(ops.minimum(true_sides, sides))
    has_object = ops.max(wanted, axis=-1)
    box_loss = ops.sum(has_object * (1 - common / (area(true_sides) + area(sides) - common)))
    return (class_loss + box_loss) / ops.maximum(ops.sum(has_object), 1)


def build_model(num_classes: int) -> keras.Model:
    """Returns a convolutional net from uint8 images to [batch, cells, classes + 4]."""

    def convolve(x: tf.Tensor, filters: int, stride: int = 1) -> tf.Tensor:
        x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    image = keras.Input((*IMAGE_SIZE, 3), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    levels = []
    for filters in (16, 32, 64, 128):
        x = convolve(convolve(x, filters, stride=2), filters)
        levels.append(x)
    x = layers.Concatenate()([levels[-2], layers.UpSampling2D()(convolve(x, 64))])
    x = convolve(convolve(x, 64), 64)
    # Says at first that almost no cell has an object, so that the many empty cells do not drown the others.
    rare = keras.initializers.Constant(-4.0)
    classes = layers.Conv2D(num_classes, 1, bias_initializer=rare)(x)
    sides = layers.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(-1.5))(x)
    return keras.Model(image, layers.Reshape((GRID * GRID, -1))(layers.Concatenate()([classes, sides])))


def train(records: str, split: str, ids: Sequence[int], steps: int) -> keras.Model:
    """Trains a detector on a split, and prints how the loss falls."""
    keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    train = oi_tfrecord.load(
        records, split, image_size=IMAGE_SIZE, batch_size=BATCH, drop_remainder=True,
        shuffle_buffer=1000, seed=1,
    )  # fmt: skip
    pairs = train.map(lambda batch: training_pair(batch, ids)).repeat().take(steps).prefetch(2)
    model = build_model(len(ids))
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=4e-3, warmup_steps=50)
    model.compile(keras.optimizers.Adam(rate), loss=detection_loss)
    # Keras prints the mean of an epoch's losses.
    tenth = max(1, steps // 10)
    history = model.fit(pairs, epochs=steps // tenth, steps_per_epoch=tenth, shuffle=False, verbose=2).history["loss"]
    print(f"loss: {history[0]:.3f} in the first tenth of the steps, {history[-1]:.3f} in the last")
    return model


def detect(model: keras.Model, records: str, split: str, ids: Sequence[int]) -> dict[str, dict[str, list]]:
    """Returns what is found in each image of a split, by its ImageID.

    An image has `boxes` (rows of ymin, xmin, ymax, xmax, normalised), `scores` (0 to 1) and `classes` (label map ids).
    """
    found = {}
    for batch in oi_tfrecord.load(records, split, image_size=IMAGE_SIZE, batch_size=BATCH):
        said = model(batch["image"], training=False)
        sides, centres = tf.sigmoid(said[..., -4:]), cell_centres()
        boxes = tf.concat([centres - sides[..., :2], centres + sides[..., 2:]], axis=-1)
        kept = tf.image.combined_non_max_suppression(
            boxes[:, :, None],
            tf.sigmoid(said[..., :-4]),
            max_output_size_per_class=10,
            max_total_size=30,
            score_threshold=0.05,
        )
        for index, image_id in enumerate(batch["image_id"].numpy()):
            count = int(kept.valid_detections[index])
            found[image_id.decode()] = {
                "boxes": kept.nmsed_boxes[index, :count].numpy().tolist(),
                "scores": kept.nmsed_scores[index, :count].numpy().tolist(),
                "classes": [ids[int(number)] for number in kept.nmsed_classes[index, :count]],
            }
    return found


def main() -> None:
    """Trains, writes the detections and prints their score by the protocol of Open Images V2."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("records", help="Folder with the splits train and validation.")
    flags.add_argument("--steps", type=int, default=600, help=f"Batches of {BATCH} images to train on.")
    flags.add_argument("--detections", type=pathlib.Path, required=True, help="JSON file to write.")
    options = flags.parse_args()
    label_map = read_label_map(options.records)
    if label_map is None:
        flags.error(f"there is no label map in {options.records}")
    ids = [item.id for item in label_map.items]

    model = train(options.records, "train", ids, options.steps)
    found = detect(model, options.records, "validation", ids)
    options.detections.write_text(json.dumps(found))
    print(f"detections: {sum(len(own['scores']) for own in found.values())} in {len(found)} images")
    scored = oi_tfrecord.EvaluateOptions(output_dir=options.records, detections=str(options.detections))
    print(f"mAP@0.5: {oi_tfrecord.evaluate(scored).summary['mAP@0.5IOU']:.3f}")


if __name__ == "__main__":
    main()
