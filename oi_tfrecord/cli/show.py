"""`oi-tfrecord show`: prints a record, and draws its boxes."""

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.explore.show import ShowOptions, show


def run(parsed: ParsedFlags, console: Console) -> int:
    """Prints the record."""
    console.print_data(f"{show(parsed.make(ShowOptions))}\n")
    return ExitCode.DONE


COMMAND = Command(
    name="show",
    examples=(
        Example("The first record of a shard", "oi-tfrecord show records/validation.tfrecord-00000-of-00123"),
        Example(
            "Another record, with its boxes drawn",
            "oi-tfrecord show gs://BUCKET/records/train.tfrecord-00000-of-02048:7 --png=record.png",
        ),
    ),
    options=(ShowOptions,),
    run=run,
    details=(
        "Each key is printed with its kind, the number of its values, and the values. Names of classes come from "
        "label_map.pbtxt beside the shard.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
)
