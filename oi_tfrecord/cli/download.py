"""`oi-tfrecord download`: downloads the images of a split to files."""

import dataclasses

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.settings.options import Group, check_values, option
from oi_tfrecord.settings.yaml_file import read_config
from oi_tfrecord.sources.download_options import LAYOUTS, DownloadOptions


@dataclasses.dataclass(frozen=True)
class _ConfigOptions:
    """Where the names of the metadata come from."""

    config: str = option(
        "", "Configuration file, or the name of a shipped one (v1 to v7); flags win over it.", Group.INPUTS
    )

    def __post_init__(self) -> None:
        check_values(self)


def run(parsed: ParsedFlags, console: Console) -> int:
    """Downloads the images, and prints how many there are."""
    from oi_tfrecord.conversion.dry_run.choose_images import download
    from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
    from oi_tfrecord.sources.download_counts import describe_failures, summary_lines

    accept_beam_arguments(parsed.beam_arguments)
    result = download(make_options(parsed), progress=console.progress)
    console.print_result(summary_lines(result), result)
    if result.has_too_many_failures:
        console.print_error(describe_failures(result))
        return ExitCode.REJECTED
    return ExitCode.DONE


def make_options(parsed: ParsedFlags) -> DownloadOptions:
    """Combines the flags with the configuration file, which is one of `convert`."""
    given = dict(parsed.given[DownloadOptions])
    layout = given.pop("layout", LAYOUTS[0])
    config = read_config(parsed.make(_ConfigOptions).config or None, given)
    options = DownloadOptions.from_config(config, layout)
    of_all_images = dataclasses.replace(options, select="")
    # The `select` of a shipped configuration says what records are for, and alone leaves no image out here.
    return options if "select" in given or of_all_images.chooses else of_all_images


COMMAND = Command(
    name="download",
    examples=(
        Example(
            "Thumbnails of the validation split; up to 5% may fail",
            "oi-tfrecord download --config=v3 --split=validation --data_dir=2017_11 --image_urls=thumbnail "
            "--output_dir=validation --max_rejects=5%",
        ),
        Example(
            "500 images of two classes, from the public bucket",
            "oi-tfrecord download --config=v7 --split=validation --data_dir=tables --classes=Cat,Dog --max_images=500 "
            "--images=cvdf --output_dir=cats_and_dogs",
        ),
    ),
    options=(_ConfigOptions, DownloadOptions, SummaryOptions),
    run=run,
    details=(
        "The command stores each image as <ImageID>.jpg, and writes success.csv and failures.csv in the layout of "
        "images.csv; failures.csv also has the columns reason, status (of HTTP) and detail. Originals are checked "
        "against OriginalSize and OriginalMD5.",
        "--classes, --max_images and the like choose the images that convert would choose, by the same tables.",
        "Run the same command again to resume: stored images are kept, and failed images are tried again. Then give "
        "--images='validation/{image_id}.jpg' to convert.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
    exit_codes=(ExitCode.DONE, ExitCode.FAILED, ExitCode.REJECTED, ExitCode.INTERRUPTED),
    when_interrupted="interrupted; run the same command again to resume",
)
