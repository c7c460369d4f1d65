r"""Downloads the images of a split to files, and lists what was had and what was not.

  oi-tfrecord download --config=v3 --split=validation --data_dir=2017_11 \
    --image_urls=thumbnail --output_dir=validation --max_rejects=5%

stores validation/<ImageID>.jpg, and validation/success.csv and validation/failures.csv in the
layout of images.csv, the failures with the columns reason, status (of HTTP) and detail. Originals
are checked against OriginalSize and OriginalMD5. Run it again to go on: what is there is kept, and
what failed is tried again. Then

  oi-tfrecord convert --config=v3 --split=validation --data_dir=2017_11 \
    --images='validation/{image_id}.jpg' --output_dir=records

Needs aiohttp: pip install 'oi_tfrecord[download]'. Exit code 2: more failed than --max_rejects.
"""

import dataclasses
import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import CommandParser, run_command

_FIELDS = (
    "split", "data_dir", "metadata", "image_urls", "output_dir", "image_cache", "image_ids", "fetch_connections",
    "fetch_per_host", "fetch_attempts", "fetch_timeout", "max_image_bytes", "max_rejects",
)  # fmt: skip

_HELP = {
    "output_dir": "Folder for the images and the two lists.",
    "image_urls": "Which URL: original or thumbnail (about 300 K pixels; made from the original where there is none).",
    "image_cache": "Local folder where images are looked for first, and kept too, for convert --image_urls.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.engine.progress_line import PrintedProgress
    from oi_tfrecord.settings.convert_config import ConvertConfig
    from oi_tfrecord.settings.yaml_file import read_config
    from oi_tfrecord.sources.download import download
    from oi_tfrecord.sources.download_counts import describe_failures, summary_lines
    from oi_tfrecord.sources.download_options import LAYOUTS, DownloadOptions

    parser = CommandParser("download", __doc__)
    parser.add_argument("--config", help="Configuration file, or the name of a shipped one (v3).")
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="image_id",
        help="image_id: <ImageID>.jpg; url: <first 3 characters>/<base name of OriginalURL>, for --url_folders.",
    )
    for field in dataclasses.fields(ConvertConfig):
        if field.name in _FIELDS:
            kind = str if isinstance(field.default, tuple) else type(field.default)
            help_text = _HELP.get(field.name, field.metadata["help"]).replace("%", "%%")
            required = field.name == "output_dir"
            parser.add_argument(f"--{field.name}", type=kind, required=required, help=help_text)

    def command() -> int:
        parsed = vars(parser.parse_args(arguments))
        overrides = {name: parsed[name] for name in _FIELDS if parsed[name] is not None}
        config = read_config(parsed["config"], overrides)
        result = download(DownloadOptions.from_config(config, parsed["layout"]), progress=PrintedProgress())
        print(*summary_lines(result), sep="\n")
        if result.has_too_many_failures:
            print(f"error: {describe_failures(result)}", file=sys.stderr)
            return 2
        return 0

    return run_command(command, "interrupted; run the same command again to resume")


if __name__ == "__main__":
    sys.exit(main())
