"""What the tests on real engines share: where an engine is, its processes, the worker they start, the comparison."""

import contextlib
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.support import small_release
from tests.support.processes import wait_until
from tests.support.small_release import Release

INSTALLED = small_release.ROOT / ".venv-engines"
SHARED = {"extra_keys": "attribution", "label_order": "frequency", "csv_block_mb": 1, "num_shards": 12}


def installed(name: str) -> pathlib.Path:
    """Returns the folder of an engine; without it the test is skipped."""
    folder = INSTALLED / name
    if not (folder / "stamp").exists():
        pytest.skip(f"{name} is not installed: make engines")
    return folder


def write_release(folder: pathlib.Path) -> Release:
    """Writes a release whose tables are several ranges."""
    return small_release.write_release(folder, images=150, boxes=140, title_bytes=20_000)


def convert_locally(release: Release, output_dir: pathlib.Path) -> dict[str, bytes]:
    """Returns the files of a conversion by the default local runner."""
    done = small_release.run_command(release.flags(output_dir, workers=1, **SHARED))
    assert done.returncode == 0, done.stderr
    return small_release.dataset(output_dir)


def engine_command(release: Release, output_dir: pathlib.Path, *beam_flags: str) -> list[str]:
    """Returns the command that converts on an engine."""
    return small_release.command(*release.flags(output_dir, **SHARED), *beam_flags)


def run_on_engine(release: Release, output_dir: pathlib.Path, *beam_flags: str) -> subprocess.CompletedProcess[str]:
    """Converts on an engine; a hang ends the test after a while."""
    return subprocess.run(
        engine_command(release, output_dir, *beam_flags),
        cwd=small_release.ROOT,
        env=small_release.environment(),
        text=True,
        capture_output=True,
        timeout=500,
    )


@contextlib.contextmanager
def started(
    release: Release,
    folder: pathlib.Path,
    worker: str,
    begun: Callable[[], bool],
    flags: Callable[[pathlib.Path], Sequence[str]],
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a conversion to be disturbed, yields it when it is where it is to be, and ends it.

    Args:
        release: its input.
        folder: of its output, `out`, and what the command prints, `err`.
        worker: module of tests.support.engines that works in the place of the usual worker.
        begun: whether it is where it is to be disturbed.
        flags: Beam's flags, given the program that boots workers.
    """
    boot = write_boot(folder, f"tests.support.engines.{worker}")
    with (folder / "err").open("w+") as err:
        running = subprocess.Popen(
            engine_command(release, folder / "out", *flags(boot)),
            cwd=small_release.ROOT,
            env=small_release.environment(),
            stdout=err,
            stderr=err,
        )

        def has_begun() -> bool:
            assert running.poll() is None, (folder / "err").read_text()
            return begun()

        try:
            wait_until(has_begun, "the conversion is where it is to be disturbed")
            yield running
        finally:
            running.kill()
            running.wait()


def finished(output_dir: pathlib.Path) -> int:
    """Returns how many shards of a conversion that runs are written."""
    return len(list(output_dir.glob(".oi_tfrecord-train/results/*.json")))


def portable_flags(job_port: int, boot: pathlib.Path) -> list[str]:
    """Returns the flags that submit to a job server whose engine starts `boot` as worker processes."""
    return [
        "--runner=PortableRunner", f"--job_endpoint=localhost:{job_port}", "--environment_type=PROCESS",
        f'--environment_config={{"command": "{boot}"}}',
    ]  # fmt: skip


def write_boot(
    folder: pathlib.Path, module: str = "oi_tfrecord.engine.process_worker", **variables: object
) -> pathlib.Path:
    """Writes a program that boots workers of this source tree and notes the process and its parent.

    In an installed package it is `oi-tfrecord-worker`. `variables` are set in its environment.
    """
    settings = shlex.join(f"{name}={value}" for name, value in variables.items())
    path = folder / "boot.sh"
    root = shlex.quote(str(small_release.ROOT))
    path.write_text(
        f"#!/bin/sh\necho $$ $PPID >> {shlex.quote(str(folder / 'workers'))}\n"
        f'cd {root} && exec env PYTHONPATH={root} {settings} {shlex.quote(sys.executable)} -m {module} "$@"\n'
    )
    path.chmod(0o755)
    return path


def free_ports(count: int) -> list[int]:
    """Returns ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def listens(port: int) -> bool:
    """Returns whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Servers:
    """Processes of an engine, each a session of its own with a log."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str | pathlib.Path]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                list(map(str, command)), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def await_port(self, name: str, port: int) -> None:
        def ready() -> bool:
            assert self.running[name].poll() is None, self.log(name)
            return listens(port)

        wait_until(ready, f"{name} listens")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def kill(self, name: str) -> None:
        """Kills the server alone; what it started goes on."""
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def stop(self) -> None:
        """Ends all of them and what they started."""
        for server in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@contextlib.contextmanager
def servers_in(folder: pathlib.Path) -> Iterator[Servers]:
    """Yields the servers of a folder and ends them."""
    servers = Servers(folder)
    try:
        yield servers
    finally:
        servers.stop()


JAVA_17 = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in (
        "java.io", "java.lang", "java.lang.invoke", "java.lang.reflect", "java.math", "java.net", "java.nio",
        "java.security", "java.text", "java.time", "java.util", "java.util.concurrent",
        "java.util.concurrent.atomic", "java.util.concurrent.locks", "sun.net.dns", "sun.nio.ch", "sun.nio.cs",
        "sun.security.action", "sun.util.calendar",
    )
]  # fmt: skip


def java(memory_mb: int, class_path: Sequence[str | pathlib.Path], main: str, *arguments: str) -> list[str]:
    """Returns a command line of Java 17; its compiler is the fast one, as these programs live for seconds."""
    return [
        "java", *JAVA_17, f"-Xmx{memory_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-cp", os.pathsep.join(map(str, class_path)), main, *arguments,
    ]  # fmt: skip
