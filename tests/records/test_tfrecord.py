import io
import pathlib
import pickle
import random
from collections.abc import Sequence

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.records.tfrecord import (
    MAX_LENGTH,
    FramingError,
    checksum_records,
    format_index,
    frame,
    mask_crc,
    parse_index,
    read_framed,
    read_header,
    read_records,
)
from tests.support.optional import tensorflow as tf

# Made with tf.io.TFRecordWriter of TensorFlow 2.21, records b"" and b"Open Images".
GOLDEN = bytes.fromhex(
    "0000000000000000" "29039807" "d8ea82a2"
    "0b00000000000000" "8615f504" "4f70656e20496d61676573" "36fa522f"
)  # fmt: skip


def framed(records: list[bytes]) -> bytes:
    pieces = []
    for record in records:
        header, footer = frame((record[:3], record[3:]))
        pieces += [header, record, footer]
    return b"".join(pieces)


def written_by_tensorflow(path: pathlib.Path, records: list[bytes]) -> bytes:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path.read_bytes()


def test_golden_bytes() -> None:
    assert framed([b"", b"Open Images"]) == GOLDEN
    assert [data for _, data in read_records(io.BytesIO(GOLDEN))] == [b"", b"Open Images"]


def test_tensorflow_still_writes_the_golden_bytes(tmp_path: pathlib.Path) -> None:
    assert written_by_tensorflow(tmp_path / "golden", [b"", b"Open Images"]) == GOLDEN


@given(records=st.lists(st.binary(max_size=300), max_size=5))
def test_equals_tensorflow(tmp_path_factory: pytest.TempPathFactory, records: list[bytes]) -> None:
    written = written_by_tensorflow(tmp_path_factory.mktemp("framing") / "records", records)
    assert framed(records) == written
    assert [data for _, data in read_records(io.BytesIO(written))] == records


def test_offsets_are_those_of_the_headers() -> None:
    data = framed([b"a", b"bcd"])
    assert [offset for offset, _ in read_records(io.BytesIO(data))] == [0, 17]


@pytest.mark.parametrize("place", range(len(GOLDEN)))
def test_every_flipped_byte_is_found(place: int) -> None:
    damaged = bytearray(GOLDEN)
    damaged[place] ^= 0x10
    with pytest.raises(FramingError) as caught:
        list(read_records(io.BytesIO(damaged)))
    assert caught.value.record == (0 if place < 16 else 1)
    assert caught.value.offset == (0 if place < 16 else 16)


@pytest.mark.parametrize("length", [length for length in range(1, len(GOLDEN)) if length != 16])
def test_every_cut_is_found(length: int) -> None:
    with pytest.raises(FramingError, match="cut off"):
        list(read_records(io.BytesIO(GOLDEN[:length])))


def test_mask_is_that_of_crc32c_h() -> None:
    # ((crc >> 15) | (crc << 17)) + 0xa282ead8, modulo 2**32.
    assert mask_crc(0) == 0xA282EAD8
    assert mask_crc(0xFFFFFFFF) == 0xA282EAD7


def test_a_length_that_no_example_has_is_an_error_and_takes_no_memory() -> None:
    packed = (1 << 62).to_bytes(8, "little")
    header = packed + mask_crc(google_crc32c.value(packed)).to_bytes(4, "little")
    with pytest.raises(FramingError, match="more than an Example can have"):
        list(read_records(io.BytesIO(header + b"data")))


def test_an_index_has_a_line_for_each_record_as_dali_reads_it() -> None:
    assert format_index([0, 11]) == b"0 16\n16 27\n"
    assert parse_index(b"0 16\n16 27\n").tolist() == [[12, 0], [28, 11]]
    assert parse_index(format_index([])).shape == (0, 2)


@given(lengths=st.lists(st.integers(0, 1 << 31), max_size=20))
def test_an_index_is_read_as_it_was_written(lengths: list[int]) -> None:
    places = parse_index(format_index(lengths))
    assert places[:, 1].tolist() == lengths
    assert (places[1:, 0] == places[:-1].sum(axis=1) + 16).all()


@pytest.mark.parametrize("text", [b"0\n", b"0 16 16\n", b"0 15\n", b"16 16\n", b"0 16\n17 16\n", b"a b\n", b"0 1e3\n"])
def test_what_is_no_index_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"a line has not|do not follow|invalid literal"):
        parse_index(text)


def test_a_record_is_checked_against_its_place() -> None:
    record = framed([b"Open Images"])
    assert read_framed(record, 11, 0, 0) == b"Open Images"
    with pytest.raises(FramingError, match="record 3 at byte 40: the length is 11 bytes, and 12 were expected"):
        read_framed(record + b"x", 12, 3, 40)
    for end in range(len(record)):
        with pytest.raises(FramingError, match="cut off"):
            read_framed(record[:end], 11, 0, 0)


def test_an_error_survives_the_way_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(FramingError(3, 40, "a problem")))
    assert (error.record, error.offset, error.problem, error.args) == (3, 40, "a problem", (3, 40, "a problem"))
    assert str(error) == "record 3 at byte 40: a problem"


def damaged_at(record: bytes, place: int) -> bytes:
    return record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :]


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (framed([b"abc"])[:5], "header cut off after 5 of 12 bytes"),
        (framed([b"abc"])[:17], "data cut off after 5 of 7 bytes"),
        (damaged_at(framed([b"abc"]), 0), "CRC of the length does not match"),
        (damaged_at(framed([b"abc"]), 12), "CRC of the data does not match"),
    ],
)
def test_an_error_names_the_record_the_byte_and_the_problem(damaged: bytes, problem: str) -> None:
    before = framed([b"first"]) + framed([b""]) + framed([b"third"])
    with pytest.raises(FramingError) as caught:
        list(read_records(io.BytesIO(before + damaged)))
    assert str(caught.value) == f"record 3 at byte {len(before)}: {problem}"
    with pytest.raises(FramingError) as caught:
        read_framed(damaged, 3, 7, 99)
    assert str(caught.value) == f"record 7 at byte 99: {problem}"


def test_the_longest_example_has_a_header() -> None:
    def header(length: int) -> bytes:
        packed = length.to_bytes(8, "little")
        return packed + mask_crc(google_crc32c.value(packed)).to_bytes(4, "little")

    assert read_header(header(MAX_LENGTH), 0, 0) == MAX_LENGTH
    with pytest.raises(FramingError) as caught:
        read_header(header(MAX_LENGTH + 1), 2, 8)
    assert str(caught.value) == "record 2 at byte 8: the length is 2147483648 bytes, more than an Example can have"


@pytest.mark.parametrize(
    ("text", "problem"), [(b"0\n", "a line has not two numbers"), (b"0 15\n", "its records do not follow each other")]
)
def test_what_is_wrong_in_an_index_is_said(text: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        parse_index(text)


@pytest.mark.parametrize("sizes", [(), (0,), (1, 0, 70_000, 3)])
def test_the_crc_of_a_file_follows_from_its_framing(sizes: Sequence[int]) -> None:
    records = [random.Random(size).randbytes(size) for size in sizes]
    frames = [frame((record,)) for record in records]
    file = b"".join(b"".join((header, data, footer)) for data, (header, footer) in zip(records, frames, strict=True))
    headers, footers = (b"".join(pieces) for pieces in zip(*frames, strict=True)) if frames else (b"", b"")
    assert checksum_records(headers, sizes, footers) == google_crc32c.value(file)
