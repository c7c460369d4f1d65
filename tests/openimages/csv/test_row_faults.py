import csv
import io
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oi_tfrecord.openimages.csv.row_faults import MAX_DETAIL, Kind, find_fault
from oi_tfrecord.reasons import Reject

NAMES = ("ImageID", "Source", "Confidence", "IsGroupOf", "OriginalSize", "Title")
KINDS = {
    "ImageID": Kind.IMAGE_ID,
    "Source": Kind.CATEGORY,
    "Confidence": Kind.NUMBER,
    "IsGroupOf": Kind.INTEGER,
    "OriginalSize": Kind.OPTIONAL_INTEGER,
    "Title": Kind.TEXT,
}
GOOD = ("0000033073932c2e", "xclick", "0.5", "-1", "10", "title")


def fault_of(value: bytes, kind: Kind) -> tuple[Reject, str] | None:
    """Judges one value, quoted so that no character in it ends its field."""
    quoted = b'"' + value.replace(b'"', b'""') + b'"'
    return find_fault(b"first," + quoted, ("x", "v"), {"v": kind})


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9), min_size=1))
def test_what_the_csv_module_writes_has_no_fault_and_its_number_of_fields(fields: list[str]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    record = text.getvalue().removesuffix("\r\n").encode()
    names = [str(number) for number in range(len(fields))]
    assert find_fault(record, names, dict.fromkeys(names, Kind.TEXT)) is None
    assert find_fault(record, [*names, "more"], {}) is not None


pieces = st.lists(st.sampled_from(["a", ",", '"', '""', ',"', '",', "\n"]), max_size=30).map("".join)


@given(pieces)
def test_any_record_is_split_as_the_csv_module_splits_it(text: str) -> None:
    alone = list(csv.reader(io.StringIO(text, newline="")))
    assume(len(alone) <= 1)
    # The csv module accepts a quote that is never closed; a further line in the result shows it.
    followed = list(csv.reader(io.StringIO(text + "\r\nz", newline="")))
    closed = followed[-1] == ["z"]
    fields = alone[0] if alone and alone[0] else [""]
    fault = find_fault(text.encode(), ["x"] * len(fields), {})
    assert (fault is None) == closed
    if fault is not None:
        assert fault[0] is Reject.MALFORMED_ROW
        assert fault[1].startswith("a quoted field is not closed: ")


def test_the_fields_are_judged_by_the_names_of_their_columns() -> None:
    record = ",".join(GOOD).encode()
    assert find_fault(record, NAMES, KINDS) is None
    turned = ",".join(reversed(GOOD)).encode()
    assert find_fault(turned, NAMES[::-1], KINDS) is None
    assert find_fault(turned, NAMES, KINDS) == (Reject.BAD_IMAGE_ID, "ImageID: 'title'")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("ImageID", "0000033073932C2E", Reject.BAD_IMAGE_ID),
        ("ImageID", "", Reject.BAD_IMAGE_ID),
        ("Confidence", "much", Reject.MALFORMED_ROW),
        ("IsGroupOf", "yes", Reject.MALFORMED_ROW),
        ("OriginalSize", "1.5", Reject.MALFORMED_ROW),
    ],
)
def test_a_fault_of_a_wanted_column_names_it_and_its_value(column: str, value: str, reason: Reject) -> None:
    row = [value if name == column else field for name, field in zip(NAMES, GOOD, strict=True)]
    record = ",".join(row).encode()
    assert find_fault(record, NAMES, KINDS) == (reason, f"{column}: {value!r}")
    assert find_fault(record, NAMES, {name: kind for name, kind in KINDS.items() if name != column}) is None


def test_of_several_faults_the_first_counts() -> None:
    wanted = {"b": Kind.NUMBER, "a": Kind.IMAGE_ID}
    faulty = [b'\0,"x', b'x,y,"z', b"x,y,z", b"x,y", b"x,1"]
    starts = ["NUL byte: ", "a quoted field is not closed: ", "2 fields expected, 3 found: ", "b: 'y'", "a: 'x'"]
    for record, start in zip(faulty, starts, strict=True):
        fault = find_fault(record, ("a", "b"), wanted)
        assert fault is not None
        assert fault[1].startswith(start)


@pytest.mark.parametrize(
    ("record", "fits"),
    [
        (b"a\rb,c", False),
        (b'a\rb,"c"', False),
        (b'"a"\rb,c', False),
        (b'"a\rb",c', True),
        (b'"a\r\nb",c', True),
    ],
)
def test_a_carriage_return_is_text_in_quotes_only(record: bytes, fits: bool) -> None:
    fault = find_fault(record, ("x", "y"), {"x": Kind.TEXT, "y": Kind.TEXT})
    assert (fault is None) == fits
    if fault is not None:
        assert fault[0] is Reject.MALFORMED_ROW
        assert fault[1].startswith("carriage return in an unquoted field: ")


def test_only_16_lower_case_hex_digits_are_an_image_id() -> None:
    digits = b"0123456789abcdef"
    assert fault_of(digits, Kind.IMAGE_ID) is None
    for byte in range(1, 256):
        value = digits[:-1] + bytes([byte])
        assert (fault_of(value, Kind.IMAGE_ID) is None) == (byte in digits), value
    for value in (digits[:-1], digits + b"0", digits + b"\n", b" " + digits[1:], b""):
        assert fault_of(value, Kind.IMAGE_ID) is not None, value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_a_number(value: float) -> None:
    for text in (repr(value), f"{value:.6f}", f"{value:+e}", f" {value!r}\t"):
        assert fault_of(text.encode(), Kind.NUMBER) is None, text


@given(st.text("0123456789+-.eExXaNnif_ \t", max_size=6))
def test_every_number_is_one_that_python_reads_as_finite(text: str) -> None:
    if fault_of(text.encode(), Kind.NUMBER) is None:
        assert math.isfinite(float(text))


@pytest.mark.parametrize("text", ["", " ", "nan", "inf", "-Infinity", "1e999", "1_0", "0x1", "1 2", "1,5", ".", "e5"])
def test_a_text_that_is_no_finite_number_is_malformed(text: str) -> None:
    assert fault_of(text.encode(), Kind.NUMBER) == (Reject.MALFORMED_ROW, f"v: {text!r}")


@given(st.integers(-(2**70), 2**70))
def test_an_integer_is_one_of_64_bits(value: int) -> None:
    fits = -(2**63) <= value < 2**63
    for kind in (Kind.INTEGER, Kind.OPTIONAL_INTEGER):
        assert (fault_of(str(value).encode(), kind) is None) == fits
        assert fault_of(f"{value}.0".encode(), kind) is not None


@pytest.mark.parametrize("value", [-(2**63) - 1, -(2**63), 2**63 - 1, 2**63])
def test_the_limits_of_64_bits(value: int) -> None:
    assert (fault_of(str(value).encode(), Kind.INTEGER) is None) == (-(2**63) <= value < 2**63)


def test_an_integer_of_thousands_of_digits_is_a_fault_and_leading_zeros_are_none() -> None:
    # int() refuses to read so many digits.
    assert fault_of(b"9" * 10_000, Kind.INTEGER) is not None
    assert fault_of(b"0" * 500 + b"7", Kind.INTEGER) is None


def test_only_an_optional_integer_may_be_empty() -> None:
    assert fault_of(b"", Kind.OPTIONAL_INTEGER) is None
    assert fault_of(b" ", Kind.OPTIONAL_INTEGER) is not None
    assert fault_of(b"", Kind.INTEGER) == (Reject.MALFORMED_ROW, "v: ''")


@given(st.binary(max_size=8))
def test_a_category_is_utf8_and_text_is_any_bytes(value: bytes) -> None:
    value = value.replace(b"\0", b"0")
    try:
        value.decode("utf-8")
        fits = True
    except UnicodeDecodeError:
        fits = False
    assert (fault_of(value, Kind.CATEGORY) is None) == fits
    assert fault_of(value, Kind.TEXT) is None


@given(st.binary(max_size=400))
def test_the_value_at_fault_is_shown_printable_and_cut(record: bytes) -> None:
    fault = find_fault(record + b"\0", NAMES, KINDS)
    assert fault is not None
    assert fault[0] is Reject.MALFORMED_ROW
    assert fault[1].startswith("NUL byte: ")
    assert fault[1].isprintable()
    assert len(fault[1]) <= MAX_DETAIL == 200


@pytest.mark.parametrize("record", [b"a" * 1000, b"\xff" * 200, b"\n" * 150])
def test_a_long_record_is_cut(record: bytes) -> None:
    fault = find_fault(record + b"\0", NAMES, KINDS)
    assert fault is not None
    assert len(fault[1]) == MAX_DETAIL
