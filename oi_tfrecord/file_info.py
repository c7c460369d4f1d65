"""What a storage tells of a file."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """A file that was found by its name.

    Attributes:
      path: its name.
      size: in bytes.
      modified: last modification, seconds since the epoch (0 where the storage does not tell).
    """

    path: str
    size: int
    modified: float
