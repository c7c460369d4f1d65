"""Browses a dataset: opens its index, or makes it, and serves the pages until the user stops the server."""

import dataclasses
import functools
from collections.abc import Callable

from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.notebook import is_notebook
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.access import LOOPBACK, make_access, make_notebook_access
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.notebook import show_frame, start_in_thread
from oi_tfrecord.settings.allowed_values import Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option


@dataclasses.dataclass(frozen=True)
class BrowseOptions:
    """Which dataset `browse` serves, and where: the flags of the command."""

    output_dir: str = option(REQUIRED, "Folder of the records.", Group.INPUTS, positional="DIR")
    detections: str = option("", "File of detections to show beside the records, as evaluate takes it.", Group.INPUTS)
    host: str = option(
        LOOPBACK,
        "Name or IP address to listen on; 0.0.0.0 lets other machines ask, with the token of the address.",
        Group.OUTPUT,
    )
    port: int = option(8000, "Port of the server; 0 takes a free one.", Group.OUTPUT, Range(0, (1 << 16) - 1))
    index_dir: str = option("", "Folder of the index; browse-index beside the records by default.", Group.OUTPUT)
    workers: int = option(0, "Processes that make the index; 0 chooses.", Group.RUNNER, Range(0, 1024))
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)


@dataclasses.dataclass(frozen=True)
class Browsing:
    """A server that listens.

    Attributes:
        address: of the first page; the path is a token, without which the server answers nothing.
        images: number of images that the pages show.
    """

    address: str
    images: int


def browse(
    options: BrowseOptions,
    on_start: Callable[[Browsing], None] = lambda browsing: None,
    progress: Progress | None = None,
) -> None:
    """Serves a dataset to a web browser until it is interrupted.

    In a notebook, the server runs until the notebook's program ends, and the function shows the browser below the cell
    and returns. The server takes a free port there if the port is taken, as by an earlier run of the cell.

    Args:
        options: which dataset, and where.
        on_start: called once, when the server listens.
        progress: shows messages and how far the run is; silent by default.

    Raises:
        ConfigError: if host or port cannot be had.
        InputError: see `open_index` and `BrowsedDataset`.
    """
    from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
    from oi_tfrecord.explore.browse.server import serve

    accept_beam_arguments(options.beam_arguments)
    index = open_index(options.output_dir, options.index_dir, options.workers, progress or NoProgress())
    dataset = BrowsedDataset(options.output_dir, index, options.detections)
    if is_notebook():
        start = functools.partial(serve, dataset, make_notebook_access(options.host), options.host)
        address = _start_beside_notebook(start, options.port)
        on_start(Browsing(address, index.records))
        show_frame(address)
        return
    access = make_access(options.host)
    serve(dataset, access, options.host, options.port, lambda address: on_start(Browsing(address, index.records)))


def _start_beside_notebook(start: Callable[[int, Callable[[str], None]], None], port: int) -> str:
    """Starts a server in a thread, on another port where the port is taken; returns its address."""
    try:
        return start_in_thread(functools.partial(start, port))
    except ConfigError:
        return start_in_thread(functools.partial(start, 0))
