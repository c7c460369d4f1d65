"""Prints what Model Garden's image classification reads from TFRecord shards, and trains a few steps on them.

Run it with the Python that tests/support/peers/install_peer.sh makes for garden. One JSON line per record has the
targets that the multi-label decoder and parser give; the last line has the losses of the steps of the task itself
(official/vision/tasks/image_classification.py).
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
from official.vision.configs import backbones, common  # type: ignore[import-not-found]
from official.vision.configs import image_classification as configs  # type: ignore[import-not-found]
from official.vision.dataloaders import classification_input  # type: ignore[import-not-found]
from official.vision.tasks.image_classification import ImageClassificationTask  # type: ignore[import-not-found]

STEPS = 3
SIDE = 32


def train(shards: list[str], num_classes: int) -> list[float]:
    """Returns the loss of each of a few training steps of a small model."""
    data = configs.DataConfig(
        input_path=",".join(shards), is_multilabel=True, is_training=True, global_batch_size=4, dtype="float32",
        shuffle_buffer_size=8, cycle_length=1,
    )  # fmt: skip
    task = ImageClassificationTask(
        configs.ImageClassificationTask(
            model=configs.ImageClassificationModel(
                num_classes=num_classes,
                input_size=[SIDE, SIDE, 3],
                backbone=backbones.Backbone(
                    type="mobilenet", mobilenet=backbones.MobileNet(model_id="MobileNetV2", filter_size_scale=0.35)
                ),
                norm_activation=common.NormActivation(use_sync_bn=False),
            ),
            losses=configs.Losses(one_hot=False),
            train_data=data,
        )
    )
    model = task.build_model()
    optimizer = tf.keras.optimizers.SGD(0.01)
    metrics = task.build_metrics()
    batches = iter(task.build_inputs(data))
    return [float(task.train_step(next(batches), model, optimizer, metrics)["loss"]) for _ in range(STEPS)]


def main() -> None:
    """Prints the targets of each record, and the losses."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("shards", nargs="+", help="shard files")
    flags.add_argument("--num_classes", type=int, required=True, help="the highest id and 1")
    options = flags.parse_args()
    decoder = classification_input.Decoder(is_multilabel=True)
    parser = classification_input.Parser([SIDE, SIDE], options.num_classes, is_multilabel=True)
    parse = parser.parse_fn(is_training=False)
    for record in tf.data.TFRecordDataset(options.shards):
        _, targets = parse(decoder.decode(record))
        print(json.dumps(targets.numpy().tolist()))
    print(json.dumps(train(options.shards, options.num_classes)))


if __name__ == "__main__":
    main()
