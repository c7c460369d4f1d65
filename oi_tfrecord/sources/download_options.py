"""The options of `download`."""

import dataclasses
from typing import Any

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Choice, parse_max_rejects
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option
from oi_tfrecord.storage.paths import is_local

LAYOUTS = ("image_id", "url")


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
        for name in ("metadata", "output_dir", "image_urls"):
            if not getattr(self, name):
                raise ConfigError(name, f"is needed; give --{name}")
        if not self.split and any("{split}" in name for name in self.metadata):
            raise ConfigError("split", "is needed; give --split")
        if not is_local(self.output_dir):
            raise ConfigError("output_dir", f"{self.output_dir!r} is not a folder of this machine")

    @classmethod
    def from_config(cls, config: ConvertConfig, layout: str = LAYOUTS[0]) -> "DownloadOptions":
        """Returns the options with the values of a configuration.

        Args:
            config: a configuration of `convert`, such as that of a release with `image_urls` and `output_dir`.
            layout: one of LAYOUTS.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "layout"]
        return cls(layout=layout, **{name: getattr(config, name) for name in names})
