"""The folder of an unfinished conversion: its fingerprint, finished shards' results, rejects, progress.

It lies beside the output, so that a rerun finds it and a rename stays on one storage:
`<output_dir>/.oi_tfrecord-<split>/{fingerprint.json,results/,rejects/,attribution/,progress/,shuffle/,temporary/}`.
"""

import base64
import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator

from oi_tfrecord import storage
from oi_tfrecord.errors import EncodedFileError, EngineError, FileError, InputError, OiTfrecordError, StorageError
from oi_tfrecord.storage.faults import of_os_error

_ERROR_FILE = "error.json"

_MARK = "oi_tfrecord-error:"

_LIMIT_FILE = "limit_below.json"

_FOLDERS = ("results", "rejects", "attribution", "progress", "shuffle", "temporary")


@dataclasses.dataclass(frozen=True)
class WorkFolder:
    """Paths and files of the work folder at `path`."""

    path: str

    @classmethod
    def of(cls, output_dir: str, split: str) -> "WorkFolder":
        """Returns the work folder of a split in `output_dir`."""
        return cls(storage.join(output_dir, f".oi_tfrecord-{split}"))

    @property
    def temporary(self) -> str:
        """Folder of files that are being written."""
        return storage.join(self.path, "temporary")

    @property
    def shuffle(self) -> str:
        """Folder of the files of a local run's shuffle."""
        return storage.join(self.path, "shuffle")

    def create(self, fingerprint: dict[str, object]) -> None:
        """Makes the folders, and the fingerprint if there is none."""
        for name in _FOLDERS:
            storage.make_folder(storage.join(self.path, name))
        if self.fingerprint() is None:
            data = json.dumps(fingerprint, indent=1, sort_keys=True).encode()
            storage.write(storage.join(self.path, "fingerprint.json"), data, self.temporary)

    def fingerprint(self) -> dict[str, object] | None:
        """Returns the fingerprint of the conversion that the folder belongs to, None if there is none."""
        path = storage.join(self.path, "fingerprint.json")
        return json.loads(storage.read(path)) if storage.exists(path) else None

    def clear_temporary(self) -> None:
        """Deletes what a run that was killed left half written."""
        storage.delete(storage.join(self.path, _ERROR_FILE))
        for name in ("temporary", "progress", "shuffle"):
            storage.delete_folder(storage.join(self.path, name))
            storage.make_folder(storage.join(self.path, name))

    def write_result(self, shard: int, data: bytes) -> None:
        """Stores the result of a finished shard."""
        storage.write(storage.join(self.path, "results", f"shard-{shard:05d}.json"), data, self.temporary)

    def read_result(self, shard: int) -> bytes:
        """Returns the stored result of a finished shard."""
        with self.reported():
            return storage.read(storage.join(self.path, "results", f"shard-{shard:05d}.json"))

    def results(self) -> Iterator[bytes]:
        """Yields the stored results of finished shards."""
        for info in storage.match(storage.join(storage.escape(self.path), "results", "shard-*.json")):
            yield storage.read(info.path)

    def count_results(self) -> int:
        """Returns the number of finished shards."""
        return len(storage.match(storage.join(storage.escape(self.path), "results", "shard-*.json")))

    def write_rejects(self, name: str, piece: str) -> None:
        """Stores a piece of the rejects file; an empty one is deleted, in case an earlier run left one."""
        path = storage.join(self.path, "rejects", name + ".csv")
        if piece:
            storage.write(path, piece.encode(), self.temporary)
        else:
            storage.delete(path)

    def rejects(self) -> Iterator[str]:
        """Yields the pieces of the rejects file by name: ranges in file order, then shards."""
        for info in storage.match(storage.join(storage.escape(self.path), "rejects", "*.csv")):
            yield storage.read(info.path).decode()

    def write_attribution(self, shard: int, piece: bytes) -> None:
        """Stores a shard's part of the attribution file."""
        storage.write(storage.join(self.path, "attribution", f"part-{shard:05d}.csv"), piece, self.temporary)

    def attribution(self) -> Iterator[bytes]:
        """Yields the parts of the attribution file, by shard."""
        for info in storage.match(storage.join(storage.escape(self.path), "attribution", "part-*.csv")):
            yield storage.read(info.path)

    def write_progress(self, worker: str, data: bytes) -> None:
        """Replaces a worker's progress."""
        storage.write(storage.join(self.path, "progress", worker + ".json"), data, self.temporary)

    def progress(self) -> Iterator[bytes]:
        """Yields the progress of each worker."""
        for info in storage.match(storage.join(storage.escape(self.path), "progress", "*.json")):
            yield storage.read(info.path)

    def write_limit(self, limit: int) -> None:
        """Stores the limit that `max_images` means."""
        storage.write(storage.join(self.path, _LIMIT_FILE), json.dumps(limit).encode(), self.temporary)

    def limit(self) -> int:
        """Returns the stored limit."""
        return int(json.loads(storage.read(storage.join(self.path, _LIMIT_FILE))))

    @contextlib.contextmanager
    def reported(self) -> Iterator[None]:
        """Keeps a FileError of the block for the user, as runners hand on no more than the text of an exception.

        An OSError becomes a StorageError. It is stored, or, as the storage may be what fails, told in the
        text of the exception (`error`).
        """
        try:
            yield
        except OSError as error:
            raise self._keep(of_os_error(error, self.path)) from error
        except FileError as error:
            raise self._keep(error) from error.__cause__

    def _keep(self, error: FileError) -> OiTfrecordError:
        values = [type(error) is StorageError, error.path, error.problem, error.remedy, error.line]
        data = json.dumps(values)
        try:
            storage.write(storage.join(self.path, _ERROR_FILE), data.encode(), self.temporary)
        except (OSError, FileError):
            return EncodedFileError(f"{_MARK}{base64.b64encode(data.encode()).decode()}{_MARK}")
        return error

    def error(self, raised: BaseException) -> FileError | None:
        """Returns the error that ended this run, if a worker told one.

        Args:
            raised: what the runner raised.
        """
        if isinstance(raised, EngineError):
            # What a worker told before was mended by trying again.
            return None
        path = storage.join(self.path, _ERROR_FILE)
        data = b""
        if told := re.search(f"{_MARK}([A-Za-z0-9+/=]+){_MARK}", str(raised)):
            data = base64.b64decode(told[1])
        else:
            with contextlib.suppress(OSError, FileError):
                data = storage.read(path)
        if not data:
            return None
        of_storage, *values = json.loads(data)
        return (StorageError if of_storage else InputError)(*values)

    def delete(self) -> None:
        """Deletes the folder."""
        storage.delete_folder(self.path)
