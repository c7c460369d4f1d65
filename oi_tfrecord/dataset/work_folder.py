"""The folder of an unfinished conversion: paths and files of what its steps leave for each other and for a resumed run.

It lies beside the output, so that a resumed run finds it and a rename stays on one storage:

    <output_dir>/.oi_tfrecord-<split>/
        fingerprint.json    what must be equal for a run to resume the conversion
        inputs.json         what the tables held (`input_content`), before a shard is written
        results/            account of each finished shard, with its piece of the list of rejects
        rejects/            pieces of the list of rejects, of ranges
        attribution/        parts of the list of attributions, of shards
        damage/             what is wrong with each damaged archive
        kept/               images of tar.gz archives (`sources.kept_images`)
        chosen_images       which of these images are kept
        progress/           what each worker has done until now
        shuffle/            rows by shard, of a run on this machine
        temporary/          files that are being written
        image_ids-*         a long list of images to keep; box_ids-* of masks (`conversion.kept_lists`)
        limit_below.json    the limit that `max_images` stands for
        finished            mark of a finished conversion (see below)
        error.json          the error that ended the run (`error_relay`)
        label_map.pbtxt     the label map that the shards are written with (`label_map_claim`)

Where images were rejected that may be there in another run, the folder stays with the results and attribution of a
finished conversion, so that another run writes only the shards of these images again.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator

from oi_tfrecord import storage

_ERROR_FILE = "error.json"

_FINISHED_FILE = "finished"

_INPUTS_FILE = "inputs.json"

_LIMIT_FILE = "limit_below.json"

_FOLDERS = ("results", "rejects", "attribution", "damage", "kept", "progress", "shuffle", "temporary")


def digest_fingerprint(fingerprint: dict[str, object]) -> str:
    """Returns a short name of a conversion: equal fingerprints give equal names."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


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

    @property
    def kept(self) -> str:
        """Folder of the images of tar.gz archives."""
        return storage.join(self.path, "kept")

    @property
    def chosen_images(self) -> str:
        """File of the keys of the ImageIDs that are chosen, sorted, 8 bytes each."""
        return storage.join(self.path, "chosen_images")

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

    def conversion(self) -> str:
        """Returns the digest of the stored fingerprint, empty if there is none."""
        fingerprint = self.fingerprint()
        return "" if fingerprint is None else digest_fingerprint(fingerprint)

    def clear_temporary(self) -> None:
        """Deletes what a run that was killed left half written, and what every run writes again."""
        storage.delete(storage.join(self.path, _ERROR_FILE))
        for name in ("temporary", "progress", "shuffle", "rejects"):
            storage.delete_folder(storage.join(self.path, name))
            storage.make_folder(storage.join(self.path, name))

    def keep_results(self) -> None:
        """Keeps of a finished run what a rerun needs to write some of its shards again, and deletes the rest."""
        storage.delete(storage.join(self.path, _ERROR_FILE))
        storage.delete(self.chosen_images)
        for name in ("temporary", "progress", "shuffle", "rejects", "damage", "kept"):
            storage.delete_folder(storage.join(self.path, name))
        if not self.is_kept():
            # The mark comes last and by a rename: a run that is killed before leaves all to be done by the next one.
            storage.make_folder(self.temporary)
            storage.write(storage.join(self.path, _FINISHED_FILE), b"", self.temporary)
            storage.delete_folder(self.temporary)

    def is_kept(self) -> bool:
        """Returns whether the folder was left by a conversion that had finished."""
        return storage.exists(storage.join(self.path, _FINISHED_FILE))

    def write_inputs(self, data: bytes) -> None:
        """Stores what the tables held."""
        storage.write(storage.join(self.path, _INPUTS_FILE), data, self.temporary)

    def read_inputs(self) -> bytes | None:
        """Returns what the tables held; None before a shard was written."""
        path = storage.join(self.path, _INPUTS_FILE)
        return storage.read(path) if storage.exists(path) else None

    def delete_results(self, shards: Iterable[int]) -> None:
        """Deletes the results of shards, which are then to be written again."""
        storage.delete_all(storage.join(self.path, "results"), [f"shard-{shard:05d}.json" for shard in shards])

    def write_result(self, shard: int, data: bytes) -> None:
        """Stores the result of a finished shard."""
        storage.write(storage.join(self.path, "results", f"shard-{shard:05d}.json"), data, self.temporary)

    def read_result(self, shard: int) -> bytes:
        """Returns the stored result of a finished shard."""
        return storage.read(storage.join(self.path, "results", f"shard-{shard:05d}.json"))

    def find_result(self, shard: int) -> bytes | None:
        """Returns the stored result of a shard, None if there is none."""
        path = storage.join(self.path, "results", f"shard-{shard:05d}.json")
        return storage.read(path) if storage.size(path) is not None else None

    def results(self) -> Iterator[bytes]:
        """Returns the stored results of finished shards."""
        return self._read_all("results", "shard-*.json")

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
        """Returns the pieces of the rejects file by name, those of ranges in file order."""
        return map(bytes.decode, self._read_all("rejects", "*.csv"))

    def write_damage(self, name: str, damage: str) -> None:
        """Stores what is wrong with an archive; empty text deletes what an earlier run stored."""
        path = storage.join(self.path, "damage", name)
        if damage:
            storage.write(path, damage.encode(), self.temporary)
        else:
            storage.delete(path)

    def damage(self, listing: str) -> list[str]:
        """Returns what is wrong with the archives of a listing, those without damage left out."""
        return [data.decode() for data in self._read_all("damage", f"{listing}-*")]

    def write_attribution(self, shard: int, piece: bytes) -> None:
        """Stores a shard's part of the attribution file."""
        storage.write(storage.join(self.path, "attribution", f"part-{shard:05d}.csv"), piece, self.temporary)

    def attribution(self) -> Iterator[bytes]:
        """Returns the parts of the attribution file, by shard."""
        return self._read_all("attribution", "part-*.csv")

    def write_progress(self, worker: str, data: bytes) -> None:
        """Replaces a worker's progress."""
        storage.write(storage.join(self.path, "progress", worker + ".json"), data, self.temporary)

    def progress(self) -> Iterator[bytes]:
        """Returns the progress of each worker."""
        return self._read_all("progress", "*.json")

    def write_limit(self, limit: int) -> None:
        """Stores the limit that `max_images` means."""
        storage.write(storage.join(self.path, _LIMIT_FILE), json.dumps(limit).encode(), self.temporary)

    def limit(self) -> int:
        """Returns the stored limit."""
        return int(json.loads(storage.read(storage.join(self.path, _LIMIT_FILE))))

    def write_error(self, data: bytes) -> None:
        """Stores the error that ends the run."""
        storage.write(storage.join(self.path, _ERROR_FILE), data, self.temporary)

    def read_error(self) -> bytes:
        """Returns the stored error."""
        return storage.read(storage.join(self.path, _ERROR_FILE))

    def delete(self) -> None:
        """Deletes the folder."""
        storage.delete_folder(self.path)

    def _read_all(self, folder: str, pattern: str) -> Iterator[bytes]:
        infos = storage.match(storage.join(storage.escape(self.path), folder, pattern))
        return storage.read_all([info.path for info in infos])
