"""Writes a report on a dataset: totals, classes, boxes, sizes, sources, flags, rejects, and the published counts.

  oi-tfrecord report records                                  # records/report.html
  oi-tfrecord report records --format=json --output=report.json
  oi-tfrecord report gs://BUCKET/records --output=report.html

The page is one file that needs no network, with the licence of the chart library (uPlot, MIT) inside. Every number of
it is also in --format=json and --format=csv. All records are read, and their checksums with them.
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import CommandParser, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.explore.report.write_report import FORMATS, ReportOptions, describe_report, report

    parser = CommandParser("report", __doc__, "Flags of Apache Beam for its filesystems are taken too.")
    parser.add_argument("output_dir", help="Folder of the records: what --output_dir of convert was.")
    parser.add_argument("--output", default="", help="File to write, - for standard output. Default: in the folder.")
    parser.add_argument("--format", choices=FORMATS, default="html", help="Default: html.")
    parser.add_argument("--split", action="append", default=[], help="Only this split; may be given again.")
    parser.add_argument("--workers", type=int, default=0, help="Processes; 0 chooses. Default: 0.")

    def command() -> int:
        parsed, rest = parser.parse_with_beam_flags(arguments)
        split = tuple(parsed.split)
        made = report(ReportOptions(parsed.output_dir, parsed.output, parsed.format, split, parsed.workers, rest))
        if made.path:
            print("\n".join(describe_report(made)))
        else:
            sys.stdout.write(made.text)
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
