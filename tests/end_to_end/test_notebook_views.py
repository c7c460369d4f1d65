"""What a notebook shows of records, in a kernel of its own: a picture, the browser in a frame, a bar, a DataFrame."""

import pathlib
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.support.optional import require

CELLS = (
    "import oi_tfrecord\nrecords = oi_tfrecord.RecordDataset('out', 'train')\nrecords.show(0)",
    "records.to_pandas('boxes')['name'].value_counts()",
    "oi_tfrecord.verify(oi_tfrecord.VerifyOptions('out', workers=1), progress=oi_tfrecord.PrintedProgress()).ok",
    "oi_tfrecord.browse(oi_tfrecord.BrowseOptions('out', port=0))",
)


def test_a_notebook_shows_records(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("ipykernel", "pandas"):
        require(package)
    nbformat, nbclient = require("nbformat"), require("nbclient")
    assert run(sample, tmp_path / "out").code == 0
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    pages = []
    with client.setup_kernel():
        for number, cell in enumerate(cells):
            client.execute_cell(cell, number)
        [frame] = [output["data"]["text/html"] for output in cells[3]["outputs"]]
        [address] = re.findall(r'src="(http://[^"]+)"', frame)
        with urllib.request.urlopen(address) as response:
            pages.append((response.headers["Content-Security-Policy"], response.read()))
    [shown] = [output["data"] for output in cells[0]["outputs"]]
    assert shown["image/png"].startswith("iVBORw0KGgo")
    assert "name" in cells[1]["outputs"][0]["data"]["text/plain"]
    [bar, checked] = [output["data"] for output in cells[2]["outputs"]]
    assert bar["text/html"].startswith('<progress max="100" value="100">')
    assert checked == {"text/plain": "True"}
    assert "frame-ancestors http://localhost:*" in pages[0][0]
    assert b"<title>" in pages[0][1]
