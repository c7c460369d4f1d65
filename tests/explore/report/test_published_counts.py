import pathlib
import re

import pytest

from oi_tfrecord.explore.report.published_counts import PUBLISHED
from tests.conftest import DATA

RELEASES = DATA / "real"


def test_releases_with_counts_of_labels_have_all_counts_of_labels() -> None:
    with_labels = [counts for splits in PUBLISHED.values() for counts in splits.values() if counts.positive_labels]
    assert with_labels
    assert all(counts.negative_labels and counts.machine_labels for counts in with_labels)


@pytest.mark.parametrize("release", ["v2", "v3"])
def test_the_counts_are_those_of_the_readme(release: str) -> None:
    readme: pathlib.Path = RELEASES / release / "README.md"
    if not readme.exists():
        pytest.skip(f"the README of {release} is not there")
    rows: dict[str, list[list[int]]] = {}
    for line in readme.read_text(encoding="utf-8").splitlines():
        if line.startswith(("|Images|", "|Machine Generated", "|Human Verified", "|Boxes|")):
            name, *cells = line.strip("|").split("|")
            rows.setdefault(name, []).extend(
                [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d", cell)] for cell in cells[:3]
            )
    for column, split in enumerate(("train", "validation", "test")):
        counts = PUBLISHED[release][split]
        assert counts.positive_labels is not None
        assert counts.negative_labels is not None
        assert rows["Images"][column] == [counts.images]
        assert rows["Images"][3 + column] == [counts.boxed_images]
        assert rows["Boxes"][column] == [counts.boxes]
        assert rows["Machine Generated Labels"][column] == [counts.machine_labels]
        assert rows["Human Verified Labels"][column] == [
            counts.positive_labels + counts.negative_labels,
            counts.positive_labels,
            counts.negative_labels,
        ]
