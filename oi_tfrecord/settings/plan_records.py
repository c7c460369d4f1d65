"""Plans what records hold: their keys, the text columns they need, and how images are encoded."""

from collections.abc import Sequence

from oi_tfrecord.images.values import ImageOptions
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.rotation import ROTATION_COLUMN
from oi_tfrecord.openimages.schema import ATTRIBUTES, ATTRIBUTION, BOX_ID, FLAGS, PREDICTED_IOU, Table
from oi_tfrecord.records.keys import ExtraKeys, RecordLayout
from oi_tfrecord.settings.convert_config import ConvertConfig


def text_columns(config: ConvertConfig) -> frozenset[str]:
    """Returns the columns that only some conversions read: for records, their turning, filters or attributions."""
    columns: set[str] = set()
    if ExtraKeys.ATTRIBUTION in config.extra_keys or config.attribution_csv:
        columns |= set(ATTRIBUTION.values())
    if config.rotation == "apply" or ExtraKeys.ROTATION in config.extra_keys:
        columns |= {ROTATION_COLUMN}
    if ExtraKeys.BOX_ID in config.extra_keys or config.box_ids:
        columns |= {BOX_ID}
    if ExtraKeys.PREDICTED_IOU in config.extra_keys or config.min_predicted_iou:
        columns |= {PREDICTED_IOU}
    if ExtraKeys.ATTRIBUTES in config.extra_keys:
        columns |= {column for column, _ in ATTRIBUTES.values()}
    return frozenset(columns)


def record_layout(config: ConvertConfig, tables: Sequence[InputFile]) -> RecordLayout:
    """Returns the keys of the records.

    Args:
        config: complete configuration.
        tables: the CSV files; records have a flag of boxes only if a file has its column.
    """
    box_columns = {name for file in tables if file.table is Table.BOXES for name in file.names}
    return RecordLayout(
        tables=frozenset(file.table for file in tables),
        flags=frozenset(field for field, column in FLAGS.items() if column in box_columns),
        extra_keys=frozenset(map(ExtraKeys, config.extra_keys)),
        has_boxes=config.task == "detection",
    )


def image_options(config: ConvertConfig) -> ImageOptions:
    """Returns how images are checked and encoded."""
    return ImageOptions(
        mode=config.image_mode,
        max_bytes=config.max_image_bytes,
        max_pixels=config.max_image_pixels,
        quality=config.jpeg_quality,
        chroma=config.chroma,
        max_side=config.max_side,
        pixel_budget=config.pixel_budget,
        strip_metadata=config.strip_metadata,
    )
