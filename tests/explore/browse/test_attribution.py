import pathlib

from oi_tfrecord.explore.browse.attribution import AttributionFile, find_attribution
from oi_tfrecord.explore.browse.index import BrowseIndex, build_index
from oi_tfrecord.explore.browse.search_rows import make_search_rows
from tests.support.few_records import image, make_example

HEADER = "ImageID,Title,Author,AuthorProfileURL,OriginalLandingURL,License\n"


def make_index(*image_ids: str) -> BrowseIndex:
    records = [(number, make_example(**image(image_id=image_id))) for number, image_id in enumerate(image_ids)]
    return build_index([("train", [("train-00000-of-00001", make_search_rows(records, {}))])])


def test_the_row_of_a_record_is_found_and_read(tmp_path: pathlib.Path) -> None:
    rows = 'b2,"Zwei, ""2""",Bea,,,\nff,None,Nobody,,,\na1,One,Ann,,https://example.org/1,CC\n'
    (tmp_path / "ATTRIBUTION-train.csv").write_text(HEADER + rows)
    index = make_index("a1", "b2", "c3")
    places = find_attribution(str(tmp_path), index).tolist()
    file = AttributionFile(str(tmp_path), "train")
    found = [file.read_row(*place) for place in places]
    assert (found[0]["title"], found[0]["author"], found[0]["license"]) == ("One", "Ann", "CC")
    assert (found[1]["title"], found[1]["author"]) == ('Zwei, "2"', "Bea")
    assert places[2] == [-1, -1]
    assert found[2] == {}


def test_a_split_may_have_no_attribution_file(tmp_path: pathlib.Path) -> None:
    assert find_attribution(str(tmp_path), make_index("a1")).tolist() == [[-1, -1]]
    assert AttributionFile(str(tmp_path), "train").read_row(0, 10) == {}


def test_a_file_of_all_splits_is_read_where_a_split_has_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ATTRIBUTION.csv").write_text(HEADER + "a1,One,Ann,,,CC\n")
    [place] = find_attribution(str(tmp_path), make_index("a1")).tolist()
    assert AttributionFile(str(tmp_path), "train").read_row(*place)["author"] == "Ann"
