import numpy as np

from oi_tfrecord.example_text import SHOWN_BYTES, format_example


def test_each_key_has_a_line_with_its_kind_and_values() -> None:
    text = format_example(
        {
            "b/float": np.array([0.1, 1], np.float32),
            "a/int": np.array([-1, 2], np.int64),
            "c/text": ["é\n".encode(), b"\xff"],
            "d/none": None,
            "e/empty": [],
            "f/empty": np.zeros(0, np.float32),
        }
    )
    assert text.splitlines() == [
        "a/int: int64[2] -1 2",
        "b/float: float[2] 0.1 1.0",
        "c/text: bytes[2] 'é\\n' b'\\xff'",
        "d/none: no kind",
        "e/empty: bytes[0]",
        "f/empty: float[0]",
    ]


def test_long_bytes_are_cut() -> None:
    text = format_example({"image/encoded": [b"\xff\xd8" + b"x" * SHOWN_BYTES * 100]})
    assert len(text) < SHOWN_BYTES
    assert "(20,002 bytes)" in text
