"""Writes what a trained model of the Object Detection API finds in the split of its evaluation, as JSON.

Run it with the Python that has the API; train.sh does.
"""

import argparse
import json
import pathlib

import tensorflow as tf
from object_detection.builders import model_builder  # type: ignore[import-not-found]
from object_detection.utils import config_util  # type: ignore[import-not-found]


def main() -> None:
    """Restores the last checkpoint, and writes the detections."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("pipeline", help="The pipeline.config.")
    flags.add_argument("model_dir", help="Folder of the checkpoints.")
    flags.add_argument("--detections", type=pathlib.Path, required=True, help="JSON file to write.")
    options = flags.parse_args()
    config = config_util.get_configs_from_pipeline_file(options.pipeline)
    model = model_builder.build(config["model"], is_training=False)
    tf.train.Checkpoint(model=model).restore(tf.train.latest_checkpoint(options.model_dir)).expect_partial()

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)])
    def detect(image: tf.Tensor) -> dict[str, tf.Tensor]:
        images, shapes = model.preprocess(tf.cast(image, tf.float32)[None])
        return model.postprocess(model.predict(images, shapes), shapes)

    spec = {name: tf.io.FixedLenFeature((), tf.string) for name in ("image/encoded", "image/source_id")}
    found = {}
    [pattern] = config["eval_input_config"].tf_record_input_reader.input_path
    for data in tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(pattern))):
        record = tf.io.parse_single_example(data, spec)
        given = detect(tf.io.decode_jpeg(record["image/encoded"], channels=3))
        kept = given["detection_scores"][0] > 0.05
        found[record["image/source_id"].numpy().decode()] = {
            "boxes": given["detection_boxes"][0][kept].numpy().tolist(),
            "scores": given["detection_scores"][0][kept].numpy().tolist(),
            # The model counts classes from 0, the label map from 1.
            "classes": (given["detection_classes"][0][kept].numpy().astype(int) + 1).tolist(),
        }
    options.detections.write_text(json.dumps(found))
    print(f"detections: {sum(len(own['scores']) for own in found.values())} in {len(found)} images")


if __name__ == "__main__":
    main()
