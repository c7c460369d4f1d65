#!/usr/bin/env bash
# Builds wheel and sdist into a folder, checks them, and converts the sample with the wheel alone, outside of the checkout.
#
# Usage: check_release.sh PYTHON FOLDER
set -euo pipefail
python=$(realpath --no-symlinks "$1")
cd "$(dirname "$0")/../.."
mkdir -p "$2"
dist=$(realpath "$2")
rm -f "$dist"/oi_tfrecord-*
"$python" -m build --outdir "$dist" . >"$dist/build.log" 2>&1 || { cat "$dist/build.log" >&2; exit 1; }
"$python" -m twine check --strict "$dist"/oi_tfrecord-*
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$dist"/oi_tfrecord-*.whl
cd "$folder"
unset PYTHONPATH
venv/bin/oi-tfrecord --version
venv/bin/oi-tfrecord sample --output_dir=sample/data
venv/bin/oi-tfrecord convert --config=sample --split=train
venv/bin/oi-tfrecord verify sample/records
venv/bin/oi-tfrecord report sample/records
[ ! -e venv/lib/python*/site-packages/pipelines ] || { echo "error: the wheel installs a package 'pipelines'" >&2; exit 1; }
[ -e venv/lib/python*/site-packages/oi_tfrecord/py.typed ] || { echo "error: the wheel lacks py.typed" >&2; exit 1; }
