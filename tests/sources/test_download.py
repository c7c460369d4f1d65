import base64
import csv
import hashlib
import pathlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.download import download
from oi_tfrecord.sources.download_options import DownloadOptions
from tests.support.image_server import (
    ImageServer,
    after,
    body,
    cut_off,
    cut_off_without_length,
    drips,
    garbage,
    hang_up,
    redirect,
    status,
)

COLUMNS = ["ImageID", "Subset", "OriginalURL", "Title", "OriginalSize", "OriginalMD5", "Thumbnail300KURL"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ImageServer() as running:
        yield running


def photo(number: int) -> bytes:
    return b"BM" + number.to_bytes(4, "little") * (1 + number % 97)


def row(server: ImageServer, number: int) -> dict[str, str]:
    data = photo(number)
    return {
        "ImageID": f"{number:016x}",
        "Subset": "train",
        "OriginalURL": server.url(f"/p/{number:05d}_o.jpg"),
        "Title": f'Nr. {number}, "quoted"\nand more',
        "OriginalSize": str(len(data)),
        "OriginalMD5": base64.b64encode(hashlib.md5(data).digest()).decode(),
        "Thumbnail300KURL": server.url(f"/p/{number:05d}_z.jpg?zz=1"),
    }


def write_csv(path: pathlib.Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def prepare(server: ImageServer, folder: pathlib.Path, count: int) -> list[dict[str, str]]:
    server.files |= {f"/p/{number:05d}_o.jpg": photo(number) for number in range(count)}
    rows = [row(server, number) for number in range(count)]
    write_csv(folder / "images.csv", rows)
    return rows


def flags(folder: pathlib.Path, *more: str) -> list[str]:
    return [
        f"--metadata={folder}/images.csv", f"--output_dir={folder}/images", "--image_urls=original", *more
    ]  # fmt: skip


def run(folder: pathlib.Path, *more: str) -> int:
    return main(["download", *flags(folder, *more)])


def stored(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "images").glob("*.jpg")}


def test_ten_thousand_small_files_with_none_lost(server: ImageServer, tmp_path: pathlib.Path) -> None:
    count = 10_000
    rows = prepare(server, tmp_path, count)
    # One in a hundred goes wrong at first, in turn in each way that may pass.
    faults = [status(503), status(500), cut_off, hang_up, garbage, cut_off_without_length]
    for number in range(0, count, 100):
        server.scripts[f"/p/{number:05d}_o.jpg"] = [faults[number // 100 % len(faults)]]
    assert run(tmp_path, "--max_rejects=0") == 0
    assert stored(tmp_path) == {f"{number:016x}.jpg": photo(number) for number in range(count)}
    assert read_csv(tmp_path / "images" / "success.csv") == rows
    assert read_csv(tmp_path / "images" / "failures.csv") == []
    # A URL with a fault is requested again; aiohttp does so by itself, once, if a connection was closed.
    requested = server.counts
    assert {path for path, times in requested.items() if times > 1} == {
        f"/p/{number:05d}_o.jpg" for number in range(0, count, 100)
    }
    assert len(requested) == count
    assert len(server.peers) < 200
    assert server.most_at_once <= 16

    assert run(tmp_path, "--max_rejects=0") == 0
    assert server.counts == requested
    assert read_csv(tmp_path / "images" / "success.csv") == rows


def test_every_kind_of_answer_ends_in_the_right_list(
    server: ImageServer, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = prepare(server, tmp_path, 16)
    server.files["/photo_unavailable.png"] = b"grey"
    server.files["/grey.png"] = b"grey"
    faults = {
        0: [after(0.3)],
        1: [drips(0.0001)],
        2: [status(429, **{"Retry-After": "1"})],
        3: [status(503), status(503)],
        4: [redirect("/p/00013_o.jpg")],
        5: [status(404)],
        6: [status(410)],
        7: [redirect("/photo_unavailable.png")],
        8: [redirect("/grey.png")],
        9: [body(photo(90))],
        10: [status(403)],
        11: [cut_off] * 9,
        12: [status(500)] * 9,
    }
    for number, script in faults.items():
        server.scripts[f"/p/{number:05d}_o.jpg"] = script
    with open(tmp_path / "images.csv", "a", encoding="utf-8") as stream:
        stream.write("no image id,train,http://127.0.0.1/1.jpg,title,,,\n")
    assert run(tmp_path, "--max_rejects=9", "--fetch_attempts=3") == 2
    failures = read_csv(tmp_path / "images" / "failures.csv")
    listed = {int(item["ImageID"], 16): (item["reason"], item["status"]) for item in failures[:-1]}
    assert listed == {
        # Number 4 was sent to another photo: to whoever asks for it, that is a placeholder.
        4: (Reject.IMAGE_UNAVAILABLE, "200"),
        5: (Reject.IMAGE_UNAVAILABLE, "404"),
        6: (Reject.IMAGE_UNAVAILABLE, "410"),
        7: (Reject.IMAGE_UNAVAILABLE, "302"),
        8: (Reject.IMAGE_UNAVAILABLE, "200"),
        9: (Reject.CHECKSUM_MISMATCH, "200"),
        10: (Reject.DOWNLOAD_FAILED, "403"),
        11: (Reject.DOWNLOAD_FAILED, ""),
        12: (Reject.DOWNLOAD_FAILED, "500"),
    }
    assert list(failures[0]) == [*COLUMNS, "reason", "status", "detail"]
    assert [{name: item[name] for name in COLUMNS} for item in failures[:-1]] == [rows[number] for number in listed]
    assert failures[-1]["reason"] == Reject.BAD_IMAGE_ID
    # Each row has a title of two lines, and the header one.
    assert f"images.csv, line {2 + 2 * 16}" in failures[-1]["detail"]
    had = [number for number in range(16) if number not in listed]
    assert read_csv(tmp_path / "images" / "success.csv") == [rows[number] for number in had]
    assert stored(tmp_path) == {f"{number:016x}.jpg": photo(number) for number in had}
    printed = capsys.readouterr()
    assert "10 of 17 failed" in printed.err
    assert "7 downloaded" in printed.out

    # What failed is tried again, what is there is not; the list of failures is itself a list of images.
    server.requests.clear()
    server.scripts.clear()
    assert run(tmp_path) == 2
    assert set(server.counts) == {f"/p/{number:05d}_o.jpg" for number in listed}
    assert read_csv(tmp_path / "images" / "success.csv") == rows
    failed_again = read_csv(tmp_path / "images" / "failures.csv")
    assert [item["reason"] for item in failed_again] == [Reject.BAD_IMAGE_ID]


def test_the_list_of_failures_can_be_given_back(server: ImageServer, tmp_path: pathlib.Path) -> None:
    rows = prepare(server, tmp_path, 3)
    server.scripts["/p/00001_o.jpg"] = [status(404)]
    assert run(tmp_path, "--max_rejects=1") == 0
    again = ["download", f"--metadata={tmp_path}/images/failures.csv", f"--output_dir={tmp_path}/more"]
    assert main([*again, "--image_urls=original"]) == 0
    assert read_csv(tmp_path / "more" / "success.csv") == [rows[1]]
    assert list(read_csv(tmp_path / "more" / "success.csv")[0]) == COLUMNS


def test_the_function_prints_nothing_and_returns_the_counts(
    server: ImageServer, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare(server, tmp_path, 5)
    server.scripts["/p/00001_o.jpg"] = [status(404)]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{2:016x}.jpg").write_bytes(photo(2))
    options = DownloadOptions(
        output_dir=f"{tmp_path}/images", image_urls="original", metadata=("images.csv",), data_dir=str(tmp_path)
    )
    result = download(options)
    assert (result.rows, result.downloaded, result.kept, result.failed) == (5, 3, 1, {Reject.IMAGE_UNAVAILABLE: 1})
    assert result.size == sum(len(photo(number)) for number in (0, 3, 4))
    assert len(read_csv(result.success_file)) == 4
    assert len(read_csv(result.failures_file)) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ends_with", [signal.SIGKILL, signal.SIGINT])
def test_resumes_after_it_was_stopped(server: ImageServer, tmp_path: pathlib.Path, ends_with: signal.Signals) -> None:
    count = 300
    rows = prepare(server, tmp_path, count)
    server.pause = 0.02
    command = [sys.executable, "-m", "oi_tfrecord", "download", *flags(tmp_path, "--fetch_per_host=4")]
    process = subprocess.Popen(command, cwd=pathlib.Path(__file__).parents[2], stderr=subprocess.PIPE, text=True)
    while len(server.requests) < 100:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(ends_with)
    _, errors = process.communicate(timeout=60)
    if ends_with == signal.SIGINT:
        assert process.returncode == 130
        assert errors.splitlines()[-1] == "error: interrupted; run the same command again to resume"
    time.sleep(0.2)
    there = stored(tmp_path)
    assert 50 < len(there) < count
    assert all(photo(int(name[:16], 16)) == data for name, data in there.items())
    assert not (tmp_path / "images" / "success.csv").exists()
    assert (ends_with == signal.SIGKILL) is (tmp_path / "images" / ".oi_tfrecord-download").exists()

    server.pause = 0.0
    server.requests.clear()
    assert run(tmp_path) == 0
    assert set(server.counts) == {f"/p/{number:05d}_o.jpg" for number in range(count)} - {
        f"/p/{int(name[:16], 16):05d}_o.jpg" for name in there
    }
    assert set(server.counts.values()) == {1}
    assert read_csv(tmp_path / "images" / "success.csv") == rows


def test_a_file_of_another_size_is_fetched_again(server: ImageServer, tmp_path: pathlib.Path) -> None:
    prepare(server, tmp_path, 3)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{1:016x}.jpg").write_bytes(photo(1)[:-1])
    (tmp_path / "images" / f"{2:016x}.jpg").write_bytes(photo(2))
    assert run(tmp_path) == 0
    assert set(server.counts) == {"/p/00000_o.jpg", "/p/00001_o.jpg"}
    assert stored(tmp_path)[f"{1:016x}.jpg"] == photo(1)


def test_thumbnails_only_wanted_images_and_the_cache(server: ImageServer, tmp_path: pathlib.Path) -> None:
    rows = prepare(server, tmp_path, 6)
    server.files = {path.replace("_o", "_z"): data + b"small" for path, data in server.files.items()}
    (tmp_path / "wanted.txt").write_text(f"{2:016x}\n{4:016x}\n{99:016x}\n")
    more = ["--image_urls=thumbnail", f"--image_ids={tmp_path}/wanted.txt", f"--image_cache={tmp_path}/cache"]
    assert run(tmp_path, *more) == 0
    assert stored(tmp_path) == {f"{number:016x}.jpg": photo(number) + b"small" for number in (2, 4)}
    assert read_csv(tmp_path / "images" / "success.csv") == [rows[2], rows[4]]
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    requested = server.counts
    assert run(tmp_path, *more) == 0
    assert len(stored(tmp_path)) == 2
    assert server.counts == requested == Counter({"/p/00002_z.jpg": 1, "/p/00004_z.jpg": 1})


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--metadata=images.csv", "--image_urls=original"], "output_dir"),
        (["--metadata=images.csv", "--output_dir=x", "--image_urls=large"], "image_urls"),
        (["--metadata=images.csv", "--output_dir=x"], "image_urls"),
        (["--output_dir=x", "--image_urls=original"], "metadata"),
        (["--metadata={split}/images.csv", "--output_dir=x", "--image_urls=original"], "split"),
        (["--metadata=images.csv", "--output_dir=gs://b/x", "--image_urls=original"], "output_dir"),
        (["--metadata=images.csv", "--output_dir=x", "--image_urls=original", "--layout=flat"], "layout"),
        (["--metadata=nowhere.csv", "--output_dir=x", "--image_urls=original"], "nowhere.csv"),
        (["--metadata=images.csv", "--output_dir=x", "--image_urls=original", "--fetch_per_host=0"], "fetch_per_host"),
        (["--metadata=images.csv", "--output_dir=x", "--image_urls=original", "--max_rejects=x"], "max_rejects"),
        (["--metadata=images.csv", "--output_dir=x", "--image_urls=original", "--colour=red"], "colour"),
    ],
)
def test_errors_name_the_field_to_correct(
    arguments: list[str],
    field: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "images.csv", [])
    assert main(["download", *arguments]) == 1
    assert field in capsys.readouterr().err


def test_a_name_that_no_file_can_have_is_a_listed_failure(server: ImageServer, tmp_path: pathlib.Path) -> None:
    rows = prepare(server, tmp_path, 3)
    rows[1]["OriginalURL"] = server.url(f"/p/{'a' * 300}.jpg")
    server.files[f"/p/{'a' * 300}.jpg"] = photo(1)
    write_csv(tmp_path / "images.csv", rows)
    assert run(tmp_path, "--layout=url", "--max_rejects=100%") == 0
    assert [row["ImageID"] for row in read_csv(tmp_path / "images" / "success.csv")] == [
        rows[0]["ImageID"], rows[2]["ImageID"]
    ]  # fmt: skip
    [failure] = read_csv(tmp_path / "images" / "failures.csv")
    assert failure["ImageID"] == rows[1]["ImageID"]
    assert failure["detail"] == "no file can have the name of the URL: File name too long"
