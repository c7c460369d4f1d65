"""Objects that are written only if nobody else wrote them since: the conditional writes of object stores.

S3 and its likes compare the ETag (`If-None-Match`, `If-Match`), Google Cloud Storage the generation of an object.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from oi_tfrecord.storage import object_files
from oi_tfrecord.storage.object_faults import explain, may_pass
from oi_tfrecord.storage.object_store import ask, split_path


@dataclasses.dataclass(frozen=True)
class VersionedObject:
    """An object as it was at some time.

    Attributes:
        data: its bytes.
        e_tag: changes with each write.
        version: generation of the object; None where the store has none.
    """

    data: bytes
    e_tag: str | None
    version: str | None


class UnsupportedError(Exception):
    """The store refuses to write on a condition; the text is the path."""


def read_object(path: str) -> VersionedObject | None:
    """Returns an object with its version, None if there is none.

    Raises:
        StorageError: if the store cannot be reached or refuses.
    """
    import obstore

    def get() -> VersionedObject:
        answer = obstore.get(object_files.store_of(path).looker, split_path(path)[1])
        return VersionedObject(bytes(answer.bytes()), answer.meta["e_tag"], answer.meta["version"])

    try:
        return ask(get, may_pass)
    except Exception as error:
        explained = explain(error, path)
        if isinstance(explained, FileNotFoundError):
            return None
        raise explained from error


def create_object(path: str, data: bytes) -> VersionedObject | None:
    """Writes an object if there is none; raises as `read_object`.

    Returns:
        The object, None if there is another of this name.

    Raises:
        UnsupportedError: if the store does not know the condition.
    """
    return _put(path, data, "create")


def replace_object(path: str, data: bytes, before: VersionedObject) -> VersionedObject | None:
    """Writes an object if it is still as it was; raises as `read_object`.

    Returns:
        The object, None if it was written or deleted since.
    """
    version = {"e_tag": before.e_tag, "version": before.version}
    return _put(path, data, {name: value for name, value in version.items() if value is not None})


def _put(path: str, data: bytes, mode: Any) -> VersionedObject | None:
    import obstore
    from obstore.exceptions import AlreadyExistsError, NotFoundError, NotSupportedError, PreconditionError

    client, name = object_files.store_of(path).looker, split_path(path)[1]
    put: Callable[[], Any] = lambda: obstore.put(client, name, data, mode=mode, use_multipart=False)  # noqa: E731
    try:
        written = ask(put, may_pass)
    except (AlreadyExistsError, NotFoundError, PreconditionError):
        # If the answer to a successful write was lost, the second request fails though the object is ours.
        found = read_object(path)
        return found if found is not None and found.data == data else None
    except NotSupportedError as error:
        raise UnsupportedError(path) from error
    except Exception as error:
        if "status code: 501" in str(error):
            raise UnsupportedError(path) from error
        raise explain(error, path) from error
    return VersionedObject(data, written["e_tag"], written["version"])
