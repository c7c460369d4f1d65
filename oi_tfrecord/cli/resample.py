"""`oi-tfrecord resample`: makes a subset or a fold of a split, or weights for training with it."""

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.exit_codes import RECORDS_LOST, ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.derive.resample import ResampleOptions, describe_resampled, resample


def run(parsed: ParsedFlags, console: Console) -> int:
    """Writes the split or the weights, and prints a line about them."""
    options = parsed.make(ResampleOptions)
    written = resample(options, console.progress)
    console.print_result([describe_resampled(options, written)], written)
    if not written.balanced:
        console.print_error(RECORDS_LOST)
        return ExitCode.LOST
    return ExitCode.DONE


COMMAND = Command(
    name="resample",
    examples=(
        Example(
            "A tenth of each class, at least one image of each class that has images",
            "oi-tfrecord resample records --split=train --to=small --fraction=0.1",
        ),
        Example(
            "The first 1,000 images of each class", "oi-tfrecord resample records --split=train --to=capped --cap=1000"
        ),
        Example(
            "The third of five folds",
            "oi-tfrecord resample records --split=train --to=folds --as=test_2 --folds=5 --fold=2 --part=test",
        ),
        Example(
            "LVIS repeat factors, as weights-train.csv beside the records",
            "oi-tfrecord resample records --split=train --repeat_threshold=0.001",
        ),
        Example(
            "On Dataflow",
            "oi-tfrecord resample gs://BUCKET/records --split=train --to=gs://BUCKET/small --fraction=0.1 "
            "--runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp "
            "--sdk_container_image=IMAGE",
        ),
    ),
    options=(ResampleOptions, RunnerOptions, SummaryOptions),
    run=run,
    details=(
        "The images of each class that are taken do not depend on the number of shards. Splits of one folder must not "
        "share images, which `oi-tfrecord verify` checks, so write subsets that overlap to folders of their own.",
        "The same records and options give the same bytes, whatever the number of workers. Run the same command again "
        "to resume an interrupted run.",
    ),
    beam_flags=BeamFlags.ALL,
    exit_codes=(ExitCode.DONE, ExitCode.FAILED, ExitCode.LOST, ExitCode.WORKER_DIED, ExitCode.INTERRUPTED),
    when_interrupted="interrupted; run the same command again to resume",
)
