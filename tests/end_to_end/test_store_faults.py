"""What commands say of a store that they cannot use: one line, before they do anything."""

import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.cli.main import main
from tests.conftest import convert_arguments
from tests.support.mirror import Fault, Mirror

BUCKET = "s3://bucket"

COMMANDS = {
    "merge": ("merge", f"{BUCKET}/a", f"{BUCKET}/b", "--to={folder}/out"),
    "merge into": ("merge", "{records}", f"--to={BUCKET}/out"),
    "export": ("export", f"{BUCKET}/a", "--to={folder}/out"),
    "export into": ("export", "{records}", f"--to={BUCKET}/out"),
    "resample": ("resample", f"{BUCKET}/a", "--to={folder}/out", "--split=train", "--fraction=0.5"),
    "resample into": ("resample", "{records}", f"--to={BUCKET}/out", "--split=train", "--fraction=0.5"),
    "evaluate": ("evaluate", f"{BUCKET}/a", "--detections={folder}/detections.csv", "--split=train"),
    "evaluate detections": ("evaluate", "{records}", f"--detections={BUCKET}/detections.csv", "--split=train"),
    "download": (
        "download", f"--metadata={BUCKET}/images.csv", "--split=train", "--output_dir={folder}/out",
        "--image_urls=original",
    ),
}  # fmt: skip


class Everywhere(dict[str, list[Fault]]):
    """The same fault at each path, for each request."""

    def __init__(self, fault: Fault):
        super().__init__()
        self._fault = fault

    def get(self, key: str, default: object = None) -> list[Fault]:  # type: ignore[override]
        return [self._fault]


@pytest.fixture(scope="module")
def records(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output_dir = tmp_path_factory.mktemp("records") / "records"
    assert main(["convert", *convert_arguments(sample, output_dir)]) == 0
    return output_dir


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with Mirror() as running:
        yield running
    storage.use_options([])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("code", "status", "problem"),
    [
        ("InvalidAccessKeyId", 403, "does not know the access key"),
        ("SignatureDoesNotMatch", 403, "secret key is wrong"),
        ("NoSuchBucket", 404, "no such bucket"),
        ("", 0, "its host does not answer"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line(
    command: str,
    code: str,
    status: int,
    problem: str,
    mirror: Mirror,
    records: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    mirror.head_fault = Fault(status, body=f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode())
    mirror.faults = Everywhere(mirror.head_fault)
    for name, value in {
        "NO_PROXY": "127.0.0.1",
        "AWS_ENDPOINT_URL": mirror.url if code else "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "detections.csv").write_text("ImageID,LabelName,Conf,XMin,YMin,XMax,YMax\n")
    capfd.readouterr()
    assert main([word.format(records=records, folder=tmp_path) for word in COMMANDS[command]]) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith(f"error: {BUCKET}/")
    assert problem in line
    assert not (tmp_path / "out").exists()
