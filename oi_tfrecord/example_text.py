"""An Example as text for people."""

from collections.abc import Mapping

from oi_tfrecord.parse_example import Values

SHOWN_BYTES = 200
"""Longer values of bytes, images above all, are shown by their beginning and length."""


def format_example(example: Mapping[str, Values]) -> str:
    """Returns a line per key: its kind, number of values, and the values.

    Args:
      example: a parsed Example.
    """
    return "".join(f"{key}: {_format(example[key])}\n" for key in sorted(example))


def _format(values: Values) -> str:
    if values is None:
        return "no kind"
    if isinstance(values, list):
        return f"bytes[{len(values)}]" + "".join(f" {_format_bytes(value)}" for value in values)
    kind = "float" if values.dtype.kind == "f" else "int64"
    # numpy gives the shortest decimal that reads back as the same float32.
    return f"{kind}[{len(values)}]" + "".join(f" {value!s}" for value in values)


def _format_bytes(value: bytes) -> str:
    if len(value) > SHOWN_BYTES:
        return f"{value[:16]!r}... ({len(value):,} bytes)"
    try:
        return repr(value.decode())
    except UnicodeDecodeError:
        return repr(value)
