"""`oi-tfrecord verify`: reads a dataset back and checks it."""

import dataclasses
import json
import time
from typing import Any

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.options import Group, check_values, option
from oi_tfrecord.verification.result import describe_key_table, describe_result, to_values
from oi_tfrecord.verification.verify import VerifyOptions, verify
from oi_tfrecord.verification.verify_quick import describe_quick, quick_values, verify_quick


@dataclasses.dataclass(frozen=True)
class _KeyOptions:
    """How much is read, and what is printed besides the verdict."""

    quick: bool = option(
        False, "Read no record: compare sizes and checksums of shards, in a bucket those that it keeps.", Group.INPUTS
    )
    keys: bool = option(False, "Print the keys of the records, and who reads each key.", Group.OUTPUT)

    def __post_init__(self) -> None:
        check_values(self)
        if self.quick and self.keys:
            raise ConfigError(
                "quick", "reads no record, so that their keys are not known; leave out --keys, or --quick"
            )


def run(parsed: ParsedFlags, console: Console) -> int:
    """Checks the dataset and prints the result."""
    more = parsed.make(_KeyOptions)
    if more.quick:
        compared = verify_quick(parsed.make(VerifyOptions), console.progress)
        return _print(console, compared.ok, [*describe_quick(compared)], quick_values(compared))
    started = time.monotonic()
    result = verify(parsed.make(VerifyOptions), console.progress)
    lines = [*describe_result(result, time.monotonic() - started)]
    if more.keys:
        lines += describe_key_table(result)
    return _print(console, result.ok, lines, to_values(result))


def _print(console: Console, ok: bool, lines: list[str], values: dict[str, Any]) -> int:
    if console.summary.format == "json":
        console.print_data(json.dumps(values, indent=1) + "\n")
    elif ok:
        console.print_summary(lines)
    else:
        console.print_data("\n".join(lines) + "\n")
    return ExitCode.DONE if ok else ExitCode.FAILED


COMMAND = Command(
    name="verify",
    examples=(
        Example("All splits of a folder", "oi-tfrecord verify records"),
        Example(
            "Sizes and checksums alone, after a copy to a bucket", "oi-tfrecord verify gs://BUCKET/records --quick"
        ),
        Example(
            "One split with every image decoded, as JSON",
            "oi-tfrecord verify records --split=validation --decode --format=json",
        ),
        Example(
            "On Dataflow",
            "oi-tfrecord verify gs://BUCKET/records --runner=DataflowRunner --project=PROJECT --region=REGION "
            "--temp_location=gs://BUCKET/tmp --sdk_container_image=IMAGE",
        ),
    ),
    options=(VerifyOptions, _KeyOptions, RunnerOptions, SummaryOptions),
    run=run,
    details=(
        "The command checks framing, records, images, label ids and counts. Each fault is printed with its shard, "
        "record, byte offset, ImageID and key. With --quiet, a dataset without faults prints nothing.",
        "The folder may also hold third-party records (NAME-00000-of-00010, with .tfrecord or .record before or after "
        "the numbers). Without a manifest the command cannot know which records must be there, and says so; keys that "
        "readers do not need may be missing. A folder with other files of a conversion but without its manifest has a "
        "fault.",
        "--quick compares the files, sizes and CRC-32C of shards with the manifest, and reads no record. On a local "
        "disk the bytes are read once; in a bucket, what the store keeps is compared: Google Cloud Storage keeps the "
        "CRC-32C of each object (needs the extra gcp), S3 that of objects that were uploaded with one (needs the extra "
        "aws). Where the store keeps none, only the size is compared, and the command says so.",
        "The table of keys shows how many records of a split have each key that the Object Detection API, its offline "
        "evaluation and Model Garden read, and each key of our own.",
    ),
    beam_flags=BeamFlags.ALL,
    exit_codes=(ExitCode.DONE, ExitCode.FAILED, ExitCode.WORKER_DIED, ExitCode.INTERRUPTED),
)
