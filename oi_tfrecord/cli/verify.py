r"""Reads a dataset back and checks it: framing, records, images, label ids, counts.

  oi-tfrecord verify records
  oi-tfrecord verify records --split=validation --decode --format=json > result.json

On Dataflow:

  oi-tfrecord verify gs://BUCKET/records --runner=DataflowRunner --project=PROJECT --region=REGION \
    --temp_location=gs://BUCKET/tmp --setup_file=./setup.py

The folder may also hold third-party records (NAME-00000-of-00010, with .tfrecord or .record before
or after): without a manifest there is less to compare with, and a key that no reader needs may
be missing. The table of keys says how many records of a split have each key that the Object Detection
API, its offline evaluation and Model Garden read, or that is our own.

Exit code 0: no fault. Exit code 1: faults, each with its shard, record, byte offset, ImageID
and key; or a flag or file must be corrected, and a line on standard error begins with "error:".
"""

import json
import sys
import time
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import CommandParser, run_command
from oi_tfrecord.engine.progress_line import PrintedProgress


def make_parser() -> CommandParser:
    """Returns the parser of the command's own flags."""
    parser = CommandParser("verify", __doc__, "All flags of Apache Beam are taken too.")
    parser.add_argument("output_dir", metavar="OUTPUT_DIR", help="Folder of the records, on any Beam filesystem.")
    parser.add_argument("--split", default="", help="Splits, separated by commas; all by default.")
    parser.add_argument("--decode", action="store_true", help="Decode every image, not only read its header.")
    parser.add_argument("--label_map", default="", help="Label map; label_map.pbtxt of the folder by default.")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="Format of the result.")
    parser.add_argument("--max_faults", type=int, default=100, help="Faults to list; all are counted.")
    parser.add_argument(
        "--workers", type=int, default=0, help="Shards that this machine works on at once, a core each; 0 chooses."
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.verification.result import describe_result, to_values
    from oi_tfrecord.verification.verify import VerifyOptions, verify

    parser = make_parser()

    def command() -> int:
        parsed, rest = parser.parse_with_beam_flags(arguments)
        options = VerifyOptions(
            output_dir=parsed.output_dir,
            split=tuple(name for name in parsed.split.split(",") if name),
            label_map=parsed.label_map,
            decode=parsed.decode,
            max_faults=parsed.max_faults,
            workers=parsed.workers,
            beam_arguments=rest,
        )
        started = time.monotonic()
        result = verify(options, PrintedProgress())
        if parsed.format == "json":
            print(json.dumps(to_values(result), indent=1))
        else:
            print("\n".join(describe_result(result, time.monotonic() - started)))
        return 0 if result.ok else 1

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
