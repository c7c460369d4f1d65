"""The server over HTTP."""

import io
import json
import pathlib
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.cli.main import main
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.explore.browse.browsed_dataset import THUMBNAIL, BrowsedDataset
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.records.example_writer import bytes_feature
from tests.support.browse_server import IMAGES, get, get_json, image_id, is_group_of, make_record, serve
from tests.support.few_records import boxes, draw_jpeg, image, make_example, texts, write_shard
from tests.support.mask_release import png_of


def test_images_are_listed_by_query(base: str) -> None:
    listed = get_json(base, "/api/images", start=2, count=3)
    assert (listed["total"], [item["id"] for item in listed["images"]]) == (IMAGES, [image_id(n) for n in (2, 3, 4)])
    found = get_json(base, "/api/images", start=0, count=100, group_of="yes")
    assert [item["id"] for item in found["images"]] == [image_id(n) for n in range(IMAGES) if is_group_of(n)]
    assert get_json(base, "/api/images", start=1000, count=3)["images"] == []


def test_the_dataset_lists_flags_and_sources_to_filter_by(base: str) -> None:
    about = get_json(base, "/api/dataset")
    assert (about["splits"], about["flags"], about["sources"]) == (
        [{"name": "train", "records": IMAGES}], ["group_of"], ["freeform", "xclick"]
    )  # fmt: skip


def test_an_image_has_neighbours_among_those_found(base: str) -> None:
    found = [number for number in range(IMAGES) if is_group_of(number)]
    facts = get_json(base, "/api/image", image=f"train/{image_id(found[1])}", group_of="yes")
    assert (facts["place"], facts["total"]) == (1, len(found))
    assert (facts["previous"]["id"], facts["next"]["id"]) == (image_id(found[0]), image_id(found[2]))
    outside = get_json(base, "/api/image", image=f"train/{image_id(found[1] + 1)}", group_of="yes")
    assert (outside["place"], outside["previous"]["id"]) == (None, image_id(found[1]))
    assert outside["next"]["id"] == image_id(found[2])
    last = get_json(base, "/api/image", image=f"train/{image_id(IMAGES - 1)}")
    assert last["next"] is None


def test_images_and_thumbnails_are_served(base: str) -> None:
    status, headers, body = get(base, "/image?record=7")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert body == draw_jpeg(160, 120, (28, 90, 120))
    with Image.open(io.BytesIO(get(base, "/thumbnail?record=7")[2])) as small:
        assert small.width <= THUMBNAIL[0]
        assert small.height <= THUMBNAIL[1]


def test_thumbnails_have_boxes_or_masks_by_choice(base: str) -> None:
    plain, outlined = (get(base, f"/thumbnail?record=7{draw}") for draw in ("", "&draw=boxes,masks"))
    assert outlined[0] == 200
    assert outlined[2] != plain[2]
    assert get(base, "/thumbnail?record=7&draw=x")[0] == 400


def test_classes_come_in_pages(base: str) -> None:
    listed = get_json(base, "/api/classes", q="", start=1, count=1)
    assert (listed["total"], [row["name"] for row in listed["classes"]]) == (3, ["Cat"])


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/../../../../etc/passwd", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/static/../secret.txt",
        "/browse.js/../../secret.txt", "//etc/passwd", "/etc/passwd", "/label_map.pbtxt", "/report.js", "/vendor",
        "/image?record=../secret.txt", "/image?record=-1", f"/image?record={IMAGES}", "/image", "/thumbnail?record=1e1",
        "/image?record=%D9%A1", "/api/image?image=../secret.txt", "/api/image?image=train/../../secret.txt",
        "/api/image?image=train/0", "/api/image", "/api/images", "/api/images?start=0&count=501",
        "/api/images?start=0&count=9&kind=x",
    ],
)  # fmt: skip
def test_nothing_else_is_served(base: str, path: str) -> None:
    status, headers, body = get(base, path)
    assert status in (400, 404)
    assert b"secret" not in body.replace(path.encode(), b"").replace(b"'../secret.txt'", b"")
    assert b"root:" not in body
    assert headers["Content-Type"].startswith("application/json")


def test_only_this_machines_own_pages_may_ask(base: str) -> None:
    assert get(base, "/api/dataset", Host="evil.example:80")[0] == 403
    assert get(base, "/api/dataset", Host="127.0.0.1.evil.example:80")[0] == 403
    port = urllib.parse.urlsplit(base).port
    assert get(base, "/api/dataset", Host=f"localhost:{port}")[0] == 200
    assert get(base, "/api/dataset", Origin=f"http://127.0.0.1:{port}")[0] == 200
    for origin in ("http://evil.example", f"http://127.0.0.1:{port}1", "null"):
        assert get(base, "/api/dataset", Origin=origin)[0] == 403
    _, headers, _ = get(base, "/")
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


def test_without_the_token_nothing_is_answered(base: str) -> None:
    root = base.rpartition("/")[0]
    for path in ("/", "/api/dataset", "/browse.js", "/image?record=0", "/x/api/dataset", f"/{'0' * 32}/", "/é/"):
        status, _, body = get(root, urllib.parse.quote(path, safe="/?="))
        assert (status, "token" in json.loads(body)["error"]) == (403, True)


def test_what_is_no_image_is_not_served_as_a_page(tmp_path: pathlib.Path) -> None:
    write_shard(tmp_path / "a-00000-of-00001", [make_example(**image(encoded=b"<html><script>x</script>"))])
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        for path in ("/image?record=0", "/thumbnail?record=0"):
            status, headers, _ = get(base, path)
            assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
            assert headers["X-Content-Type-Options"] == "nosniff"


def test_masks_are_served_white_on_black(tmp_path: pathlib.Path) -> None:
    masks = bytes_feature((png_of(np.eye(4, dtype=bool)), b"no PNG"))
    two = boxes((0, 0, 1, 1), (0, 0, 1, 1), mids=("/m/a", "/m/b"))
    write_shard(tmp_path / "a-00000-of-00001", [make_example(**image(), **two, object__mask=masks)])
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        status, headers, body = get(base, "/mask?record=0&place=0")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(body))), 255 * np.eye(4, dtype=np.uint8))
        assert get(base, "/mask?record=0&place=1")[0] == 500
        assert get(base, "/mask?record=0&place=2")[0] == 500
        assert get(base, "/mask?record=0&place=x")[0] == 400


def test_attribution_is_read_from_the_list_beside_the_records(tmp_path: pathlib.Path) -> None:
    write_shard(
        tmp_path / "train.tfrecord-00000-of-00001",
        [make_example(**image(image_id=name), **texts_of(title)) for name, title in (("a", ""), ("b", "Own title"))],
    )
    rows = (
        'ImageID,Title,Author,AuthorProfileURL,OriginalLandingURL,License\na,"T, ""x""\n",Ann,p,l,CC\nb,T,Bob,p,l,CC\n'
    )
    (tmp_path / "ATTRIBUTION-train.csv").write_text(rows)
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        first = get_json(base, "/api/image", image="train/a")["attribution"]
        assert first == {"title": 'T, "x"\n', "author": "Ann", "profile_url": "p", "landing_url": "l", "license": "CC"}
        second = get_json(base, "/api/image", image="train/b")["attribution"]
        assert (second["title"], second["author"]) == ("Own title", "Bob")


def texts_of(title: str) -> dict[str, bytes]:
    return {"attribution__title": texts(title)} if title else {}


def test_a_record_that_changed_under_the_server_is_an_error_message(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shard = tmp_path / "train-00000-of-00001"
    write_shard(shard, [make_record(3)])
    with serve(BrowsedDataset(str(tmp_path), open_index(str(tmp_path), "", 1, NoProgress()))) as base:
        shard.write_bytes(b"\xff" * shard.stat().st_size)
        status, _, body = get(base, f"/api/image?image=train/{image_id(3)}")
        assert status == 500
        assert "cannot be read" in json.loads(body)["error"]


def test_errors_of_the_command_are_one_line(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], base: str
) -> None:
    write_shard(tmp_path / "a-00000-of-00001", [make_record(1)])
    port = urllib.parse.urlsplit(base).port
    for arguments, problem in (
        ([str(tmp_path / "none")], "there are no records"),
        ([str(tmp_path), f"--port={port}"], "port"),
        ([str(tmp_path), "--port=99999"], "port"),
        ([str(tmp_path), "--host=no.such.host.invalid", "--port=0"], "host"),
        ([str(tmp_path), "--prot=1"], "did you mean '--port'"),
    ):
        assert main(["browse", *arguments]) == 1
        *_, line = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert problem in line
