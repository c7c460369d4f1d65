"""The list of commands, by task. Their modules are imported when a command is run: some take a second to import."""

import importlib
from collections.abc import Mapping

from oi_tfrecord.cli.command import Command

TASKS: Mapping[str, Mapping[str, str]] = {
    "Make records": {
        "sample": "Generates a small invented dataset in the layout of a release of Open Images.",
        "fetch": "Downloads the tables and class files of a split.",
        "download": "Downloads images of a split, by their URLs or from a bucket.",
        "convert": "Converts one split of Open Images to TFRecords.",
    },
    "Check and look at records": {
        "verify": "Reads a dataset back and checks framing, records, images, label ids and counts.",
        "show": "Prints a record, and draws its boxes.",
        "browse": "Shows a dataset in a web browser on this machine.",
        "report": "Writes a page of charts and counts of a dataset.",
    },
    "Make datasets from datasets": {
        "resample": "Makes a subset or a fold of a split, or weights for training with it.",
        "merge": "Merges datasets under one label map.",
    },
    "Use records": {
        "training-config": "Writes the settings of the Object Detection API or of Model Garden for the records.",
        "evaluate": "Scores detections against the records of a split, by the official protocols.",
        "export": "Exports records as tables (Parquet, PostgreSQL), or as CSV files for the official evaluation.",
    },
}
"""By task, the name of each command and what the command does, in the order of the help."""

SUMMARIES: Mapping[str, str] = {name: summary for commands in TASKS.values() for name, summary in commands.items()}

COMMANDS = tuple(SUMMARIES)


def load_command(name: str) -> Command:
    """Imports a command.

    Args:
        name: one of COMMANDS; its module is `oi_tfrecord.cli.NAME`, with an underscore for a dash.
    """
    command: Command = importlib.import_module(f"oi_tfrecord.cli.{name.replace('-', '_')}").COMMAND
    return command
