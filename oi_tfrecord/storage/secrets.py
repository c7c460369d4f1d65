"""Hides passwords, keys and tokens of addresses before these are printed or written to a file."""

import re
from typing import Any

_USER_OF_HTTP = re.compile(r"(https?://)[^\s:/@?#]+@", re.IGNORECASE)
"""A user without a password, which is a token to many servers."""

_PASSWORD_OF_URL = re.compile(
    r"([a-zA-Z][a-zA-Z0-9+.-]{0,40}://[^\s:/@?#]*):(?!\d+(?:[/?#\s]|$))[^\s@]*(?:\s[^\s@]*)?@"
)

_SECRET_WORD = re.compile(
    r"((?:(?<![\w-])(?:sig|pwd)|(?:password|passwd|secret|token|signature|credential|api_?key|access_?key|"
    r"account_?key|accesskeyid))\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&;,'\"]+)",
    re.IGNORECASE,
)


# Neither pattern begins with a repetition without a limit: the time would grow with the square of the length of a word.
def hide_secrets(text: str) -> str:
    """Returns text with `***` for the password of a URL, and for the value after `password=` and such words."""
    text = _PASSWORD_OF_URL.sub(r"\1:***@", text)
    return _SECRET_WORD.sub(r"\1***", _USER_OF_HTTP.sub(r"\1***@", text))


def without_secrets(value: Any) -> Any:
    """Returns a value of JSON in which `hide_secrets` has passed over each text, keys too."""
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, dict):
        return {without_secrets(key): without_secrets(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return value
