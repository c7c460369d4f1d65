"""Sorts more rows than memory holds: sorted runs in a file, which are merged piece by piece."""

import bisect
from collections.abc import Iterator, Sequence

import pyarrow as pa


class SortedRuns:
    """A file of runs, each the sorted rows of one call of `add`.

    The runs are mapped into memory for the merge, so that the system can take their memory back.
    """

    def __init__(self, path: str, schema: pa.Schema, keys: Sequence[str]):
        """Creates the file.

        Args:
            path: of the file, on this machine.
            schema: of the rows.
            keys: columns to sort by; the first is a text, and rows with the same text are in one run.
        """
        self._path = path
        self._order = [(key, "ascending") for key in keys]
        self._writer = pa.ipc.new_file(path, schema)

    def add(self, table: pa.Table) -> None:
        """Adds rows in any order."""
        if table.num_rows:
            self._writer.write_table(table.sort_by(self._order).combine_chunks())

    def merge(self, rows: int) -> Iterator[pa.Table]:
        """Yields all rows in order.

        Args:
            rows: number of rows of a piece; a piece has at most about twice as many, unless more rows share a key.
        """
        self._writer.close()
        with pa.memory_map(self._path) as source, pa.ipc.open_file(source) as reader:
            runs = [reader.get_batch(index) for index in range(reader.num_record_batches)]
            for piece in merge_runs(runs, self._order[0][0], rows):
                yield piece.sort_by(self._order)


def merge_runs(runs: Sequence[pa.RecordBatch], key: str, rows: int) -> Iterator[pa.Table]:
    """Cuts sorted runs at the same keys.

    Args:
        runs: each sorted by `key`.
        key: name of a text column.
        rows: about how many rows a piece has.

    Yields:
        The rows of all runs between two cuts, unsorted; the keys of a piece are below those of the next piece.
    """
    # Every step-th key of each run stands for step rows, so that cuts at such keys make pieces of similar size.
    step = max(rows // max(len(runs), 1), 1)
    sampled = sorted(value for run in runs for value in run[key].take(pa.array(range(0, len(run), step))).to_pylist())
    cuts = sorted(set(sampled[max(rows // step, 1) :: max(rows // step, 1)]))
    ends = [_find_ends(run[key].to_pylist(), cuts) for run in runs]
    starts = [0] * len(runs)
    for piece in range(len(cuts) + 1):
        parts = [run.slice(start, end[piece] - start) for run, start, end in zip(runs, starts, ends, strict=True)]
        starts = [end[piece] for end in ends]
        if any(len(part) for part in parts):
            yield pa.Table.from_batches([part for part in parts if len(part)])


def _find_ends(keys: list[str], cuts: Sequence[str]) -> list[int]:
    """Returns where each piece of a run ends."""
    return [*(bisect.bisect_left(keys, cut) for cut in cuts), len(keys)]
