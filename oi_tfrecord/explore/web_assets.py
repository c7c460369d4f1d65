"""The files of the pages, which travel in the package.

`assets/vendor/uplot` is uPlot 1.6.32 (github.com/leeoniya/uPlot, MIT licence beside it) as published.
"""

import importlib.resources
import json
from typing import Any


def read_asset(name: str) -> str:
    """Returns the text of a file of `oi_tfrecord/explore/assets`, by its path there."""
    return (
        importlib.resources.files("oi_tfrecord.explore")
        .joinpath("assets", *name.split("/"))
        .read_text(encoding="utf-8")
    )


def embed(value: Any) -> str:
    """Returns JSON that ends no script element and opens no comment, whatever it holds."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
