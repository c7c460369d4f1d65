"""The files of the report and browser pages, which are part of the package.

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
    """Returns JSON for a script element: no text in the value can end the element or open a comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
