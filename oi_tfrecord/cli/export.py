"""Exports records as tables, as Parquet files or into PostgreSQL.

  oi-tfrecord export records --to=tables
  oi-tfrecord export records --to=postgresql://USER@HOST/DATABASE --schema=open_images
  oi-tfrecord export gs://BUCKET/records --to=gs://BUCKET/tables --project=PROJECT

writes images, boxes and image_labels of each split, and classes. A split that is there is replaced, so the same
command may be run again. Records of others are taken too, as far as their keys go. PostgreSQL needs psycopg:
pip install 'oi_tfrecord[postgresql]'; the password is best left to ~/.pgpass or PGPASSWORD.
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import CommandParser, run_command


def make_parser() -> CommandParser:
    """Returns the parser of the command's own flags."""
    parser = CommandParser("export", __doc__, "Flags of Apache Beam for its filesystems are taken too.")
    parser.add_argument("output_dir", help="Folder of the records.")
    parser.add_argument("--to", required=True, help="Folder for Parquet files, or postgresql://USER@HOST/DATABASE.")
    parser.add_argument("--schema", default="", help="Schema of the database (open_images).")
    parser.add_argument("--splits", default="", help="Splits to export, separated by commas; all by default.")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.explore.export.write_tables import ExportOptions, describe_export, export

    parser = make_parser()

    def command() -> int:
        parsed, rest = parser.parse_with_beam_flags(arguments)
        splits = tuple(name for name in parsed.splits.split(",") if name)
        result = export(ExportOptions(parsed.output_dir, parsed.to, parsed.schema, splits, rest))
        print("\n".join(describe_export(result)))
        return 0

    return run_command(command, "interrupted; nothing was changed at the target")


if __name__ == "__main__":
    sys.exit(main())
