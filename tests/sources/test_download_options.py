import dataclasses

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.options import options_of
from oi_tfrecord.settings.yaml_file import read_config
from oi_tfrecord.sources.download_options import DownloadOptions


def test_options_are_declared_as_those_of_convert() -> None:
    of_convert = {option.name: option for option in options_of(ConvertConfig)}
    for option in options_of(DownloadOptions):
        if option.name not in ("layout", "output_dir"):
            expected = of_convert[option.name]
            assert (option.kind, option.default, option.allowed) == (expected.kind, expected.default, expected.allowed)


def test_options_of_a_release() -> None:
    config = read_config("v3", {"split": "train", "output_dir": "out", "image_urls": "thumbnail", "max_rejects": "7"})
    options = DownloadOptions.from_config(config, "url")
    assert (options.split, options.output_dir, options.layout, options.max_rejects) == ("train", "out", "url", "7")
    assert options.metadata == config.metadata != ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"metadata": ()}, "metadata"),
        ({"output_dir": ""}, "output_dir"),
        ({"output_dir": "gs://b/x"}, "output_dir"),
        ({"image_urls": ""}, "image_urls"),
        ({"image_urls": "large"}, "image_urls"),
        ({"layout": "flat"}, "layout"),
        ({"metadata": ("{split}/images.csv",)}, "split"),
        ({"max_rejects": "x"}, "max_rejects"),
        ({"fetch_per_host": 0}, "fetch_per_host"),
    ],
)
def test_a_bad_value_names_its_field(changes: dict[str, object], field: str) -> None:
    good = DownloadOptions(output_dir="out", image_urls="original", metadata=("images.csv",))
    with pytest.raises(ConfigError) as raised:
        dataclasses.replace(good, **changes)
    assert raised.value.field == field
