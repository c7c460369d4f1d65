"""Writes what a trained RetinaNet of Model Garden finds in a split, as JSON.

Run it with the Python that has Model Garden; train.sh does.
"""

import argparse
import json
import pathlib

import tensorflow as tf
from official.core import exp_factory, task_factory  # type: ignore[import-not-found]
from official.modeling import hyperparams  # type: ignore[import-not-found]
from official.vision import registry_imports  # type: ignore[import-not-found]  # noqa: F401
from official.vision.ops import preprocess_ops  # type: ignore[import-not-found]

BATCH = 16


def read_images(pattern: str, size: list[int]) -> tf.data.Dataset:
    """Returns batches of (ImageID, image as the model takes it, height, width, scale of the image)."""

    def parse(data: tf.Tensor) -> tuple[tf.Tensor, ...]:
        spec = {name: tf.io.FixedLenFeature((), tf.string) for name in ("image/encoded", "image/source_id")}
        record = tf.io.parse_single_example(data, spec)
        image = tf.io.decode_jpeg(record["image/encoded"], channels=3)
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        image, info = preprocess_ops.resize_and_crop_image(
            preprocess_ops.normalize_image(image), size, padded_size=size, aug_scale_min=1.0, aug_scale_max=1.0
        )
        return record["image/source_id"], image, info, shape

    return tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(pattern))).map(parse).batch(BATCH)


def main() -> None:
    """Restores the last checkpoint, and writes the detections."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--experiment", required=True)
    flags.add_argument("--model_dir", required=True, help="Folder of the checkpoints and of params.yaml.")
    flags.add_argument("--detections", type=pathlib.Path, required=True, help="JSON file to write.")
    options = flags.parse_args()
    config = exp_factory.get_exp_config(options.experiment)
    config = hyperparams.override_params_dict(config, f"{options.model_dir}/params.yaml", is_strict=True)
    model = task_factory.get_task(config.task).build_model()
    checkpoint = tf.train.latest_checkpoint(options.model_dir)
    tf.train.Checkpoint(model=model).restore(checkpoint).expect_partial()
    size = config.task.model.input_size[:2]
    found = {}
    for image_ids, images, info, shapes in read_images(config.task.validation_data.input_path, size):
        given = model(images, image_shape=info[:, 1, :], training=False)
        # Boxes are in pixels of the model's image, which has the image's aspect and is padded.
        sides = tf.tile(info[:, 2, :] * shapes, (1, 2))[:, None]
        boxes = tf.clip_by_value(given["detection_boxes"] / sides, 0.0, 1.0)
        for index, image_id in enumerate(image_ids.numpy()):
            count = int(given["num_detections"][index])
            found[image_id.decode()] = {
                "boxes": boxes[index, :count].numpy().tolist(),
                "scores": given["detection_scores"][index, :count].numpy().tolist(),
                "classes": given["detection_classes"][index, :count].numpy().tolist(),
            }
    options.detections.write_text(json.dumps(found))
    print(f"detections: {sum(len(own['scores']) for own in found.values())} in {len(found)} images")


if __name__ == "__main__":
    main()
