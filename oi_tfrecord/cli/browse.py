"""Shows a dataset in a web browser on this machine: search by class and ImageID, filters, boxes, labels, raw records.

  oi-tfrecord browse records                       # then open the address it prints
  oi-tfrecord browse records --port=9000
  oi-tfrecord browse gs://BUCKET/records --index_dir=index

At the first start it reads all records once and keeps an index beside them (browse-index), or in the cache folder of
the user where it cannot write there. Only 127.0.0.1 can reach it, and it reads no file outside the folder.

Needs aiohttp: pip install 'oi_tfrecord[browse]'.
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import CommandParser, run_command
from oi_tfrecord.engine.progress_line import PrintedProgress


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = CommandParser("browse", __doc__, "Flags of Apache Beam for its filesystems are taken too.")
    parser.add_argument("output_dir", help="Folder of the records: what --output_dir of convert was.")
    parser.add_argument("--port", type=int, default=8000, help="Port; 0 takes a free one. Default: 8000.")
    parser.add_argument(
        "--index_dir", default="", help="Folder of the index. Default: browse-index beside the records."
    )
    parser.add_argument("--workers", type=int, default=0, help="Processes that make the index; 0 chooses. Default: 0.")

    def command() -> int:
        from oi_tfrecord.explore.browse.browse import BrowseOptions, Browsing, browse

        def print_address(browsing: Browsing) -> None:
            print(f"images     {browsing.images:,}")
            print(f"browse     {browsing.address}  (Ctrl+C ends it)", flush=True)

        parsed, rest = parser.parse_with_beam_flags(arguments)
        browse(BrowseOptions(**vars(parsed), beam_arguments=rest), print_address, PrintedProgress())
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
