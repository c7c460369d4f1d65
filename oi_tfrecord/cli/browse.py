"""`oi-tfrecord browse`: shows a dataset in a web browser."""

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.explore.browse.browse import BrowseOptions, Browsing, browse


def run(parsed: ParsedFlags, console: Console) -> int:
    """Serves the pages until the user interrupts the command."""

    def print_address(browsing: Browsing) -> None:
        console.print_data(f"images     {browsing.images:,}\nbrowse     {browsing.address}  (Ctrl+C ends the server)\n")

    browse(parsed.make(BrowseOptions), print_address, console.progress)
    return ExitCode.DONE


COMMAND = Command(
    name="browse",
    examples=(
        Example("Then open the address that is printed", "oi-tfrecord browse records"),
        Example("Records in a bucket, with the index here", "oi-tfrecord browse gs://BUCKET/records --index_dir=index"),
    ),
    options=(BrowseOptions,),
    run=run,
    details=(
        "The pages search by class and ImageID, filter, and show boxes, labels and raw records. Only this machine "
        "(127.0.0.1) can reach the server, and only the address that is printed, with its token, is answered: other "
        "users of the machine do not know the token. The server reads no file outside of the folder.",
        "On a remote machine or in a notebook, --host=0.0.0.0 lets other machines ask, with the same token. The pages "
        "are sent unencrypted; a tunnel (ssh -L 8000:127.0.0.1:8000 MACHINE) needs no --host.",
        "The first start reads all records and stores an index beside them (browse-index), or in the cache folder of "
        "the user where the records cannot be written to.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
)
