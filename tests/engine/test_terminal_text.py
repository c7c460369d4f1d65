import pytest

from oi_tfrecord.engine.terminal_text import escape_controls, hide_secrets


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


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:s3cret@host/db is no folder",
        "postgresql://u:s3cret%zz@host/db",
        "mysql+driver://u:a/s3cret@host",
        "postgresql://u:a s3cret@host",
        "host=h password=s3cret user=u",
        "host=h password = 's3cret x' user=u",
        "https://h/x?token=s3cret&y=1",
        "s3://b/x?X-Amz-Signature=s3cret",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    assert "s3cret" not in hide_secrets(text)
    assert "***" in hide_secrets(text)


@pytest.mark.parametrize("text", ["http://127.0.0.1:8080/p/a@2x.jpg", "s3://b/a:b@c", "gs://b/x", "a: b@c", "key=v"])
def test_other_text_stays(text: str) -> None:
    assert hide_secrets(text) == text
