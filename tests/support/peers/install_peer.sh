#!/usr/bin/env bash
# Makes the virtual environment of one peer: of those that the benchmark compares with (tests/benchmarks/peers.py), or of
# Model Garden or DALI, which the tests read records with.
#
# Usage: install_peer.sh NAME [VENV [PYTHON_WITH_TENSORFLOW]]
#   NAME                    datumaro, tfds, tables (DuckDB and Polars), garden (TensorFlow Model Garden) or dali
#                           (NVIDIA DALI, 1 GB)
#   VENV                    where to make it (default: .venv-NAME in the repository root)
#   PYTHON_WITH_TENSORFLOW  a Python 3.11-3.13 whose tensorflow and apache_beam are shared instead of downloaded again
#
# Without the third argument the interpreter is $PYTHON, or python3. A second run with the same text of this file and
# the same arguments does nothing. Prints the path of the environment's python. Object Detection API: install.sh.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
name="${1:-}"
venv="${2:-$here/../../../.venv-$name}"
shared_python="${3:-}"
python="${shared_python:-${PYTHON:-python3}}"

fail() {
  echo "install_peer.sh: error: $*" >&2
  exit 1
}

shared=()
bare=()
case "$name" in
  # Datumaro's exporter to tf_detection_api needs TensorFlow, which its extra `tf` names.
  datumaro) pinned=('datumaro==1.13.12') modules='datumaro tensorflow' shared=('tensorflow==2.21.*') ;;
  tfds)
    pinned=('tensorflow-datasets==4.9.10') modules='tensorflow_datasets tensorflow apache_beam'
    shared=('tensorflow==2.21.*' 'apache-beam==2.77.*')
    ;;
  tables) pinned=('duckdb==2.0.0' 'polars==2.1.0') modules='duckdb polars' ;;
  # Reads on a CPU without CUDA.
  dali) pinned=('nvidia-dali-cuda120==2.4.0' 'numpy==2.4.6') modules='nvidia.dali' ;;
  garden)
    # Its own list asks for tensorflow 2.20 and, beside what `import official.vision` imports, for much that it does not:
    # tensorflow-text, tensorflow-hub, model optimization, Kaggle, SentencePiece and more.
    bare=('tf-models-official==2.20.0')
    pinned=(
      'tf-keras==2.21.*' 'tensorflow-datasets==4.9.10' 'gin-config==0.5.0' 'immutabledict==4.3.1' 'matplotlib==3.11.2'
      'opencv-python-headless==5.0.0.93' 'pycocotools==2.0.11' 'scipy==1.17.1'
    )
    modules='official.vision tensorflow' shared=('tensorflow==2.21.*')
    ;;
  *) fail "no such peer: '$name' (datumaro, tfds, tables, garden, dali)" ;;
esac

command -v "$python" >/dev/null || fail "no such python: $python"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  fail "$python is not Python 3.11 to 3.13"

# The folder that holds tensorflow holds what tensorflow needs, too: pip put them there together.
shared_site=""
if [ -n "$shared_python" ] && [ "${#shared[@]}" -gt 0 ]; then
  shared_site="$("$python" -c '
import importlib.util, pathlib
spec = importlib.util.find_spec("tensorflow")
print(pathlib.Path(spec.origin).parent.parent if spec and spec.origin else "")')"
  [ -n "$shared_site" ] || fail "$shared_python has no tensorflow to share"
fi

stamp="$(
  {
    cat "${BASH_SOURCE[0]}"
    echo "$name $shared_site"
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
  } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
)"
if [ "$(cat "$venv/peers.stamp" 2>/dev/null)" = "$stamp" ]; then
  echo "$(cd "$venv" && pwd)/bin/python"
  exit 0
fi

# --clear below empties the folder, so a mistyped path must not reach it.
if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
  fail "$venv exists and is not a virtual environment"
fi
"$python" -m venv --clear "$venv"
venv="$(cd "$venv" && pwd)"
if [ -n "$shared_site" ]; then
  # A .pth line is appended to sys.path, so what is installed below wins over what is shared.
  site="$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
  echo "$shared_site" >"$site/shared_tensorflow.pth"
  shared=()
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${pinned[@]}" ${shared[@]+"${shared[@]}"} >&2
if [ "${#bare[@]}" -gt 0 ]; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${bare[@]}" >&2
fi
for module in $modules; do
  TF_CPP_MIN_LOG_LEVEL=3 "$venv/bin/python" -c "import $module" || fail "$module does not import in $venv"
done
echo "$stamp" >"$venv/peers.stamp"
echo "$venv/bin/python"
