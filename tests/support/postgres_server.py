"""A PostgreSQL server of a test's own, on a socket in a folder of its own."""

import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from tests.support.optional import require
from tests.support.processes import wait_until

REMEDY = "PostgreSQL is not installed: make postgresql"


def find_programs() -> pathlib.Path | None:
    """Returns the folder of `initdb` and `postgres`, which Debian keeps off the PATH; the newest of several."""
    folders = sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    if found := shutil.which("initdb"):
        folders.append(pathlib.Path(found).resolve().parent)
    return next((path for path in folders if (path / "initdb").exists() and (path / "postgres").exists()), None)


@contextlib.contextmanager
def serve(programs: pathlib.Path) -> Iterator[str]:
    """Starts a server, yields the URL of its database, and stops it."""
    # Not below pytest's folder: that is closed to the user that the server runs as.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="oi_tfrecord-postgres-"))
    account: dict[str, object] = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    options = {"cwd": folder, "stdin": subprocess.DEVNULL, **account}
    url = f"postgresql://tester@/postgres?host={folder}"
    try:
        made = subprocess.run(  # type: ignore[call-overload]
            [
                programs / "initdb",
                "-D",
                folder / "data",
                "-U",
                "tester",
                "-A",
                "trust",
                "-N",
                "-E",
                "UTF8",
                "--no-locale",
            ],
            capture_output=True,
            text=True,
            **options,
        )
        assert made.returncode == 0, made.stderr
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(  # type: ignore[call-overload]
                [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-F"],
                stdout=log,
                stderr=log,
                **options,
            )
        try:
            wait_until(lambda: server.poll() is not None or _answers(url), "PostgreSQL answers")
            assert server.poll() is None, (folder / "log").read_text()
            yield url
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    psycopg = require("psycopg")
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
