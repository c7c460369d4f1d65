"""Beam's options, of which each view is made once."""

from collections.abc import Sequence
from typing import TypeVar

from apache_beam.options.pipeline_options import PipelineOptions

View = TypeVar("View", bound=PipelineOptions)


class KeptOptions(PipelineOptions):
    """Options that keep their views.

    Beam asks for some 400 views while it builds a conversion, and parses the command line for each: a tenth of the
    time of a small one. All views share their values, so that one of each kind does.
    """

    def __init__(self, arguments: Sequence[str]):
        """Initializes the instance.

        Args:
            arguments: flags that Beam owns.
        """
        super().__init__(list(arguments))
        # Beam's own attributes only can be set the usual way.
        self.__dict__["_views"] = {}

    def view_as(self, cls: type[View]) -> View:
        """Returns the view of a kind; see `PipelineOptions.view_as`."""
        views = self.__dict__["_views"]
        if cls not in views:
            views[cls] = super().view_as(cls)
        view: View = views[cls]
        return view
