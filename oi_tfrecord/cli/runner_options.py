"""The flag of commands that run a pipeline, or read with Beam's flags what a pipeline wrote."""

import dataclasses

from oi_tfrecord.settings.options import Group, check_values, option


@dataclasses.dataclass(frozen=True)
class RunnerOptions:
    """Where Beam's flags come from, besides the command line."""

    runner_config: str = option(
        "",
        "File of Beam's flags, or the name of a shipped one (dataflow); dataflow with --runner=DataflowRunner.",
        Group.RUNNER,
    )

    def __post_init__(self) -> None:
        check_values(self)
