"""`oi-tfrecord report`: writes a page of charts and counts of a dataset."""

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.explore.report.write_report import ReportOptions, describe_report, report


def run(parsed: ParsedFlags, console: Console) -> int:
    """Writes the report, or prints it."""
    made = report(parsed.make(ReportOptions), progress=console.progress)
    if made.path:
        console.print_summary(describe_report(made))
    else:
        console.print_data(made.text)
    return ExitCode.DONE


COMMAND = Command(
    name="report",
    examples=(
        Example("The page records/report.html", "oi-tfrecord report records"),
        Example("With four pictures of each class", "oi-tfrecord report records --examples=4"),
        Example("The same numbers as JSON", "oi-tfrecord report records --format=json --output=report.json"),
    ),
    options=(ReportOptions, RunnerOptions),
    run=run,
    details=(
        "The report has totals, classes, boxes, sizes, sources, flags, rejects, and the published counts. The page is "
        "one file that needs no network; it contains the chart library uPlot and its licence (MIT). --format=json and "
        "--format=csv have every number of the page.",
        "--examples=N puts N pictures of each of the most frequent classes into the page. --browser=ADDRESS, with the "
        "address that `oi-tfrecord browse` prints, links each class to its images there, as long as that server runs.",
        "The command reads all records and checks their checksums.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
)
