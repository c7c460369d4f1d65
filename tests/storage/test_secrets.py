import pytest

from oi_tfrecord.storage.secrets import hide_secrets, without_secrets


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
        "https://h/x?X-Amz-Security-Token=s3cret",
        "https://h/x?sv=2020&sig=s3cret%2F&se=1",
        "https://s3cret@h/x",
        "access_token=s3cret",
        "AccountKey=s3cret==;x",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    assert "s3cret" not in hide_secrets(text)
    assert "***" in hide_secrets(text)


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8080/p/a@2x.jpg", "s3://b/a:b@c", "gs://b/x", "a: b@c", "key=v", "design=3"]
)
def test_other_text_stays(text: str) -> None:
    assert hide_secrets(text) == text


def test_secrets_are_hidden_in_keys_and_values() -> None:
    found = without_secrets({"https://u:s3cret@h/x": ["sig=s3cret", 1, None], "a": ("token=s3cret",)})
    assert found == {"https://u:***@h/x": ["sig=***", 1, None], "a": ["token=***"]}
