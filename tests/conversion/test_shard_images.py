import pytest

from oi_tfrecord.conversion.shard_images import EXPECTED_READS, SLOW_READS, LoadedImage, ReadAhead
from oi_tfrecord.conversion.shard_masks import LoadedMasks
from oi_tfrecord.images.values import PreparedImage


def note(ahead: ReadAhead, *slow: bool) -> list[bool]:
    """Returns whether the system was to read ahead for each read."""
    asked = []
    for is_slow in slow:
        asked.append(ahead.is_on)
        ahead.note(is_slow)
    return asked


def test_reads_from_the_page_cache_need_no_read_ahead() -> None:
    assert not any(note(ReadAhead(), *[False] * 50))


def test_a_slow_read_now_and_then_needs_no_read_ahead() -> None:
    assert not any(note(ReadAhead(), *[True, True, False] * 50))


def test_slow_reads_in_a_row_start_the_read_ahead_which_ends_where_reads_are_fast() -> None:
    ahead = ReadAhead()
    assert not any(note(ahead, *[True] * SLOW_READS))
    assert all(note(ahead, *[False] * EXPECTED_READS))
    assert not any(note(ahead, *[False] * 50))


def test_the_read_ahead_lasts_as_long_as_reads_are_slow() -> None:
    ahead = ReadAhead()
    assert all(note(ahead, *[True] * (3 * EXPECTED_READS))[SLOW_READS:])


@pytest.mark.parametrize(
    ("size", "seconds", "is_slow"), [(250_000, 2e-5, False), (250_000, 1e-3, True), (20 << 20, 3e-3, False)]
)
def test_a_read_is_slow_for_its_size(size: int, seconds: float, is_slow: bool) -> None:
    image = PreparedImage(bytes(size), 4, 3, "", "copied", "JPEG")
    assert LoadedImage(image, LoadedMasks(), None, seconds).is_slow == is_slow
