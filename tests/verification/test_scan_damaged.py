import io
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.records.tfrecord import FOOTER_BYTES, frame, read_records
from oi_tfrecord.verification.scan_damaged import scan_records


def framed(data: bytes) -> bytes:
    header, footer = frame([data])
    return header + data + footer


records = st.lists(st.binary(max_size=60), min_size=1, max_size=8)


@given(records=records)
def test_a_whole_file_is_read_as_by_the_strict_reader(records: list[bytes]) -> None:
    file = b"".join(map(framed, records))
    scanned = list(scan_records(io.BytesIO(file)))
    assert [(item.offset, item.data) for item in scanned] == list(read_records(io.BytesIO(file)))
    assert [item.record for item in scanned] == list(range(len(records)))
    assert not any(item.problem for item in scanned)


@given(records=records, data=st.data())
def test_one_wrong_byte_costs_one_record(records: list[bytes], data: st.DataObject) -> None:
    pieces = [framed(record) for record in records]
    file = bytearray(b"".join(pieces))
    position = data.draw(st.integers(0, len(file) - 1))
    file[position] ^= data.draw(st.integers(1, 255))
    ends = [sum(map(len, pieces[: index + 1])) for index in range(len(pieces))]
    hit = next(index for index, end in enumerate(ends) if position < end)
    scanned = list(scan_records(io.BytesIO(bytes(file))))
    assert [(item.record, item.offset) for item in scanned if item.problem] == [(hit, ends[hit] - len(pieces[hit]))]
    assert [item.data for item in scanned if not item.problem] == records[:hit] + records[hit + 1 :]


@given(records=records, data=st.data())
def test_bytes_that_are_gone_or_too_many_cost_the_records_they_touch(records: list[bytes], data: st.DataObject) -> None:
    pieces = [framed(record) for record in records]
    start = data.draw(st.integers(0, sum(map(len, pieces)) - 1))
    file = b"".join(pieces)
    if data.draw(st.booleans()):
        count = data.draw(st.integers(1, len(file) - start))
        damaged = file[:start] + file[start + count :]
    else:
        count = 0
        damaged = file[:start] + data.draw(st.binary(min_size=1, max_size=40)) + file[start:]
    position = 0
    untouched = []
    for piece, record in zip(pieces, records, strict=True):
        if position + len(piece) <= start or position >= start + count:
            untouched.append(record)
        position += len(piece)
    found = [item.data for item in scan_records(io.BytesIO(damaged)) if item.data is not None]
    # What lies before and after the damage is found; of what it touches, nothing can be said.
    assert Counter(untouched) <= Counter(found)


@pytest.mark.parametrize("after", [[], [b"last"]])
def test_a_record_is_found_in_the_place_of_data_that_is_gone(after: list[bytes]) -> None:
    kept = framed(b"hidden")
    header, _ = frame([bytes(len(kept) - FOOTER_BYTES)])
    file = framed(b"first") + header + kept + b"".join(map(framed, after))
    scanned = list(scan_records(io.BytesIO(file)))
    assert [item.data for item in scanned] == [b"first", None, b"hidden", *after]
    assert scanned[1].problem == "CRC of the data does not match; 12 bytes are skipped"
    assert [item.record for item in scanned] == list(range(3 + len(after)))


def test_a_record_is_found_whose_header_is_the_end_of_another() -> None:
    pieces = [framed(bytes(4)), framed(bytes(4))]
    assert pieces[0][11] == pieces[1][0], "the first header lacks its last byte, and the second's first is in its place"
    [item, found] = scan_records(io.BytesIO(pieces[0][:11] + pieces[1]))
    assert item.problem == "CRC of the data does not match; 11 bytes are skipped"
    assert found.data == bytes(4)


def test_a_file_of_something_else_is_one_damaged_record() -> None:
    [item] = scan_records(io.BytesIO(b"<html>no records here</html>" + bytes(3 << 20)))
    assert item.data is None
    assert "CRC of the length does not match" in item.problem
    assert f"{28 + (3 << 20)} bytes are skipped" in item.problem


def test_a_header_is_found_across_the_pieces_that_are_searched() -> None:
    for shift in range(1, 25):
        lost = b"\xff" * ((1 << 20) - shift)
        scanned = list(scan_records(io.BytesIO(lost + framed(b"found") + framed(b"too"))))
        assert [item.data for item in scanned] == [None, b"found", b"too"]
        assert scanned[1].offset == len(lost)


def test_nothing_is_no_record() -> None:
    assert list(scan_records(io.BytesIO(b""))) == []


def test_a_header_is_found_after_a_run_of_zeros() -> None:
    for zeros in range(40):
        for data in (b"", b"x", b"y" * 300):
            scanned = list(scan_records(io.BytesIO(b"\xff" * 13 + bytes(zeros) + framed(data))))
            assert [item.data for item in scanned] == [None, data]
