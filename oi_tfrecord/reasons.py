"""The reasons for which a row or an image does not reach a record.

A *reject* is a fault in the input: it is listed in `rejects-<split>.csv` and counts
towards `--max_rejects`. A *drop* follows from the configuration: it is counted only.
Together with what was used they balance against what was read.
"""

import enum


class Reject(enum.StrEnum):
    """Faults in the input."""

    MALFORMED_ROW = "malformed_row"
    BAD_IMAGE_ID = "bad_image_id"
    UNKNOWN_CLASS = "unknown_class"
    DEGENERATE_BOX = "degenerate_box"
    BOX_OUT_OF_RANGE = "box_out_of_range"
    BAD_CONFIDENCE = "bad_confidence"
    BAD_FLAG = "bad_flag"
    DUPLICATE = "duplicate"
    ANNOTATION_WITHOUT_IMAGE = "annotation_without_image"
    BAD_MASK_PATH = "bad_mask_path"
    MASK_WITHOUT_BOX = "mask_without_box"
    IMAGE_REJECTED = "image_rejected"
    IMAGE_MISSING = "image_missing"
    IMAGE_UNREADABLE = "image_unreadable"
    IMAGE_EMPTY = "image_empty"
    IMAGE_CUT_OFF = "image_cut_off"
    NOT_AN_IMAGE = "not_an_image"
    IMAGE_BROKEN = "image_broken"
    IMAGE_TOO_LARGE = "image_too_large"
    BAD_ROTATION = "bad_rotation"
    DOWNLOAD_FAILED = "download_failed"
    IMAGE_UNAVAILABLE = "image_unavailable"
    CHECKSUM_MISMATCH = "checksum_mismatch"


class Drop(enum.StrEnum):
    """What the configuration leaves out."""

    CLASS_NOT_IN_LABEL_MAP = "class_not_in_label_map"
    CLASS_NOT_CHOSEN = "class_not_chosen"
    NOT_IN_IMAGE_LIST = "not_in_image_list"
    NOT_SAMPLED = "not_sampled"
    OVER_MAX_IMAGES = "over_max_images"
    LOW_CONFIDENCE = "low_confidence"
    BOX_SOURCE = "box_source"
    EXCLUDED_FLAG = "excluded_flag"
    SMALL_BOX = "small_box"
    OTHER_KIND_OF_LABEL = "other_kind_of_label"
    OTHER_SUBSET = "other_subset"
    PRESENT_BY_HIERARCHY = "present_by_hierarchy"
    IMAGE_NOT_SELECTED = "image_not_selected"
    NO_IMAGE_NAME = "no_image_name"
    NOT_IN_SUBSET = "not_in_subset"
    OVER_CAP = "over_cap"
    OTHER_FOLD = "other_fold"
    IN_EARLIER_INPUT = "in_earlier_input"
    NO_MASK = "no_mask"
    BOX_LEFT_OUT = "box_left_out"
    MASK_NOT_SELECTED = "mask_not_selected"
