"""The image of templates/dataflow/Dockerfile, built on stand-ins of its bases, as worker and as launcher."""

import json
import os
import pathlib
import re
from collections.abc import Iterator

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from tests.support import small_release
from tests.support.container.image import BASE, IMAGE, Container, container_of, launch, versions
from tests.support.engines.engine import (
    SHARED,
    convert_locally,
    free_ports,
    installed,
    listens,
    run_on_engine,
    servers_in,
    write_release,
)
from tests.support.object_servers import serve
from tests.support.small_release import Release

METADATA = json.loads((small_release.ROOT / "templates" / "dataflow" / "metadata.json").read_text())
REGEXES = {parameter["name"]: parameter["regexes"] for parameter in METADATA["parameters"]}
POOL_PORT = 50000
"""Beam's boot program has no flag for it."""


@pytest.fixture(scope="module")
def image() -> Iterator[Container]:
    with container_of(IMAGE) as container:
        yield container


@pytest.fixture(scope="module")
def base(image: Container) -> Iterator[Container]:
    with container_of(BASE) as container:
        yield container


@pytest.fixture(scope="module")
def shared(image: Container, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Returns the folder that the container and this machine have by the same path."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def release(shared: pathlib.Path) -> Release:
    return write_release(shared / "data")


@pytest.fixture(scope="module")
def local(release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return convert_locally(release, tmp_path_factory.mktemp("local"))


def parameters_of(release: Release, output_dir: pathlib.Path | str) -> dict[str, str]:
    """Returns parameters of the template."""
    flags = release.flags(output_dir, **SHARED)
    parameters = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    return {**parameters, "sdk_container_image": "region-docker.pkg.dev/project/repository/oi-tfrecord:0.2.0"}


def test_as_worker_of_prism_it_gives_the_files_of_a_local_run(
    image: Container, shared: pathlib.Path, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    prism = installed("prism") / "prism"
    entry = image.image_config()["Entrypoint"]
    assert entry == ["/opt/apache/beam/boot"]
    assert not listens(POOL_PORT), f"port {POOL_PORT} is in use"
    port, web_port = free_ports(2)
    with servers_in(tmp_path) as servers:
        servers.start("pool", image.command(*entry, "--worker_pool", folder=shared))
        servers.await_port("pool", POOL_PORT)
        servers.start("prism", [prism, f"--job_port={port}", f"--web_port={web_port}"])
        servers.await_port("prism", port)
        done = run_on_engine(
            release, shared / "prism", "--runner=PortableRunner", f"--job_endpoint=localhost:{port}",
            "--environment_type=EXTERNAL", f"--environment_config=localhost:{POOL_PORT}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + servers.log("prism") + servers.log("pool")
    assert small_release.dataset(shared / "prism") == local
    assert "Starting worker with command ['/opt/apache/beam/boot'" in (tmp_path / "pool.log").read_text()


def test_as_launcher_it_starts_the_conversion_with_the_parameters(
    image: Container, shared: pathlib.Path, release: Release, local: dict[str, bytes]
) -> None:
    """Without the service's flags, which name the runner, the conversion runs in the launcher."""
    output_dir = shared / "launched"
    done = image.run(*launch(parameters_of(release, output_dir)), folder=shared)
    assert done.returncode == 0, done.stderr
    assert small_release.dataset(output_dir) == local


def test_as_launcher_it_builds_the_job_for_workers_of_the_same_image(image: Container, release: Release) -> None:
    with serve("gs") as bucket:
        for path in filter(pathlib.Path.is_file, release.folder.rglob("*")):
            bucket.put(f"data/{path.relative_to(release.folder)}", path.read_bytes())
        parameters = {
            **parameters_of(release, f"{bucket.root}/records"),
            "data_dir": f"{bucket.root}/data",
            "images": f"{bucket.root}/data/images/{{image_id}}.jpg",
        }
        for name, value in parameters.items():
            assert all(re.match(regex, value) for regex in REGEXES[name]), f"the service would refuse {name}={value}"
        service = [
            "--runner=DataflowRunner", "--project=project-id", "--region=r", "--no_auth",
            f"--temp_location={bucket.root}/tmp", f"--template_location={bucket.root}/template.json",
        ]  # fmt: skip
        done = image.run(*launch(parameters, service), variables=bucket.environment())
        assert done.returncode == 0, done.stderr
        staged = {name.rpartition("/")[2]: data for name, data in bucket.get_all("tmp/").items()}
    graph = beam_runner_api_pb2.Pipeline.FromString(staged["pipeline.pb"])
    [environment] = graph.components.environments.values()
    payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
    assert payload.container_image == parameters["sdk_container_image"]
    # Nothing is installed on top of the image: beside the job it is, for the log, a list of versions.
    assert staged.keys() == {"pipeline.pb", "submission_environment_dependencies.txt"}


def test_it_takes_every_parameter_of_the_description(image: Container) -> None:
    describe = "import json, templates.dataflow.make_metadata as m; print(json.dumps(m.template_metadata()))"
    assert json.loads(image.output("python", "-c", describe)) == METADATA
    flags = [
        f"--{parameter['name']}={parameter['helpText'].partition(' Example: ')[2]}"
        for parameter in METADATA["parameters"]
    ]
    script = (
        "import sys\nfrom oi_tfrecord.cli.convert_flags import parse_convert\n"
        "for flag in sys.argv[1:]: parse_convert([flag])\n"
        "print(len(sys.argv) - 1)"
    )
    assert int(image.output("python", "-c", script, *flags)) == len(METADATA["parameters"])


def test_of_beams_image_no_package_is_replaced(image: Container, base: Container) -> None:
    before, after = versions(base), versions(image)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"absl-py", "oi_tfrecord", "zlib_ng"}


def files_of(container: Container) -> set[str]:
    """Returns the absolute paths of all files in a container."""
    root = str(container.root)
    return {
        os.path.join(folder, name).removeprefix(root) for folder, _, names in os.walk(root) for name in names
    }  # fmt: skip


def test_nothing_is_added_but_packages_and_the_file_to_start(base: Container) -> None:
    script = (
        "from importlib.metadata import distributions\n"
        "for distribution in distributions():\n"
        "    for path in distribution.files or (): print(distribution.locate_file(path).resolve())"
    )
    # A worker or launcher that ran in a container leaves files of its own there.
    with container_of(IMAGE) as image:
        packaged = set(image.output("python", "-c", script).splitlines())
        added = {path for path in files_of(image) - files_of(base) if path not in packaged}
    # Python compiles what it imports.
    added = {path for path in added if "/__pycache__/" not in path}
    assert added == {
        "/opt/google/dataflow/python_template_launcher", "/template/pipelines/convert.py", "/template/requirements.txt",
    }  # fmt: skip


def test_nothing_is_added_to_the_environment_but_the_file_to_start(image: Container, base: Container) -> None:
    added = set(image.image_config()["Env"]) - set(base.image_config()["Env"])
    assert added == {"FLEX_TEMPLATE_PYTHON_PY_FILE=/template/pipelines/convert.py"}
