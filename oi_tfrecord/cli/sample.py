"""`oi-tfrecord sample`: generates a small invented dataset."""

import dataclasses
import pathlib

from oi_tfrecord.cli.command import Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.openimages.release_headers import RELEASES
from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option


@dataclasses.dataclass(frozen=True)
class SampleOptions:
    """What the sample dataset is."""

    output_dir: str = option(REQUIRED, "Folder to write to.", Group.OUTPUT)
    release: str = option("v3", "Release whose layout the files have.", Group.RECORDS, Choice(tuple(RELEASES)))
    train_images: int = option(48, "Images of the train split.", Group.RECORDS, Range(0, 1_000_000))
    validation_images: int = option(12, "Images of the validation split.", Group.RECORDS, Range(0, 1_000_000))
    seed: int = option(20171116, "The same seed gives the same bytes.", Group.RECORDS)

    def __post_init__(self) -> None:
        check_values(self)


def run(parsed: ParsedFlags, console: Console) -> int:
    """Generates the dataset and prints how many images and rows each file has."""
    from oi_tfrecord.engine.progress_text import CountedStatus
    from oi_tfrecord.openimages.demo.release import generate

    options = parsed.make(SampleOptions)
    folder = pathlib.Path(options.output_dir)
    status = CountedStatus(options.train_images + options.validation_images, "images drawn")
    with console.progress.watch(status):
        summary = generate(
            folder,
            release=options.release,
            train_images=options.train_images,
            validation_images=options.validation_images,
            seed=options.seed,
            count=status.count,
        )
    lines = [f"{split}: {count} images" for split, count in summary.images.items()]
    lines += [f"{folder / path}: {rows} rows" for path, rows in summary.rows.items()]
    console.print_result(lines, summary)
    return 0


COMMAND = Command(
    name="sample",
    examples=(
        Example("In the layout of V3", "oi-tfrecord sample --output_dir=sample"),
        Example("In the layout of V6", "oi-tfrecord sample --output_dir=sample_v6 --release=v6"),
    ),
    options=(SampleOptions, SummaryOptions),
    run=run,
)
