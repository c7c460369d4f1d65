"""The whole conversion on Spark, through Beam's job server."""

import pathlib
from collections.abc import Iterator

import pytest
import small_release
from engines.engine import (
    Servers,
    convert_locally,
    free_ports,
    installed,
    java,
    portable_flags,
    run_on_engine,
    servers_in,
    write_boot,
    write_release,
)


@pytest.fixture(scope="module")
def spark() -> pathlib.Path:
    return installed("spark")


@pytest.fixture
def servers(tmp_path: pathlib.Path) -> Iterator[Servers]:
    with servers_in(tmp_path) as servers:
        yield servers


def test_spark_gives_the_files_of_a_local_run(spark: pathlib.Path, servers: Servers, tmp_path: pathlib.Path) -> None:
    [port] = free_ports(1)
    arguments = [
        "--spark-master-url=local[4]", "--job-host=localhost", f"--job-port={port}", "--artifact-port=0",
        "--expansion-port=0", f"--artifacts-dir={tmp_path / 'artifacts'}",
    ]  # fmt: skip
    main = "org.apache.beam.runners.spark.SparkJobServerDriver"
    servers.start("jobserver", java(800, [spark / "jars" / "*"], main, *arguments))
    release = write_release(tmp_path / "release")
    local = convert_locally(release, tmp_path / "local")
    servers.await_port("jobserver", port)
    boot = write_boot(tmp_path)
    done = run_on_engine(release, tmp_path / "out", *portable_flags(port, boot))
    assert done.returncode == 0, done.stderr + servers.log("jobserver")
    assert small_release.dataset(tmp_path / "out") == local
    assert (tmp_path / "workers").read_text().split()
