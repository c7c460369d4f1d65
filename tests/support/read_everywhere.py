"""Runs each command that reads records on a folder, and prints as JSON what each command printed.

  python -m tests.support.read_everywhere RECORDS TO [FLAG ...]

`resample`, `merge`, `export`, `evaluate` and `report` write below TO, which may be on any filesystem as RECORDS may;
FLAG are Beam's for that filesystem.
"""

import contextlib
import hashlib
import io
import json
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from unittest import mock

from oi_tfrecord import storage
from oi_tfrecord.cli.main import main
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.browse.query import Query


def commands(records: str, to: str, picture: str) -> Iterator[list[str]]:
    """Yields the arguments of each command."""
    yield ["verify", records]
    yield ["show", f"{records}/train.tfrecord-00001-of-00003:2", f"--png={picture}"]
    yield ["training-config", records, "--model=ssd", "--folder=FOLDER"]
    # In processes of their own, which need the flags, too.
    yield ["report", records, "--format=json", "--output=-", "--workers=2"]
    yield ["export", records, f"--to={to}/tables"]
    yield ["export", records, f"--to={to}/official", "--format=oid"]
    scored = [f"--detections={to}/found.csv", f"--output={to}/scores/classes.csv"]
    yield ["evaluate", records, "--split=train", "--metrics=oid_challenge", *scored]
    yield ["report", records, f"--output={to}/report.html"]
    yield ["browse", records, "--port=0"]
    for fold in (0, 1):
        yield ["resample", records, "--split=train", f"--to={to}/{fold}", "--folds=2", f"--fold={fold}", "--part=test"]
    yield ["merge", f"{to}/0", f"{to}/1", f"--to={to}/merged", "--num_shards=2"]
    yield ["verify", f"{to}/merged", "--decode"]


def browsed(records: str) -> list[object]:
    """Returns what the pages of `browse` would show of the first record."""
    dataset = BrowsedDataset(records, open_index(records, "", 1, NoProgress()))
    first = dataset.list_images(Query(), 0, 1)["images"][0]
    image = hashlib.sha256(dataset.read_image(0)[0]).hexdigest()
    return [first, image, dataset.describe_image(0, Query()), dataset.find_record(first["split"], first["id"])]


def run(records: str, to: str, flags: list[str]) -> dict[str, object]:
    """Returns what each command printed, by its arguments with FOLDER and TO in place of the folders."""
    printed: dict[str, object] = {}
    storage.use_options(flags)
    storage.make_folder(to)
    storage.write(f"{to}/found.csv", b"ImageID,PredictionString\n", to)
    with tempfile.TemporaryDirectory() as folder:
        picture = pathlib.Path(folder) / "record.png"
        for arguments in commands(records, to, str(picture)):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                code = main([*arguments, *flags])
            assert code == 0, (arguments, out.getvalue())
            name = " ".join(argument for argument in arguments if str(picture) not in argument)
            printed[name.replace(records, "FOLDER").replace(to, "TO")] = [
                line.replace(records, "FOLDER").replace(to, "TO")
                for line in out.getvalue().splitlines()
                # Times, the place of the index and a port differ.
                if "records/s" not in line and not line.startswith(("browse ", "index "))
            ]
        printed["picture"] = hashlib.sha256(picture.read_bytes()).hexdigest()
    storage.use_options(flags)
    printed["pages"] = browsed(records)
    return printed


if __name__ == "__main__":
    with (
        mock.patch("aiohttp.web.run_app"),
        mock.patch("oi_tfrecord.engine.threads._SHARDS_PER_PROCESS", 3),
    ):
        print(json.dumps(run(sys.argv[1], sys.argv[2], sys.argv[3:])))
