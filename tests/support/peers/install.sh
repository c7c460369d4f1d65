#!/usr/bin/env bash
# Makes the virtual environment that holds TensorFlow's Object Detection API.
#
# Usage: install.sh [VENV [PYTHON_WITH_TENSORFLOW]]
#   VENV                    where to make it (default: .venv-peers in the repository root)
#   PYTHON_WITH_TENSORFLOW  a Python 3.11-3.13 whose tensorflow is shared instead of downloaded again
#
# Without the second argument the interpreter is $PYTHON, or python3. A second run with the same text of this file,
# the same interpreter and the same shared packages does nothing. Prints the path of the environment's python.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="${1:-$here/../../../.venv-peers}"
shared_python="${2:-}"
python="${shared_python:-${PYTHON:-python3}}"

fail() {
  echo "install.sh: error: $*" >&2
  exit 1
}

command -v "$python" >/dev/null || fail "no such python: $python"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  fail "$python is not Python 3.11 to 3.13"

# The folder that holds tensorflow holds what tensorflow needs, too: pip put them there together.
shared_site=""
if [ -n "$shared_python" ]; then
  shared_site="$("$python" -c '
import importlib.util, pathlib
spec = importlib.util.find_spec("tensorflow")
print(pathlib.Path(spec.origin).parent.parent if spec and spec.origin else "")')"
  [ -n "$shared_site" ] || fail "$shared_python has no tensorflow to share"
fi

stamp="$(
  {
    cat "${BASH_SOURCE[0]}"
    echo "$shared_site"
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
  } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
)"

find_modules='
import importlib.util, sys
names = ["tensorflow", "object_detection", "tf_slim", "pandas", "contextlib2", "pycocotools"]
missing = [name for name in names if importlib.util.find_spec(name) is None]
sys.exit(f"missing: {missing}" if missing else 0)'

if [ "$(cat "$venv/peers.stamp" 2>/dev/null)" = "$stamp" ] && "$venv/bin/python" -c "$find_modules" 2>/dev/null; then
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
else
  "$venv/bin/python" -m pip install --quiet 'tensorflow==2.21.*' >&2
fi

# --no-deps for the API: its own list asks for tf-models-official, tensorflow_io, lvis and more, none of which the modules
# used here import. They import tensorflow, tf_slim, pandas, contextlib2, pycocotools and six (tensorflow has it).
# pandas 2: the API was written against pandas 1, and pandas 3 changed the string type.
"$venv/bin/python" -m pip install --quiet 'pandas==2.3.3' 'contextlib2==21.6.0' >&2
"$venv/bin/python" -m pip install --quiet --no-deps 'pycocotools==2.0.11' >&2
"$venv/bin/python" -m pip install --quiet --no-deps 'tf-models-research-object-detection==2.8.0.post1' 'tf-slim==1.1.0' >&2

PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python TF_CPP_MIN_LOG_LEVEL=3 "$venv/bin/python" -c '
from object_detection.data_decoders import tf_example_decoder
from object_detection.dataset_tools import create_oid_tf_record
from object_detection.metrics import tf_example_parser' || fail "the Object Detection API does not import in $venv"

echo "$stamp" >"$venv/peers.stamp"
echo "$venv/bin/python"
