#!/usr/bin/env bash
# Trains a small SSD of the Object Detection API on records and evaluates it, with the pipeline that oi-tfrecord writes.
#
# Usage: train.sh RECORDS [STEPS [FOLDER]]
#   RECORDS  folder with the splits train and validation, as `oi-tfrecord convert` writes them
#   STEPS    batches of 16 images to train on (default: 600)
#   FOLDER   where the pipeline, the checkpoints and the detections go (default: object_detection_api)
#
# $OD_PYTHON is a Python that has the API; without it, the environment FOLDER/venv is made from requirements.txt beside
# this file (Python 3.11, 2 GB). The metrics are those of the API's evaluation (oid_V2_detection_metrics).
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
records="$1" steps="${2:-600}" folder="${3:-object_detection_api}"
mkdir -p "$folder"
python="${OD_PYTHON:-$folder/venv/bin/python}"
if [ ! -x "$python" ]; then
  python3.11 -m venv "$folder/venv"
  "$python" -m pip install --quiet --no-deps -r "$here/requirements.txt"
fi

oi-tfrecord training-config "$records" --pipeline="$here/ssd_mobilenet_v2_fpn.config" --steps="$steps" \
  --output="$folder/pipeline.config"
# The package itself is not on the path of the API's Python.
in_api=(env -u PYTHONPATH PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python TF_CPP_MIN_LOG_LEVEL=2 "$python")
run=(
  "${in_api[@]}" -m object_detection.model_main_tf2 --pipeline_config_path="$folder/pipeline.config"
  --model_dir="$folder/model" --alsologtostderr
)
"${run[@]}" --checkpoint_every_n="$steps"
# The evaluation waits for further checkpoints; it ends after a second without one.
"${run[@]}" --checkpoint_dir="$folder/model" --eval_timeout=1
"${in_api[@]}" "$here/detect.py" "$folder/pipeline.config" "$folder/model" --detections="$folder/detections.json"
oi-tfrecord evaluate "$records" --detections="$folder/detections.json"
