"""The fingerprint of a conversion: what must be equal for a run to resume another one."""

import json
import posixpath
from collections.abc import Mapping, Sequence

from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.records.keys import RECORD_FORMAT
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources.archive_listing import ArchiveFile
from oi_tfrecord.storage.secrets import without_secrets


def make_fingerprint(
    config: ConvertConfig,
    tables: Sequence[InputFile],
    archives: Sequence[ArchiveFile],
    class_files: Mapping[str, str],
) -> dict[str, object]:
    """Returns what decides the bytes of the output, but for the number of shards, as JSON values.

    Args:
        config: complete configuration.
        tables: the CSV files.
        archives: the archives of images and masks.
        class_files: path to SHA-256.
    """
    # The number of shards that is decided is added later: a resumed run may give the number that was planned.
    shaping = {name: value for name, value in config.shaping().items() if name != "num_shards"}
    values = {
        "record_format": RECORD_FORMAT,
        "config": shaping,
        "inputs": [
            *(_identity(str(file.table), file.path, file.size, file.modified, file.header_crc32c) for file in tables),
            *(_identity(str(file.listing), file.path, file.size, file.modified) for file in archives),
        ],
        "class_files": sorted(class_files.values()),
    }
    return dict(json.loads(json.dumps(without_secrets(values))))


def _identity(kind: str, path: str, size: int, modified: float, header_crc32c: int = 0) -> list[str | int | float]:
    """Returns what identifies an input file: a file that was moved to another folder is the same."""
    return [kind, posixpath.basename(path), size, modified, header_crc32c]
