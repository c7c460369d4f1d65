"""What the state of an output folder is judged by: the part of a plan that says where and what is written."""

from typing import Any, Protocol

from oi_tfrecord.label_map import LabelMap
from oi_tfrecord.work_folder import WorkFolder


class OutputConfig(Protocol):
    """Where a split is written, and whether one that is there may be replaced."""

    @property
    def output_dir(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def overwrite(self) -> bool: ...


class OutputClasses(Protocol):
    """The classes of an output; the label map is None while it depends on counts."""

    @property
    def label_map(self) -> LabelMap | None: ...


class OutputPlan(Protocol):
    """A plan that writes a split."""

    @property
    def config(self) -> OutputConfig: ...
    @property
    def classes(self) -> OutputClasses: ...
    @property
    def work(self) -> WorkFolder: ...
    @property
    def fingerprint(self) -> dict[str, Any]: ...
