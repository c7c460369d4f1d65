"""Typed columns of a CSV file, from the table that pyarrow parsed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.openimages.csv.row_faults import BLANKS, Kind
from oi_tfrecord.openimages.image_id import id_keys, image_ids, is_image_name

ARROW_TYPES = {
    Kind.IMAGE_ID: pa.binary(16),
    Kind.IMAGE_NAME: pa.dictionary(pa.int32(), pa.binary()),
    Kind.CATEGORY: pa.dictionary(pa.int32(), pa.binary()),
    Kind.NUMBER: pa.float64(),
    Kind.OPTIONAL_NUMBER: pa.float64(),
    Kind.INTEGER: pa.string(),
    Kind.FLAG: pa.string(),
    Kind.OPTIONAL_INTEGER: pa.string(),
    Kind.TEXT: pa.binary(),
}
"""The type as which pyarrow parses a column."""

BLANK_TYPES = ARROW_TYPES | {Kind.IMAGE_ID: pa.binary(), Kind.OPTIONAL_NUMBER: pa.string()}
"""The types for blanks around values and empty cells, where those of ARROW_TYPES, which are faster, take none."""


@dataclass(frozen=True, slots=True)
class Category:
    """A column of repeated values.

    Attributes:
        codes: int32, for each row an index into values.
        values: the distinct values, in order of first occurrence.
    """

    codes: npt.NDArray[np.int32]
    values: list[str]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the valid rows in file order, by name; the Kind of a column says in which of the maps it is.

    Attributes:
        numbers: arrays of IMAGE_ID and IMAGE_NAME (uint64), NUMBER and OPTIONAL_NUMBER (float64), INTEGER, FLAG and
            OPTIONAL_INTEGER (int64).
        categories: columns of CATEGORY.
        texts: columns of TEXT, and the names of IMAGE_NAME.
    """

    numbers: dict[str, np.ndarray]
    categories: dict[str, Category]
    texts: dict[str, pa.BinaryArray]


class FaultyRows(Exception):
    """Some row of the data is at fault."""


def convert_columns(table: pa.Table, kinds: Mapping[str, Kind]) -> Columns:
    """Returns the parsed columns as their Kinds say; raises FaultyRows if any value is at fault."""
    columns = Columns({}, {}, {})
    for name, kind in kinds.items():
        chunked = table.column(name)
        array = chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()
        match kind:
            case Kind.TEXT:
                columns.texts[name] = array
            case Kind.CATEGORY:
                columns.categories[name] = _category(array)
            case Kind.IMAGE_ID:
                columns.numbers[name] = _image_ids(array)
            case Kind.IMAGE_NAME:
                columns.numbers[name], columns.texts[name] = _image_names(array)
            case Kind.NUMBER:
                columns.numbers[name] = _finite_numbers(array)
            case Kind.OPTIONAL_NUMBER:
                columns.numbers[name] = _optional_numbers(array)
            case Kind.INTEGER:
                columns.numbers[name] = _integers(array)
            case Kind.FLAG:
                columns.numbers[name] = _flags(array)
            case Kind.OPTIONAL_INTEGER:
                columns.numbers[name] = _integers(pc.if_else(pc.equal(pc.binary_length(array), 0), "-1", array))
    return columns


def _image_ids(array: pa.Array) -> npt.NDArray[np.uint64]:
    if pa.types.is_binary(array.type):
        array = _trimmed_ids(array)
    begin = array.offset * 16
    ids = image_ids(np.frombuffer(array.buffers()[1], np.uint8)[begin : begin + len(array) * 16])
    if ids is None:
        raise FaultyRows
    return ids


def _trimmed_ids(array: pa.BinaryArray) -> pa.FixedSizeBinaryArray:
    """Returns ImageIDs without the blanks around them."""
    try:
        return pa.array([value.strip(BLANKS) for value in array.to_pylist()], pa.binary(16))
    except pa.ArrowInvalid as error:
        raise FaultyRows from error


def _image_names(array: pa.DictionaryArray) -> tuple[npt.NDArray[np.uint64], pa.BinaryArray]:
    names = [value.strip(BLANKS) for value in array.dictionary.to_pylist()]
    if not all(map(is_image_name, names)):
        raise FaultyRows
    return id_keys(names)[array.indices.to_numpy()], pa.array(names, pa.binary()).take(array.indices)


def _category(array: pa.DictionaryArray) -> Category:
    try:
        values = [value.decode("utf-8") for value in array.dictionary.to_pylist()]
    except UnicodeDecodeError as error:
        raise FaultyRows from error
    trimmed = [value.strip(" \t") for value in values]
    if trimmed == values:
        return Category(array.indices.to_numpy(), values)
    code_of = {value: code for code, value in enumerate(dict.fromkeys(trimmed))}
    codes = np.array([code_of[value] for value in trimmed], np.int32)
    return Category(codes[array.indices.to_numpy()], list(code_of))


def _optional_numbers(array: pa.Array) -> npt.NDArray[np.float64]:
    if pa.types.is_string(array.type):
        trimmed = pc.utf8_trim(array, " \t")
        try:
            array = pc.if_else(pc.equal(pc.binary_length(trimmed), 0), None, trimmed).cast(pa.float64())
        except pa.ArrowInvalid as error:
            raise FaultyRows from error
    if not array.null_count:
        return _finite_numbers(array)
    numbers: npt.NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    if not np.isfinite(numbers[array.is_valid().to_numpy(zero_copy_only=False)]).all():
        raise FaultyRows
    return numbers


def _finite_numbers(array: pa.DoubleArray) -> npt.NDArray[np.float64]:
    numbers: npt.NDArray[np.float64] = array.to_numpy()
    if not np.isfinite(numbers).all():
        raise FaultyRows
    return numbers


def _integers(array: pa.StringArray) -> npt.NDArray[np.int64]:
    _, offsets, characters = array.buffers()
    used = np.frombuffer(offsets, np.int32)[len(array)] if len(array) else 0
    # pyarrow reads 0x10 as 16.
    if used and (np.frombuffer(characters, np.uint8)[:used] | 0x20 == ord("x")).any():
        raise FaultyRows
    try:
        numbers: npt.NDArray[np.int64] = array.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise FaultyRows from error
    return numbers


def _flags(array: pa.StringArray) -> npt.NDArray[np.int64]:
    try:
        return _integers(array)
    except FaultyRows:
        # What spreadsheets and pandas write: `1.0`, blanks around a value, nothing for an unknown flag.
        trimmed = pc.utf8_trim(array, " \t")
        integers = pc.replace_substring_regex(trimmed, r"^(?:[+]([0-9]+)|(-?[0-9]+))(?:\.0*)?$", r"\1\2")
        return _integers(pc.if_else(pc.equal(pc.binary_length(integers), 0), "-1", integers))
