"""`oi-tfrecord fetch`: downloads the tables and class files that a conversion needs."""

import dataclasses

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option
from oi_tfrecord.settings.yaml_file import read_config
from oi_tfrecord.sources.download_options import like_convert


@dataclasses.dataclass(frozen=True)
class ConfigOptions:
    """Of which release the files are."""

    config: str = option(
        REQUIRED,
        "Configuration file, or the name of a shipped one (v1 to v7, challenge2019, challenge2019-segmentation, miap); "
        "flags win over it.",
        Group.INPUTS,
    )

    def __post_init__(self) -> None:
        check_values(self)


@dataclasses.dataclass(frozen=True)
class FetchOptions:
    """What is downloaded, and to where."""

    split: str = like_convert("split", default=REQUIRED, help="Split to download: train, validation or test.")
    data_dir: str = like_convert(
        "data_dir", help="Folder for the files, also of an object store; by default one in the user's cache."
    )
    task: str = like_convert("task")
    extra_keys: tuple[str, ...] = like_convert("extra_keys")
    hierarchy: tuple[str, ...] = like_convert("hierarchy")
    mirror: str = like_convert("mirror")
    downloads: str = like_convert("downloads")
    fetch_attempts: int = like_convert("fetch_attempts", help="Requests that bring no byte before the fetch gives up.")

    def __post_init__(self) -> None:
        check_values(self)


def run(parsed: ParsedFlags, console: Console) -> int:
    """Downloads what is missing, and prints where the files are."""
    from oi_tfrecord.conversion.fetch import fetch
    from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
    from oi_tfrecord.sources.fetch_files import summary_lines

    accept_beam_arguments(parsed.beam_arguments)
    parsed.make(FetchOptions)
    result = fetch(
        read_config(parsed.make(ConfigOptions).config, parsed.given[FetchOptions]), progress=console.progress
    )
    console.print_result(summary_lines(result), result)
    console.print_warnings(result.notes)
    return ExitCode.DONE


COMMAND = Command(
    name="fetch",
    examples=(
        Example(
            "Tables and class files of the validation split",
            "oi-tfrecord fetch --config=v7 --split=validation --data_dir=tables",
        ),
        Example(
            "Also the archives of the masks",
            "oi-tfrecord fetch --config=v7 --split=validation --data_dir=tables --extra_keys=masks",
        ),
        Example(
            "The same from a mirror, to a bucket",
            "oi-tfrecord fetch --config=v7 --split=validation --data_dir=gs://BUCKET/tables "
            "--mirror=https://mirror.example.org",
        ),
    ),
    options=(ConfigOptions, FetchOptions, SummaryOptions),
    run=run,
    details=(
        "Addresses, sizes and checksums are those of configs/downloads.csv. Files that are there are not asked for "
        "again. Of the archives of V1 to V3, only the files of the split are unpacked.",
        "Run the same command again to resume: a broken transfer continues at its byte, if the file on the server is "
        "still the same. convert --fetch does the same before it converts.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
    when_interrupted="interrupted; run the same command again to resume",
)
