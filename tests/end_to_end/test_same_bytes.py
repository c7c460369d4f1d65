"""The sample gives the bytes that it gave before: a change of bytes is a decision, which CHANGELOG.md states.

`python -m tests.end_to_end.test_same_bytes` writes `same_bytes.json` again. Each image is the same constant JPEG, so
that the digests do not depend on the encoder of this machine.
"""

import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import pytest

from tests.conftest import REPOSITORY, convert_arguments

STORED = pathlib.Path(__file__).with_name("same_bytes.json")
ALL_KEYS = "--extra_keys=box_source,box_confidence,inside,label_source,machine_labels,attribution,rotation"
CASES = {
    "default": [],
    "every key": [ALL_KEYS, "--select=all", "--attribution_csv"],
    "labelled": ["--select=labelled"],
    "frequency": ["--label_order=frequency"],
    "classification": ["--task=classification", "--select=labelled", "--label_order=mid"],
    "numeric": ["--source_id=numeric", "--num_shards=5", "--exclude_flags=group_of", "--min_box_side=0.1"],
    "chosen": ["--sample=0.5", "--max_images=9", "--strip_metadata"],
}
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBk"
    "eFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARCAAwAEAD"
    "ASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKB"
    "kaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZ"
    "mqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQF"
    "BgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5"
    "OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX"
    "2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwCSiiivGPWCiiigAooooAKKKKACiiigAooooAKKKKACiiigAooooAKKKKACiiigAooo"
    "oA//2Q=="
)


def digests(folder: pathlib.Path, flags: list[str]) -> dict[str, str]:
    """Converts both splits of the sample, and returns the SHA-256 of each file but those that describe the rest."""
    command = [sys.executable, "-m", "oi_tfrecord"]
    data = folder / "data"
    subprocess.run([*command, "sample", f"--output_dir={data}"], cwd=REPOSITORY, check=True, capture_output=True)
    for path in data.rglob("*.jpg"):
        path.write_bytes(JPEG)
    # Ids by frequency are those of one split.
    splits = ("train",) if "--label_order=frequency" in flags else ("train", "validation")
    for split in splits:
        arguments = convert_arguments(data, folder / "records", *flags, split=split)
        subprocess.run([*command, "convert", *arguments], cwd=REPOSITORY, check=True, capture_output=True)
    descriptions = ("manifest.json", "features.json", "dataset_info.json")
    names = [
        path for path in sorted((folder / "records").iterdir()) if path.is_file() and path.name not in descriptions
    ]
    # The list of rejects holds the path of this folder.
    texts = {path.name: path.read_bytes().replace(str(folder).encode(), b"") for path in names}
    return {name: hashlib.sha256(data).hexdigest() for name, data in texts.items()}


@pytest.mark.parametrize("case", CASES)
def test_the_sample_gives_the_same_bytes(case: str, tmp_path: pathlib.Path) -> None:
    assert digests(tmp_path, CASES[case]) == json.loads(STORED.read_text())[case]


def _store() -> None:
    found = {}
    for case, flags in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            found[case] = digests(pathlib.Path(folder), flags)
    STORED.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    _store()
