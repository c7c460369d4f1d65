"""Which images of a split are written: what the split is for decides by default."""

SELECTIONS = ("boxed", "labelled", "all")

EVALUATION_SPLITS = ("validation", "test")
"""The published splits that models are scored on."""

_REASONS = {
    "boxed": "images with a box, as a detector learns from boxes",
    "labelled": "images with a box or a human-verified label, as a detection of a class that was verified absent is a "
    "false positive also on an image without a box",
    "all": "all images",
}


def default_selection(split: str, task: str) -> str:
    """Returns which images are written if no option says so.

    Args:
        split: name of the split.
        task: `detection` or `classification`.

    Returns:
        One of SELECTIONS. The official protocol of Open Images scores every image with a box or a verified label
        (Object Detection API, utils/object_detection_evaluation.py: a class without box and label is ignored).
    """
    return "labelled" if task == "classification" or split in EVALUATION_SPLITS else "boxed"


def explain_selection(selection: str) -> str:
    """Returns a selection with the reason for it, for the manifest."""
    return f"{selection}: {_REASONS[selection]}"
