"""examples/open_images_to_keras.ipynb, executed against a mirror on this machine, and compared with its sources."""

import ast
import json
import pathlib
import re
import sys
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.support.mirror import Mirror
from tests.support.mirror_release import publish_release
from tests.support.optional import require

EXAMPLES = REPOSITORY / "examples"
NOTEBOOK = EXAMPLES / "open_images_to_keras.ipynb"


def cells_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def functions_of(text: str) -> dict[str, str]:
    nodes = ast.parse(text).body
    return {node.name: ast.unparse(node) for node in nodes if isinstance(node, ast.FunctionDef)}


def test_the_functions_of_the_notebook_are_those_of_the_examples() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    shown = functions_of("\n".join("".join(cell["source"]) for cell in cells_of(notebook)))
    sources = [EXAMPLES / "keras" / "train.py", EXAMPLES / "draw_detections.py"]
    known = {name: text for path in sources for name, text in functions_of(path.read_text(encoding="utf-8")).items()}
    assert shown.keys() >= {"training_pair", "build_model", "train", "detect", "draw"}
    assert shown == {name: known[name] for name in shown}
    assert not any(cell["outputs"] for cell in cells_of(notebook))


def test_the_notebook_goes_from_a_download_to_detections(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("tensorflow")
    require("ipykernel")
    nbformat, nbclient = require("nbformat"), require("nbclient")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with Mirror() as mirror:
        table = publish_release(mirror, tmp_path / "v7", images=40)
        [choices] = [cell for cell in cells_of(notebook) if cell["source"].startswith("RELEASE = ")]
        flags = [f"--mirror={mirror.url}", f"--downloads={table}", "--max_rejects=100%"]
        choices["source"] = "\n".join([
            'RELEASE = "v7"', 'TRAIN_SPLIT = "train"', 'HELD_OUT_SPLIT = "validation"', 'CLASSES = "Tree,Ball"',
            f'IMAGES = "{mirror.url}/{{split}}/{{image_id}}.jpg"', "MAX_IMAGES = 30", "STEPS = 20",
            f"MORE_FLAGS = {flags}",
        ])  # fmt: skip
        nbclient.NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    assert (tmp_path / "records" / "manifest.json").exists()
    assert (tmp_path / "detections.jpg").stat().st_size > 1000
    printed = "".join(output.get("text", "") for cell in cells_of(notebook) for output in cell["outputs"])
    assert " detections in " in printed, (printed, sys.executable)
    assert re.search(r"^mAP@0\.5: (\d\.\d{3}|nan)$", printed, re.MULTILINE), printed
