r"""Merges datasets: splits of the same name become one, under one label map.

  oi-tfrecord merge records_v3 records_more --to=merged
  oi-tfrecord merge first second third --to=merged --split=train --label_map=label_map.pbtxt --on_duplicate=first

On Dataflow:

  oi-tfrecord merge gs://BUCKET/first gs://BUCKET/second --to=gs://BUCKET/merged \
    --runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp \
    --setup_file=./setup.py

Ids are those of the first folder's label map, and classes that it lacks get ids after its highest; every id in a
record is made anew from its MID. The same records and options give the same bytes, whatever the number of workers. A
run that was interrupted goes on when the same command is run again. Exit code 0: done; 1: a flag or file is to blame;
3: records were lost.
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import RECORDS_LOST, CommandParser, run_command
from oi_tfrecord.engine.progress_line import PrintedProgress


def make_parser() -> CommandParser:
    """Returns the parser of the command's own flags."""
    parser = CommandParser("merge", __doc__, "All flags of Apache Beam are taken too.")
    add = parser.add_argument
    add("inputs", metavar="DIR", nargs="+", help="Folders that `oi-tfrecord` wrote, on any Beam filesystem.")
    add("--to", required=True, help="Folder to write to.")
    add("--split", default="", help="Splits, separated by commas; all by default.")
    add("--label_map", default="", help="Label map to use as it is; it must have every class of the inputs.")
    add("--on_duplicate", default="error", help="Of an image that several have: error, or keep the first.")
    add("--common_keys", action="store_true", help="Leave out keys of records that not all inputs have.")
    add("--num_shards", type=int, default=0, help="Number of shards of each split; 0 chooses by the size.")
    add("--workers", type=int, default=0, help="Shards that this machine works on at once, a core each; 0 chooses.")
    add("--overwrite", action="store_true", help="Replace splits that are there.")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.derive.merge import MergeOptions, merge
    from oi_tfrecord.derive.write_split import describe_written

    parser = make_parser()

    def command() -> int:
        parsed, rest = parser.parse_with_beam_flags(arguments)
        options = MergeOptions(
            inputs=tuple(parsed.inputs),
            to=parsed.to,
            split=tuple(name for name in parsed.split.split(",") if name),
            label_map=parsed.label_map,
            on_duplicate=parsed.on_duplicate,
            common_keys=parsed.common_keys,
            num_shards=parsed.num_shards,
            workers=parsed.workers,
            overwrite=parsed.overwrite,
            beam_arguments=rest,
        )
        result = merge(options, PrintedProgress())
        for written in result.splits:
            print(describe_written(written))
        if not result.balanced:
            print(RECORDS_LOST, file=sys.stderr)
        return 0 if result.balanced else 3

    return run_command(command, "interrupted; run the same command again to go on")


if __name__ == "__main__":
    sys.exit(main())
