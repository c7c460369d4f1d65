"""`oi-tfrecord export`: exports records as tables, or as CSV files for the official evaluation."""

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.explore.export.write_tables import ExportOptions, describe_export, export


def run(parsed: ParsedFlags, console: Console) -> int:
    """Writes the tables, and prints how many rows each has."""
    console.print_summary(describe_export(export(parsed.make(ExportOptions), progress=console.progress)))
    return ExitCode.DONE


COMMAND = Command(
    name="export",
    examples=(
        Example("Parquet files", "oi-tfrecord export records --to=tables"),
        Example("From bucket to bucket", "oi-tfrecord export gs://BUCKET/records --to=gs://BUCKET/tables"),
        Example("CSV files for the official evaluation", "oi-tfrecord export records --to=official --format=oid"),
        Example(
            "A schema of a PostgreSQL database",
            "oi-tfrecord export records --to=postgresql://USER@HOST/DATABASE --schema=open_images",
        ),
    ),
    options=(ExportOptions, RunnerOptions),
    run=run,
    details=(
        "The command writes the tables images, boxes and image_labels of each split, and classes. Splits that are at "
        "the target are replaced, so the same command may be run again. Third-party records are exported as far as "
        "they have the keys.",
        "With --format=oid, each split becomes SPLIT-boxes.csv, SPLIT-image-labels.csv and, with masks, "
        "SPLIT-masks.csv, beside label_map.pbtxt: what metrics/oid_challenge_evaluation.py of the Object Detection API "
        "reads.",
        "PostgreSQL needs psycopg (the extra `postgresql`). Leave the password to ~/.pgpass or PGPASSWORD.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
    when_interrupted="interrupted; nothing was changed at the target",
)
