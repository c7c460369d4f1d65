"""Converts a split from Datumaro's `open_images` to its `tf_detection_api`.

Run it with the Python that tests/support/peers/install_peer.sh makes for datumaro:

    python convert_datumaro.py --dataset_dir=DIR --output_dir=DIR

`dataset_dir` has Datumaro's layout: `images/<subset>/<ImageID>.jpg` and, under `annotations`, tables with the names and
columns of Open Images V5 (tests/benchmarks/peer_inputs.py makes it of V3's). Datumaro's own command line does the same,
but needs four more packages (its extra `cli`).
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from datumaro.components.dataset import Dataset  # type: ignore[import-not-found]


def main() -> None:
    """Runs the conversion."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--output_dir", required=True)
    options = parser.parse_args()
    dataset = Dataset.import_from(options.dataset_dir, "open_images")
    dataset.export(options.output_dir, "tf_detection_api", save_media=True)


if __name__ == "__main__":
    main()
