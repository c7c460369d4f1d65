"""Generates the sample dataset, in the layout of any release of Open Images.

oi-tfrecord sample --output_dir=sample
oi-tfrecord sample --output_dir=sample_v6 --release=v6
"""

import pathlib
import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import CommandParser, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = CommandParser("sample", __doc__)
    parser.add_argument("--output_dir", type=pathlib.Path, required=True, help="Folder to write to.")
    parser.add_argument("--release", default="v3", help="Layout of the files: v1 to v7.")
    parser.add_argument("--train_images", type=int, default=48, help="Images of the train split.")
    parser.add_argument("--validation_images", type=int, default=12, help="Images of the validation split.")
    parser.add_argument("--seed", type=int, default=20171116, help="The same seed gives the same bytes.")

    def command() -> int:
        from oi_tfrecord.openimages.demo.release import generate

        parsed = parser.parse_args(arguments)
        summary = generate(
            parsed.output_dir,
            release=parsed.release,
            train_images=parsed.train_images,
            validation_images=parsed.validation_images,
            seed=parsed.seed,
        )
        for split, count in summary.images.items():
            print(f"{split}: {count} images")
        for path, rows in summary.rows.items():
            print(f"{parsed.output_dir / path}: {rows} rows")
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
