"""Published counts of images, boxes and labels of each release, per split.

Sources: READMEV1.md, READMEV2.md and READMEV3.md of github.com/openimages/dataset;
storage.googleapis.com/openimages/web/factsfigures_v4.html and factsfigures_v6.html for V4 and V6. V5 and V7 have the
boxes of V6; their image-level labels differ, and are not listed here.
"""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class PublishedCounts:
    """Published counts of one split; None for a count that is not published.

    Attributes:
        images: images, with or without boxes.
        boxed_images: images in the table of boxes.
        boxes: boxes.
        positive_labels, negative_labels: human-verified image-level labels.
        machine_labels: machine-generated image-level labels.
    """

    images: int | None = None
    boxed_images: int | None = None
    boxes: int | None = None
    positive_labels: int | None = None
    negative_labels: int | None = None
    machine_labels: int | None = None


_MACHINE = {"train": 78_977_695, "validation": 512_093, "test": 1_545_835}

_MACHINE_V6 = {"train": 164_819_642, "validation": 681_179, "test": 2_061_177}

_BOXES_V5: Mapping[str, PublishedCounts] = {
    "train": PublishedCounts(9_011_219, 1_743_042, 14_610_229),
    "validation": PublishedCounts(41_620, 41_620, 303_980),
    "test": PublishedCounts(125_436, 125_436, 937_327),
}

PUBLISHED: Mapping[str, Mapping[str, PublishedCounts]] = {
    "v1": {"train": PublishedCounts(9_011_219), "validation": PublishedCounts(167_057)},
    "v2": {
        "train": PublishedCounts(9_011_219, 669_124, 1_240_316, 4_303_594, 5_072_994, _MACHINE["train"]),
        "validation": PublishedCounts(41_620, 41_620, 204_621, 374_778, 185_095, _MACHINE["validation"]),
        "test": PublishedCounts(125_436, 125_436, 625_282, 1_132_567, 560_899, _MACHINE["test"]),
    },
    "v3": {
        "train": PublishedCounts(9_011_219, 1_593_853, 3_709_509, 9_741_876, 11_126_879, _MACHINE["train"]),
        "validation": PublishedCounts(41_620, 41_620, 204_621, 365_772, 185_618, _MACHINE["validation"]),
        "test": PublishedCounts(125_436, 125_436, 625_282, 1_105_052, 562_347, _MACHINE["test"]),
    },
    "v4": {
        "train": PublishedCounts(9_011_219, 1_743_042, 14_610_229, 13_444_569, 14_449_720, _MACHINE["train"]),
        "validation": PublishedCounts(41_620, 41_620, 204_621, 365_772, 185_618, _MACHINE["validation"]),
        "test": PublishedCounts(125_436, 125_436, 625_282, 1_105_052, 562_347, _MACHINE["test"]),
    },
    "v5": _BOXES_V5,
    "v6": {
        "train": PublishedCounts(9_011_219, 1_743_042, 14_610_229, 19_856_086, 37_668_266, _MACHINE_V6["train"]),
        "validation": PublishedCounts(41_620, 41_620, 303_980, 367_263, 228_076, _MACHINE_V6["validation"]),
        "test": PublishedCounts(125_436, 125_436, 937_327, 1_110_124, 689_759, _MACHINE_V6["test"]),
    },
    "v7": _BOXES_V5,
}
"""Published counts by release and split."""
