import pytest

from oi_tfrecord.openimages.csv.text_lines import count_line_feeds, find_blank, line_starts


@pytest.mark.parametrize("data", [b"", b"\n", b"a\nb", b"a\n\n", b"\n" * 700_000 + b"end"])
def test_line_feeds_are_counted_over_all_pieces(data: bytes) -> None:
    assert count_line_feeds(data) == data.count(b"\n")


def test_blank_lines_are_those_without_text() -> None:
    data = b"a\n\r\n\nb\r\n \n"
    starts, lines = line_starts(data)
    assert starts.tolist() == [0, 2, 4, 5, 8]
    assert lines.tolist() == [0, 1, 2, 3, 4]
    assert find_blank(data, starts).tolist() == [False, True, True, False, False]
