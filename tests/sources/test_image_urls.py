import pathlib

import pytest

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.csv.files import open_table
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.sources.image_urls import ImageUrls, base_name, check_url_columns, sample_image_urls


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://c1.staticflickr.com/5/4129/5215831864_46f356962f_o.jpg", "5215831864_46f356962f_o.jpg"),
        ("https://farm4.staticflickr.com/1/2_z.jpg?zz=1", "2_z.jpg"),
        ("https://example.com/a/b.jpg?x=/c.jpg#/d.jpg", "b.jpg"),
        ("https://example.com/a/", ""),
        ("https://example.com/a/..", ""),
        ("https://example.com/a/.", ""),
        ("https://example.com/a\\..\\b.jpg", ""),
        ("", ""),
    ],
)
def test_base_name(url: str, name: str) -> None:
    assert base_name(url) == name


def test_reads_the_columns_that_a_release_has(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "images.csv"
    path.write_text("ImageID,OriginalURL,Author\n0000000000000001, http://x/1.jpg ,a\n0,http://x/2.jpg,a\n")
    files = open_table(Table.METADATA, ("images.csv",), str(tmp_path), "")
    check_url_columns(files)
    assert sample_image_urls(files) == [ImageUrls("http://x/1.jpg")]
    path.write_text("ImageID,Author\n0000000000000001,a\n")
    with pytest.raises(ConfigError, match="metadata"):
        check_url_columns([])
    with pytest.raises(InputError, match="OriginalURL"):
        check_url_columns(open_table(Table.METADATA, ("images.csv",), str(tmp_path), ""))


def test_a_size_that_a_table_editor_wrote_is_a_whole_number() -> None:
    assert ImageUrls.of_fields({"OriginalSize": "19072.0"}).size == "19072"
    assert ImageUrls.of_fields({"OriginalSize": "19072.5"}).size == "19072.5"
    assert [ImageUrls.of_fields({"OriginalSize": size}).size for size in ("1e+05", "+7", "5.")] == ["100000", "7", "5"]
    assert [ImageUrls.of_fields({"OriginalSize": size}).size for size in ("", "inf", "1_0")] == ["", "inf", "1_0"]
