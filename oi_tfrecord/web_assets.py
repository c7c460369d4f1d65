"""The files of the pages, which travel in the package.

`web/vendor/uplot` is uPlot 1.6.32 (github.com/leeoniya/uPlot, MIT licence beside it) as published.
"""

import importlib.resources


def read_asset(name: str) -> str:
    """Returns the text of a file of `oi_tfrecord/web`, by its path there."""
    return importlib.resources.files("oi_tfrecord").joinpath("web", *name.split("/")).read_text(encoding="utf-8")
