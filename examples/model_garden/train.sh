#!/usr/bin/env bash
# Trains a small RetinaNet of Model Garden on records and evaluates it, with the settings that oi-tfrecord writes.
#
# Usage: train.sh RECORDS [STEPS [FOLDER]]
#   RECORDS  folder with the splits train and validation, as `oi-tfrecord convert` writes them
#   STEPS    batches of 16 images to train on (default: 300)
#   FOLDER   where the experiment, the checkpoints and the detections go (default: model_garden)
#
# $GARDEN_PYTHON is a Python that has Model Garden; without it, the environment FOLDER/venv is made from
# requirements.txt beside this file (Python 3.11, 2 GB). $GPUS is the number of GPUs (default: 0).
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
records="$1" steps="${2:-300}" folder="${3:-model_garden}"
mkdir -p "$folder"
python="${GARDEN_PYTHON:-$folder/venv/bin/python}"
if [ ! -x "$python" ]; then
  python3.11 -m venv "$folder/venv"
  "$python" -m pip install --quiet --no-deps -r "$here/requirements.txt"
fi

oi-tfrecord training-config "$records" --framework=garden --model=retinanet --image_size=128 --batch_size=16 \
  --steps="$steps" --gpus="${GPUS:-0}" --output="$folder/retinanet.yaml"
# The package itself is not on the path of Model Garden's Python.
in_garden=(env -u PYTHONPATH TF_CPP_MIN_LOG_LEVEL=2 "$python")
"${in_garden[@]}" -m official.vision.train --experiment=retinanet_resnetfpn_coco --mode=train_and_eval \
  --config_file="$folder/retinanet.yaml" --config_file="$here/small.yaml" --model_dir="$folder/model" \
  --params_override="trainer.validation_interval=$steps,trainer.steps_per_loop=$steps,trainer.summary_interval=$steps,trainer.checkpoint_interval=$steps"
"${in_garden[@]}" "$here/detect.py" --experiment=retinanet_resnetfpn_coco --model_dir="$folder/model" \
  --detections="$folder/detections.json"
oi-tfrecord evaluate "$records" --detections="$folder/detections.json"
