"""The options of `download`."""

import dataclasses
from typing import Any

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Choice, parse_max_rejects
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option
from oi_tfrecord.storage.paths import is_local

LAYOUTS = ("image_id", "url")

CHOICES = (
    "select", "subset", "classes", "box_sources", "exclude_flags", "min_confidence", "min_box_side", "sample",
    "max_images",
)  # fmt: skip
"""Options that choose images by the tables of boxes and labels, as `convert` does; the tables are read for them."""


def like_convert(name: str, **changes: Any) -> Any:
    """Returns a field that is declared as in ConvertConfig, as the same configuration files serve both commands.

    Args:
        name: name of the field.
        changes: `default` or `help`, if it differs.
    """
    [declared] = [field for field in dataclasses.fields(ConvertConfig) if field.name == name]
    default = changes.pop("default", declared.default)
    return dataclasses.field(default=default, metadata={**declared.metadata, **changes})


@dataclasses.dataclass(frozen=True)
class DownloadOptions:
    """What is downloaded, and to where; every field is a flag of the same name.

    Raises:
        ConfigError: naming the field that is missing or has a bad value.
    """

    output_dir: str = like_convert(
        "output_dir", default=REQUIRED, help="Local folder for the images and the two lists."
    )
    image_urls: str = like_convert(
        "image_urls",
        help="Which URL: thumbnails have about 300,000 pixels, and are made from the original where there is none.",
    )
    images: str = like_convert(
        "images", help="Path of an image elsewhere, in place of its URL; cvdf is the public bucket of the CVDF."
    )
    anonymous: bool = like_convert("anonymous")
    layout: str = option(
        "image_id",
        "Names of the files: <ImageID>.jpg, or <first 3 characters>/<base name of OriginalURL>, for --url_folders.",
        Group.OUTPUT,
        Choice(LAYOUTS),
    )
    split: str = like_convert("split", help="Split to download, such as train, validation or test.")
    data_dir: str = like_convert("data_dir")
    metadata: tuple[str, ...] = like_convert("metadata")
    image_ids: str = like_convert("image_ids")
    boxes: tuple[str, ...] = like_convert("boxes")
    human_labels: tuple[str, ...] = like_convert("human_labels")
    machine_labels: tuple[str, ...] = like_convert("machine_labels")
    class_descriptions: tuple[str, ...] = like_convert("class_descriptions")
    class_list: tuple[str, ...] = like_convert("class_list")
    hierarchy: tuple[str, ...] = like_convert("hierarchy")
    hierarchy_use: str = like_convert("hierarchy_use")
    driver: str = like_convert("driver")
    task: str = like_convert("task", help="With a choice of images: detection chooses by boxes, too.")
    select: str = like_convert(
        "select",
        help="Images to download: boxed (with a box), labelled (with a box or a human label) or all. By default all, "
        "and with another choice as convert chooses.",
    )
    subset: tuple[str, ...] = like_convert("subset")
    classes: tuple[str, ...] = like_convert("classes")
    box_sources: tuple[str, ...] = like_convert("box_sources")
    exclude_flags: tuple[str, ...] = like_convert("exclude_flags")
    min_confidence: float = like_convert("min_confidence")
    min_box_side: float = like_convert("min_box_side")
    sample: float = like_convert("sample")
    max_images: int = like_convert("max_images")
    image_id_format: str = like_convert("image_id_format")
    image_cache: str = like_convert(
        "image_cache", help="Local folder where images are looked for first, and kept too, for convert --image_urls."
    )
    fetch_connections: int = like_convert("fetch_connections")
    fetch_per_host: int = like_convert("fetch_per_host")
    fetch_attempts: int = like_convert("fetch_attempts")
    fetch_timeout: float = like_convert("fetch_timeout")
    fetch_private_redirects: bool = like_convert("fetch_private_redirects")
    max_image_bytes: int = like_convert("max_image_bytes")
    max_rejects: str = like_convert("max_rejects", help="Failures allowed, as a count (100) or percentage (1%).")

    def __post_init__(self) -> None:
        check_values(self)
        parse_max_rejects(self.max_rejects)
        for name in ("metadata", "output_dir"):
            if not getattr(self, name):
                raise ConfigError(name, f"is needed; give --{name}")
        if not self.image_urls and not self.images:
            raise ConfigError("image_urls", "is needed; give --image_urls, or --images")
        if self.image_urls and self.images:
            raise ConfigError("images", "is a second source of the images beside image_urls; give one of the two")
        if not self.split and any("{split}" in name for name in self.metadata):
            raise ConfigError("split", "is needed; give --split")
        if not is_local(self.output_dir):
            raise ConfigError("output_dir", f"{self.output_dir!r} is not a folder of this machine")

    @property
    def chooses(self) -> bool:
        """Whether the tables of boxes and labels choose the images; a file of ImageIDs needs no table."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return any(getattr(self, name) != defaults[name] for name in CHOICES)

    @classmethod
    def from_config(cls, config: ConvertConfig, layout: str = LAYOUTS[0]) -> "DownloadOptions":
        """Returns the options with the values of a configuration.

        Args:
            config: a configuration of `convert`, such as that of a release with `image_urls` and `output_dir`.
            layout: one of LAYOUTS.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "layout"]
        return cls(layout=layout, **{name: getattr(config, name) for name in names})
