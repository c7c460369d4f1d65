"""Fixtures of the tests on engines: a release, what a local run makes of it, a Flink cluster."""

from collections.abc import Iterator

import pytest

from tests.support.engines.engine import convert_locally, installed, servers_in, write_release
from tests.support.engines.flink_cluster import FlinkCluster
from tests.support.small_release import Release


@pytest.fixture(scope="module")
def engine_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release whose tables are several ranges; a module may have one of its own by this name."""
    return write_release(tmp_path_factory.mktemp("release") / "data")


@pytest.fixture(scope="module")
def local_files(engine_release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a conversion by the default local runner; ask for the engine first, without which there is none."""
    return convert_locally(engine_release, tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="module")
def flink_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    folder = installed("flink")
    with servers_in(tmp_path_factory.mktemp("flink")) as servers:
        yield FlinkCluster(servers, folder)
