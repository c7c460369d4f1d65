"""Fixtures of the end-to-end tests: a generated dataset, the command, the Object Detection API's reader."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from oi_tfrecord.cli.main import main
from oi_tfrecord.openimages.demo.release import generate
from oi_tfrecord.records.keys import ExtraKeys
from tests.support import postgres_server
from tests.support.engines.fixtures import engine_release, flink_cluster, local_files  # noqa: F401
from tests.support.no_skips import EVERYTHING, pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401
from tests.support.object_servers import Store, serve
from tests.support.optional import peer_python, require
from tests.support.skip_summary import pytest_terminal_summary  # noqa: F401
from tests.support.slow_store import SlowStore

# A parent such as nohup may ignore SIGINT, and every process that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `make container`, `make long` and `make trainings` run these.
collect_ignore = [] if os.environ.get("OI_TFRECORD_CONTAINER") else ["end_to_end/runners/test_container.py"]
if os.environ.get("OI_TFRECORD_LONG") != "1":
    collect_ignore += ["end_to_end/faults/test_flink_faults.py", "end_to_end/test_read_everywhere.py"]
    collect_ignore += ["end_to_end/trainers/test_trainings.py"]

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
# `make trainings` installs these environments, as each brings gigabytes of CUDA's libraries.
collect_ignore += [
    f"end_to_end/trainers/{module}"
    for module, name in (("test_torch_loader.py", "torchvision"), ("test_dali.py", "dali"))
    if not (REPOSITORY / f".venv-{name}" / "installed").exists()
]
DATA = REPOSITORY.parent / "shared" / "data"
PEER_READER = REPOSITORY / "tests" / "support" / "peers" / "od_read.py"

# A gate gives the same answer for the same tree: each test has the same examples there. Elsewhere each run searches.
settings.register_profile("search", deadline=None)
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.load_profile("fixed" if EVERYTHING else "search")


@dataclasses.dataclass(frozen=True)
class Converted:
    """A run of the command."""

    code: int
    output_dir: pathlib.Path
    out: str
    err: str

    def manifest(self, split: str = "train") -> dict[str, Any]:
        return json.loads((self.output_dir / "manifest.json").read_text())["splits"][split]

    def rejects(self, split: str = "train") -> list[list[str]]:
        import csv

        with (self.output_dir / f"rejects-{split}.csv").open(newline="") as file:
            return list(csv.reader(file))[1:]

    def shards(self, split: str = "train") -> list[pathlib.Path]:
        return sorted(self.output_dir.glob(f"{split}.tfrecord-*"))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The generated dataset, 48 train and 12 validation images. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("sample") / "sample"
    generate(folder)
    return folder


def convert_arguments(data: pathlib.Path, output_dir: pathlib.Path, *flags: str, split: str = "train") -> list[str]:
    """Returns the flags of `convert` for a folder in the sample's layout; `flags` are added or replace."""
    arguments = {
        "--config": str(REPOSITORY / "configs" / "v3.yaml"),
        "--split": split,
        "--data_dir": str(data / "2017_11"),
        "--images": str(data / "images" / "{split}" / "{image_id}.jpg"),
        "--output_dir": str(output_dir),
        "--num_shards": "3",
        "--workers": "1",
    }
    arguments |= {name: value for name, _, value in (flag.partition("=") for flag in flags)}
    return [f"{name}={value}" if value else name for name, value in arguments.items()]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Converted]:
    """Runs `convert` in this process on a folder in the sample's layout."""

    def run_convert(data: pathlib.Path, output_dir: pathlib.Path, *flags: str, split: str = "train") -> Converted:
        capfd.readouterr()
        code = main(["convert", *convert_arguments(data, output_dir, *flags, split=split)])
        out, err = capfd.readouterr()
        return Converted(code, output_dir, out, err)

    return run_convert


def in_api(*arguments: str, text: str = "") -> str:
    """Runs a Python program with the Object Detection API."""
    done = subprocess.run(
        [peer_python("peers"), *arguments],
        input=text, capture_output=True, text=True, check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="session")
def od_read() -> Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Reads shards with the Object Detection API, installed into an environment of its own."""
    python = str(peer_python("peers"))

    def read(label_map: pathlib.Path, shards: list[pathlib.Path], *flags: str) -> tuple[list[dict], dict]:
        command = [python, str(PEER_READER), f"--label_map={label_map}", *flags, *map(str, shards)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines[:-1], lines[-1]

    return read


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that runs as long as the tests."""
    programs = postgres_server.find_programs()
    if programs is None:
        pytest.skip(postgres_server.REMEDY)
    else:
        with postgres_server.serve(programs) as url:
            yield url


@pytest.fixture(scope="session")
def exportable(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Both splits of the sample, converted with every group of extra keys that it has. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("exportable")
    of_masks = (ExtraKeys.MASKS, ExtraKeys.BOX_ID, ExtraKeys.PREDICTED_IOU)
    extra = "--extra_keys=" + ",".join(group for group in ExtraKeys if group not in of_masks)
    for split in ("train", "validation"):
        assert main(["convert", *convert_arguments(sample, folder, extra, split=split)]) == 0
    return folder


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty object store on the loopback."""
    if request.param == "s3":
        require("boto3")
        require("moto")
    elif request.param == "gs":
        require("google.cloud.storage")
        require("gcp_storage_emulator")
    else:
        require("hdfs")
    with serve(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def s3_server() -> Iterator[Store]:
    """An S3 server for all tests of a module."""
    require("boto3")
    require("moto")
    with serve("s3") as made:
        yield made


@pytest.fixture(scope="module")
def s3_proxy(s3_server: Store) -> Iterator[SlowStore]:
    """The proxy before `s3_server`."""
    proxy = SlowStore(s3_server.port)
    yield proxy
    proxy.stop()


@pytest.fixture
def slow(store: Store) -> Iterator[SlowStore]:
    """The proxy before `store`."""
    proxy = SlowStore(store.port)
    yield proxy
    proxy.stop()
