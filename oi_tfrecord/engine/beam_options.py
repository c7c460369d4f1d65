"""Beam's options, with each view made once."""

from collections.abc import Sequence
from typing import TypeVar

from apache_beam.options.pipeline_options import PipelineOptions

View = TypeVar("View", bound=PipelineOptions)


class KeptOptions(PipelineOptions):
    """Options that keep their views.

    Beam asks for some 400 views while it builds a conversion, and parses the command line for each, which is a tenth
    of the time of a small conversion. All views share their values, so one view of each kind is enough.
    """

    def __init__(self, arguments: Sequence[str]):
        """Parses the flags.

        Args:
            arguments: Beam's flags.
        """
        super().__init__(list(arguments))
        # Beam lets no attribute be set but its own.
        self.__dict__["_views"] = {}

    def view_as(self, cls: type[View]) -> View:
        """Returns the view of a kind; see `PipelineOptions.view_as`."""
        views = self.__dict__["_views"]
        if cls not in views:
            views[cls] = super().view_as(cls)
        view: View = views[cls]
        return view
