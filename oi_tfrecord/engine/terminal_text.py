"""Text for a terminal: without control characters, which a stranger's text may hold, and without passwords."""

import re
import unicodedata

_NOT_ASCII_TEXT = re.compile(r"\r(?!\n)|[^\n\r\t\x20-\x7e]")

_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories that steer a terminal or the order of its characters, or that no encoding can print."""

_PASSWORD_OF_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@?#]*):(?!\d+(?:[/?#\s]|$))[^\s@]*(?:\s[^\s@]*)?@")

_PASSWORD_WORD = re.compile(
    r"\b((?:password|passwd|pwd|secret|token|sslpassword|X-Amz-Signature|sig)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&;,'\"]+)",
    re.IGNORECASE,
)


def escape_controls(text: str) -> str:
    """Returns text in which a control character is replaced by its escape; line ends and tabs stay."""
    return _NOT_ASCII_TEXT.sub(_escape, text)


def hide_secrets(text: str) -> str:
    """Returns text with `***` for the password of a URL, and for the value after `password=` and such words."""
    return _PASSWORD_WORD.sub(r"\1***", _PASSWORD_OF_URL.sub(r"\1:***@", text))


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return ascii(character)[1:-1] if unicodedata.category(character) in _STEERING else character
