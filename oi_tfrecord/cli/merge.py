"""`oi-tfrecord merge`: merges datasets under one label map."""

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.exit_codes import RECORDS_LOST, ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.derive.merge import MergeOptions, merge
from oi_tfrecord.derive.write_split import describe_written


def run(parsed: ParsedFlags, console: Console) -> int:
    """Merges the datasets, and prints a line for each split."""
    result = merge(parsed.make(MergeOptions), console.progress)
    console.print_result((describe_written(written) for written in result.splits), result)
    if not result.balanced:
        console.print_error(RECORDS_LOST)
        return ExitCode.LOST
    return ExitCode.DONE


COMMAND = Command(
    name="merge",
    examples=(
        Example("All splits of two folders", "oi-tfrecord merge records_v3 records_more --to=merged"),
        Example(
            "One split of three folders, under a label map of your own",
            "oi-tfrecord merge first second third --to=merged --split=train --label_map=label_map.pbtxt "
            "--on_duplicate=first",
        ),
        Example(
            "On Dataflow",
            "oi-tfrecord merge gs://BUCKET/first gs://BUCKET/second --to=gs://BUCKET/merged --runner=DataflowRunner "
            "--project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp --sdk_container_image=IMAGE",
        ),
    ),
    options=(MergeOptions, RunnerOptions, SummaryOptions),
    run=run,
    details=(
        "Splits of the same name become one. Classes have the ids of the first folder's label map; classes that it "
        "lacks get ids after its highest. Each id in a record is written again from the MID of its class.",
        "The same records and options give the same bytes, whatever the number of workers. Run the same command again "
        "to resume an interrupted run.",
    ),
    beam_flags=BeamFlags.ALL,
    exit_codes=(ExitCode.DONE, ExitCode.FAILED, ExitCode.LOST, ExitCode.WORKER_DIED, ExitCode.INTERRUPTED),
    when_interrupted="interrupted; run the same command again to resume",
)
