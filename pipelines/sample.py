"""Generates the sample dataset, in the layout of any release of Open Images.

oi-tfrecord sample --output_dir=sample
oi-tfrecord sample --output_dir=sample_v6 --release=v6
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from oi_tfrecord.errors import OiTfrecordError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="oi-tfrecord sample", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", type=pathlib.Path, required=True, help="Folder to write to.")
    parser.add_argument("--release", default="v3", help="Layout of the files: v1 to v7.")
    parser.add_argument("--train_images", type=int, default=48, help="Images of the train split.")
    parser.add_argument("--validation_images", type=int, default=12, help="Images of the validation split.")
    parser.add_argument("--seed", type=int, default=20171116, help="The same seed gives the same bytes.")
    parsed = parser.parse_args(arguments)
    from oi_tfrecord.sample import generate

    try:
        summary = generate(
            parsed.output_dir,
            release=parsed.release,
            train_images=parsed.train_images,
            validation_images=parsed.validation_images,
            seed=parsed.seed,
        )
    except OiTfrecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for split, count in summary.images.items():
        print(f"{split}: {count} images")
    for path, rows in summary.rows.items():
        print(f"{parsed.output_dir / path}: {rows} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
