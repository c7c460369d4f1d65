"""The whole conversion on Prism, the runner that Beam builds in Go."""

import pathlib

import pytest

from tests.support import small_release
from tests.support.engines.engine import (
    free_ports,
    installed,
    portable_flags,
    run_on_engine,
    servers_in,
    write_boot,
)
from tests.support.small_release import Release


@pytest.fixture(scope="module")
def prism() -> pathlib.Path:
    return installed("prism") / "prism"


def test_prism_that_beam_starts_gives_the_files_of_a_local_run(
    prism: pathlib.Path, engine_release: Release, local_files: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    done = run_on_engine(engine_release, tmp_path, "--runner=PrismRunner", f"--prism_location={prism}")
    assert done.returncode == 0, done.stderr
    assert small_release.dataset(tmp_path) == local_files


def test_prism_with_worker_processes_gives_the_files_of_a_local_run(
    prism: pathlib.Path, engine_release: Release, local_files: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    port, web_port = free_ports(2)
    boot = write_boot(tmp_path)
    with servers_in(tmp_path) as servers:
        servers.start("prism", [prism, f"--job_port={port}", f"--web_port={web_port}"])
        servers.await_port("prism", port)
        done = run_on_engine(engine_release, tmp_path / "out", *portable_flags(port, boot))
        assert done.returncode == 0, done.stderr + servers.log("prism")
    assert small_release.dataset(tmp_path / "out") == local_files
    assert (tmp_path / "workers").read_text().split()
