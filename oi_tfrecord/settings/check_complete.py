"""Checks of a configuration as a whole: what a conversion needs is given, and options do not contradict each other."""

from collections.abc import Callable

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.convert_config import IMAGE_SOURCES, MASK_SOURCES, ConvertConfig

NEEDED = ("split", "data_dir", "output_dir", "class_descriptions")
"""Options that every conversion needs and that have no default."""


def find_missing_option(config: ConvertConfig) -> ConfigError | None:
    """Every conversion needs the options in NEEDED."""
    missing = [field for field in NEEDED if not getattr(config, field)]
    return ConfigError(missing[0], f"is needed; give --{missing[0]}") if missing else None


def find_bad_image_sources(config: ConvertConfig) -> ConfigError | None:
    """Images come from exactly one source."""
    given = [field for field in IMAGE_SOURCES if getattr(config, field)]
    if not given:
        return ConfigError("images", f"is needed; give --images or one of {', '.join(IMAGE_SOURCES[1:])}")
    if len(given) > 1:
        return ConfigError(given[1], f"is a second source of the images beside {given[0]}; give one of the two")
    return None


def find_masks_without_key(config: ConvertConfig) -> ConfigError | None:
    """A source of masks is of use only if records are to hold masks."""
    given = [field for field in MASK_SOURCES if getattr(config, field)]
    if given and ExtraKeys.MASKS not in config.extra_keys:
        return ConfigError(given[0], f"is given, but records hold no masks; add --extra_keys={ExtraKeys.MASKS}")
    return None


def find_mask_options_without_masks(config: ConvertConfig) -> ConfigError | None:
    """Keys and filters of masks are of use only if records hold masks."""
    if ExtraKeys.MASKS in config.extra_keys:
        return None
    for key in (ExtraKeys.BOX_ID, ExtraKeys.PREDICTED_IOU):
        if key in config.extra_keys:
            return ConfigError("extra_keys", f"{key} belongs to masks; give --extra_keys={ExtraKeys.MASKS},{key}")
    for field in ("box_ids", "min_predicted_iou"):
        if getattr(config, field):
            return ConfigError(field, f"filters masks, but records hold none; add --extra_keys={ExtraKeys.MASKS}")
    return None


def find_missing_mask_input(config: ConvertConfig) -> ConfigError | None:
    """Masks need boxes, the table of masks, and one source of the PNG files."""
    if ExtraKeys.MASKS not in config.extra_keys:
        return None
    if config.task == "classification":
        return ConfigError("extra_keys", f"{ExtraKeys.MASKS} belong to boxes, which task=classification leaves out")
    for field in ("masks", "boxes"):
        if not getattr(config, field):
            return ConfigError(field, f"is needed with --extra_keys={ExtraKeys.MASKS}; give --{field}")
    if sum(bool(getattr(config, field)) for field in MASK_SOURCES) != 1:
        return ConfigError(MASK_SOURCES[0], f"gives the PNG files, or {MASK_SOURCES[1]} does; give one of the two")
    return None


def find_bad_image_bounds(config: ConvertConfig) -> ConfigError | None:
    """Bounds of the image size go with image_mode=resize, and only with that mode."""
    given = [field for field in ("max_side", "pixel_budget") if getattr(config, field)]
    if config.image_mode == "resize" and not given:
        return ConfigError(
            "max_side", "is needed with image_mode=resize; give --max_side=1024 or --pixel_budget=300000"
        )
    if config.image_mode != "resize" and given:
        return ConfigError(given[0], f"scales no image with image_mode={config.image_mode}; give --image_mode=resize")
    return None


def find_appended_classes_without_label_map(config: ConvertConfig) -> ConfigError | None:
    """Classes are appended to an existing label map."""
    if config.append_classes and not config.label_map:
        return ConfigError("append_classes", "needs the label map to append classes to; give --label_map")
    return None


def find_subset_without_metadata(config: ConvertConfig) -> ConfigError | None:
    """Only the metadata has the column Subset."""
    if config.subset and config.driver != Table.METADATA:
        return ConfigError(
            "subset", f"is a column of the metadata, but driver={config.driver} takes images that the metadata may lack"
        )
    return None


def find_missing_image_cache(config: ConvertConfig) -> ConfigError | None:
    """Downloads are kept, so that a rerun does not download an image again."""
    if config.image_urls and not config.image_cache:
        return ConfigError("image_cache", "is needed with image_urls, so that no image is downloaded twice")
    return None


def find_missing_metadata(config: ConvertConfig) -> ConfigError | None:
    """Some options need columns of the metadata."""
    reasons = {
        "rotation=apply": "the column Rotation" if config.rotation == "apply" else "",
        "image_urls": "the URLs" if config.image_urls else "",
        "url_folders": "the URLs" if config.url_folders else "",
        "attribution_csv": "the authors" if config.attribution_csv else "",
    }
    needing = [(option, column) for option, column in reasons.items() if column]
    if needing and not config.metadata:
        option, column = needing[0]
        return ConfigError("metadata", f"is needed with {option} for {column}; give --metadata")
    return None


def find_boxes_in_classification(config: ConvertConfig) -> ConfigError | None:
    """Classification reads no boxes."""
    if config.task != "classification":
        return None
    if config.driver == Table.BOXES:
        return ConfigError("driver", "is boxes, which task=classification does not read; give --driver=metadata")
    if config.select == "boxed":
        return ConfigError("select", "is boxed, but task=classification reads no boxes; give --select=labelled")
    return None


def find_missing_driver_table(config: ConvertConfig) -> ConfigError | None:
    """The driver is the table that the images are taken from."""
    if not getattr(config, config.driver):
        problem = f"is needed, as driver={config.driver}; give --{config.driver} or another --driver"
        return ConfigError(config.driver, problem)
    return None


Check = Callable[[ConvertConfig], ConfigError | None]
"""Returns the problem that the check finds, or None."""

CHECKS: tuple[Check, ...] = (
    find_missing_option,
    find_bad_image_sources,
    find_masks_without_key,
    find_mask_options_without_masks,
    find_missing_mask_input,
    find_bad_image_bounds,
    find_appended_classes_without_label_map,
    find_subset_without_metadata,
    find_missing_image_cache,
    find_missing_metadata,
    find_boxes_in_classification,
    find_missing_driver_table,
)
"""All checks, in the order in which problems are reported."""


def check_complete(config: ConvertConfig) -> None:
    """Raises the first problem that one of CHECKS finds.

    Args:
        config: a configuration whose values are valid one by one.

    Raises:
        ConfigError: naming the option that is missing or contradicts another one.
    """
    for check in CHECKS:
        if (problem := check(config)) is not None:
            raise problem
