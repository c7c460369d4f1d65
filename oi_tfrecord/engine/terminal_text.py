"""Text for a terminal: without control characters, which a stranger's text may hold."""

import re
import unicodedata

_NOT_ASCII_TEXT = re.compile(r"\r(?!\n)|[^\n\r\t\x20-\x7e]")

_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories that steer a terminal or the order of its characters, or that no encoding can print."""


def escape_controls(text: str) -> str:
    """Returns text in which a control character is replaced by its escape; line ends and tabs stay."""
    return _NOT_ASCII_TEXT.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return ascii(character)[1:-1] if unicodedata.category(character) in _STEERING else character
