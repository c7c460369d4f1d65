"""Writes a report on a dataset: totals, classes, boxes, sizes, sources, flags, rejects, and the published counts.

  oi-tfrecord report records                                  # records/report.html
  oi-tfrecord report records --format=json --output=report.json
  oi-tfrecord report gs://BUCKET/records --output=report.html

The page is one file that needs no network, with the licence of the chart library (uPlot, MIT) inside. Every number of
it is also in --format=json and --format=csv. All records are read, and their checksums with them.
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.command_line import CommandParser
from oi_tfrecord.errors import OiTfrecordError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.report import FORMATS, report

    parser = CommandParser("report", __doc__)
    parser.add_argument("output_dir", help="Folder of the records: what --output_dir of convert was.")
    parser.add_argument("--output", default="", help="File to write, - for standard output. Default: in the folder.")
    parser.add_argument("--format", choices=FORMATS, default="html", help="Default: html.")
    parser.add_argument("--split", action="append", default=[], help="Only this split; may be given again.")
    parser.add_argument("--workers", type=int, default=0, help="Processes; 0 chooses. Default: 0.")
    try:
        parsed = parser.parse_args(arguments)
        report(parsed.output_dir, parsed.output, parsed.format, parsed.split, parsed.workers, sys.stdout)
    except (OiTfrecordError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
