import pytest

from oi_tfrecord.engine.terminal_text import escape_controls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("a\x00\x07\x9b", "a\\x00\\x07\\x9b"),
        ("over\rwrite", "over\\rwrite"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\udcff", "\\udcff"),
        ("Zürich 日本 ★ 😀", "Zürich 日本 ★ 😀"),
        ("a\tb\r\nc\n", "a\tb\r\nc\n"),
    ],
)
def test_nothing_steers_a_terminal(text: str, shown: str) -> None:
    assert escape_controls(text) == shown
