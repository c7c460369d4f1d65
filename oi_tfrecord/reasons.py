"""The reasons for which a row or an image does not reach a record, each with its meaning and its remedy.

A *reject* is a fault in the input: it is listed in `rejects-<split>.csv` and counts
towards `--max_rejects`. A *drop* follows from the configuration: it is counted only.
Rows written, rejected and dropped add up to the rows read.
"""

import enum


class _Reason(enum.StrEnum):
    """A reason as it stands in CSVs and manifests, with one sentence each on its meaning and its remedy."""

    meaning: str
    remedy: str

    def __new__(cls, value: str, meaning: str, remedy: str) -> "_Reason":
        """Makes the member of a value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.remedy = remedy
        return member


class Reject(_Reason):
    """Faults in the input."""

    MALFORMED_ROW = (
        "malformed_row",
        "The line is no CSV row of its table: a quote is open, the number of fields is wrong, a field is no number, "
        "or the line holds a NUL byte.",
        "Download the file again; if the row is still wrong, correct or remove the row.",
    )
    BAD_IMAGE_ID = (
        "bad_image_id",
        "The ImageID is not 16 lower-case hexadecimal digits; or, with --image_id_format=any, it is empty, longer "
        "than 255 bytes, no UTF-8, or holds a / or a control character.",
        "Correct the ImageID; spreadsheets, for example, shorten ImageIDs that look like numbers. For data with names "
        "of their own give --image_id_format=any.",
    )
    UNKNOWN_CLASS = (
        "unknown_class",
        "The LabelName is in neither the class descriptions nor the class list.",
        "Give the class descriptions of the release that the rows are from.",
    )
    DEGENERATE_BOX = (
        "degenerate_box",
        "The box has no area: XMin is not below XMax, or YMin is not below YMax.",
        "Correct the coordinates, or leave the row rejected: training would stop at the box or learn from it.",
    )
    BOX_OUT_OF_RANGE = (
        "box_out_of_range",
        "A coordinate of the box is not within 0 and 1.",
        "Give coordinates as fractions of the width and the height of the image.",
    )
    BAD_CONFIDENCE = (
        "bad_confidence",
        "The Confidence is not within 0 and 1, or a human-verified label has another Confidence than 0 or 1.",
        "Correct the Confidence.",
    )
    BAD_FLAG = (
        "bad_flag",
        "A flag of the box, such as IsGroupOf, is not -1, 0 or 1.",
        "Correct the flag.",
    )
    BAD_ATTRIBUTE = (
        "bad_attribute",
        "An attribute of the box, such as AgePresentation, has none of the published values.",
        "Correct the attribute, or leave it empty if it is unknown.",
    )
    BAD_PREDICTED_IOU = (
        "bad_predicted_iou",
        "The PredictedIoU of the mask is neither empty nor within 0 and 1.",
        "Correct the PredictedIoU, or leave it empty if it is unknown.",
    )
    DUPLICATE = (
        "duplicate",
        "The row repeats an earlier row of its table, the mask is the second one of its box, or the archives hold "
        "another file of the same image before.",
        "Nothing: the first one is used. Give each file once if all rows of a file are duplicates.",
    )
    ANNOTATION_WITHOUT_IMAGE = (
        "annotation_without_image",
        "The ImageID of a box, label or mask is not in the metadata.",
        "Give the metadata of the same split and release as the annotations.",
    )
    BAD_MASK_PATH = (
        "bad_mask_path",
        "The MaskPath names no file below the folder of the masks.",
        "Correct the MaskPath.",
    )
    MASK_EMPTY = (
        "mask_empty",
        "The mask has no pixel of an object: every pixel is 0.",
        "Draw the mask again, or leave the row rejected: an empty mask would train that there is no object in the box.",
    )
    MASK_OTHER_SHAPE = (
        "mask_other_shape",
        "The ratio of the mask's sides is not that of the image, so the mask is turned, cropped or of another image. "
        "Masks and images of different resolution are accepted if the ratios agree within two pixels of each side.",
        "Give masks of the whole image, turned as the stored image is.",
    )
    MASK_WITHOUT_BOX = (
        "mask_without_box",
        "No box has the ImageID, the LabelName and the coordinates of the mask.",
        "Give the boxes of the same split and release as the masks.",
    )
    IMAGE_REJECTED = (
        "image_rejected",
        "The row belongs to an image that is rejected itself, and is counted without being listed.",
        "Look up the reject of the image in the table `images`.",
    )
    IMAGE_MISSING = (
        "image_missing",
        "No file, archive or folder that was given holds the image or the mask.",
        "Check the path pattern or the list of archives; download what is missing.",
    )
    IMAGE_UNREADABLE = (
        "image_unreadable",
        "The file system refuses to read the file, or its archive stores it encrypted, as a link, or in a compression "
        "that is not supported.",
        "Check the permissions and the disk, or pack the archive again.",
    )
    IMAGE_EMPTY = (
        "image_empty",
        "The file has no bytes.",
        "Download the image again.",
    )
    IMAGE_CUT_OFF = (
        "image_cut_off",
        "The file ends before the image does.",
        "Download the image again.",
    )
    NOT_AN_IMAGE = (
        "not_an_image",
        "The bytes are in no image format that is read, or the mask is no PNG.",
        "Look at the first bytes in the detail: an HTML page, for example, is a failed download.",
    )
    IMAGE_BROKEN = (
        "image_broken",
        "The image cannot be decoded, or its header is invalid.",
        "Download the image again.",
    )
    IMAGE_TOO_LARGE = (
        "image_too_large",
        "The image has more bytes than --max_image_bytes or more pixels than --max_image_pixels.",
        "Raise the limit if the memory of the workers allows it.",
    )
    BAD_ROTATION = (
        "bad_rotation",
        "The Rotation in the metadata is neither empty nor a multiple of 90 degrees from 0 to 270.",
        "Correct the Rotation.",
    )
    DOWNLOAD_FAILED = (
        "download_failed",
        "The URL of the image is invalid, or its host gave no image after all attempts.",
        "Run the same command again later: the images that were downloaded are kept.",
    )
    IMAGE_UNAVAILABLE = (
        "image_unavailable",
        "The host of the image no longer has it, or the metadata has no URL.",
        "Take the image from the archives or the bucket of the release instead.",
    )
    CHECKSUM_MISMATCH = (
        "checksum_mismatch",
        "The bytes differ from the size or the checksum in the metadata or in the archive.",
        "Download the image or the archive again; an image that was changed at its URL stays rejected.",
    )


CORRECTABLE = frozenset((
    Reject.IMAGE_MISSING, Reject.IMAGE_UNREADABLE, Reject.IMAGE_EMPTY, Reject.IMAGE_CUT_OFF, Reject.NOT_AN_IMAGE,
    Reject.IMAGE_BROKEN, Reject.IMAGE_TOO_LARGE, Reject.DOWNLOAD_FAILED, Reject.CHECKSUM_MISMATCH,
))  # fmt: skip
"""Reasons that the files of images and masks give, which may be corrected while tables and flags stay as they are."""


NOT_THERE = frozenset((Reject.IMAGE_MISSING, Reject.IMAGE_UNAVAILABLE))
"""Reasons of images that are not there, which `--missing_images=skip` leaves out."""


class Drop(_Reason):
    """What the configuration leaves out."""

    CLASS_NOT_IN_LABEL_MAP = (
        "class_not_in_label_map",
        "The class of the row is described, but is not in the class list.",
        "Give a --class_list with the class.",
    )
    CLASS_NOT_CHOSEN = (
        "class_not_chosen",
        "The class of the row is not among --classes.",
        "Add the class to --classes.",
    )
    NOT_IN_IMAGE_LIST = (
        "not_in_image_list",
        "The ImageID is not in the list of --image_ids.",
        "Add the ImageID to the list.",
    )
    NOT_SAMPLED = (
        "not_sampled",
        "The hash of the ImageID is outside of --sample.",
        "Raise --sample: the images of a smaller sample stay in it.",
    )
    OVER_MAX_IMAGES = (
        "over_max_images",
        "The hash of the ImageID is beyond the hash up to which --max_images takes images.",
        "Raise --max_images.",
    )
    LOW_CONFIDENCE = (
        "low_confidence",
        "The Confidence of the box or machine-generated label is below --min_confidence.",
        "Lower --min_confidence.",
    )
    BOX_SOURCE = (
        "box_source",
        "The Source of the box is not among --box_sources.",
        "Add the source to --box_sources.",
    )
    EXCLUDED_FLAG = (
        "excluded_flag",
        "The box has a flag of --exclude_flags set.",
        "Remove the flag from --exclude_flags.",
    )
    SMALL_BOX = (
        "small_box",
        "The shorter side of the box is below --min_box_side.",
        "Lower --min_box_side.",
    )
    OTHER_KIND_OF_LABEL = (
        "other_kind_of_label",
        "The file holds human-verified and machine-generated labels, and the row is of the kind that its table is not.",
        "Nothing: give the file for both tables to read both kinds.",
    )
    OTHER_SUBSET = (
        "other_subset",
        "The Subset of the image in the metadata is not among --subset.",
        "Add the subset to --subset.",
    )
    PRESENT_AND_ABSENT = (
        "present_and_absent",
        "The label says that a class is absent, but another label of the image says that the class is present.",
        "Nothing: the present class is written.",
    )
    SAME_LABEL = (
        "same_label",
        "Another label of the image says the same of the class, from another source; records for classification have a "
        "class once.",
        "Nothing: the first label is used.",
    )
    PRESENT_BY_HIERARCHY = (
        "present_by_hierarchy",
        "The label says that a class is absent, but a present descendant class implies that it is present.",
        "Nothing: the present class is written.",
    )
    IMAGE_NOT_THERE = (
        "image_not_there",
        "The image of the row is not there, and --missing_images=skip leaves such images out.",
        "Download the image, then run the same command again.",
    )
    IMAGE_NOT_SELECTED = (
        "image_not_selected",
        "The image of the row is not among the images that --select takes, or that the table of --driver lists.",
        "Give --select=labelled or --select=all to write more images.",
    )
    NO_IMAGE_NAME = (
        "no_image_name",
        "The name of the file in an archive is not that of an image or mask.",
        "Nothing, unless images are missing: then rename the files to <ImageID>.jpg.",
    )
    NOT_IN_SUBSET = (
        "not_in_subset",
        "The image is not in the share of images that --fraction takes.",
        "Raise --fraction.",
    )
    OVER_CAP = (
        "over_cap",
        "Each class of the image has its --cap of images already.",
        "Raise --cap.",
    )
    OTHER_FOLD = (
        "other_fold",
        "The image belongs to another fold of --folds.",
        "Write the other folds, too.",
    )
    IN_EARLIER_INPUT = (
        "in_earlier_input",
        "A folder that the merge names earlier has a record of the same image.",
        "Nothing: --on_duplicate=first asks for it; name the other folder first to take its record instead.",
    )
    NOT_IN_BOX_ID_LIST = (
        "not_in_box_id_list",
        "The BoxID of the mask is not in the list of --box_ids.",
        "Add the BoxID to the list.",
    )
    NO_MASK = (
        "no_mask",
        "The box has no mask.",
        "Give --boxes_without_mask=empty to write the box with an empty mask, or groups to write group-of boxes so.",
    )
    BOX_LEFT_OUT = (
        "box_left_out",
        "No box fits the mask, and filters of boxes are given: the box of the mask may be left out.",
        "Relax --box_sources, --exclude_flags, --min_confidence or --min_box_side.",
    )
    REPEATED = (
        "repeated",
        "The file of an archive repeats an image or mask that occurs before in the archives, byte for byte.",
        "Nothing: the first one is used.",
    )
    REPEATED_HEADER = (
        "repeated_header",
        "The row is the header of its file again, as where files were joined by `cat`.",
        "Nothing: the row holds no data.",
    )
    LOW_PREDICTED_IOU = (
        "low_predicted_iou",
        "The PredictedIoU of the mask is below --min_predicted_iou.",
        "Lower --min_predicted_iou.",
    )
    MASK_NOT_SELECTED = (
        "mask_not_selected",
        "The file in an archive of masks belongs to no mask that is written.",
        "Nothing: archives hold the masks of all images and boxes.",
    )
