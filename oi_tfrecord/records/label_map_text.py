"""Protobuf text without a schema: https://protobuf.dev/reference/protobuf/textformat-spec/.

A small tolerant reader, so that label maps need neither the protobuf package nor the Object Detection API.
"""

import re
from collections import deque
from typing import NamedTuple

from oi_tfrecord.errors import InputError

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {c: c for c in "\\'\"?"}

_TO_ESCAPED = {code: f"\\{code:03o}" for code in (*range(32), 127)} | str.maketrans(
    {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
)

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f\v]+|\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
    |(?P<word>[-+.A-Za-z0-9_]+)
    |(?P<mark>[{}<>\[\]:,;])""",
    re.VERBOSE,
)

_ESCAPE = re.compile(r"\\(?:([0-3]?[0-7]{1,2})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)

_CLOSERS = {"{": "}", "<": ">"}

_MAX_DEPTH = 100

SYNTAX_REMEDY = "Correct the protobuf text there"


class Field(NamedTuple):
    """A field of a message: its value is a word (number, name), the bytes of a string, or a message."""

    name: str
    line: int
    value: "str | bytes | list[Field]"


def parse_text_format(text: str, path: str) -> list[Field]:
    """Reads protobuf text.

    Args:
        text: the text, with or without a byte order mark.
        path: the file's name, for errors.

    Returns:
        The fields of the top message in the order of the text, a [list] as one field per value.

    Raises:
        InputError: naming the line, if it is no protobuf text.
    """
    return _parse_message(_tokenize(text.removeprefix("\ufeff"), path), "", path, depth=0)


def to_text(field: Field, path: str) -> str:
    """Returns the text of a string field; raises InputError for another one."""
    if isinstance(field.value, bytes):
        try:
            return field.value.decode("utf-8")
        except UnicodeDecodeError as error:
            problem = f"the escapes in {field.name} are not UTF-8"
            raise InputError(path, problem, "Write the character itself", field.line) from error
    raise InputError(path, f"{field.name} is no string in quotes", SYNTAX_REMEDY, field.line)


def to_int(field: Field, path: str) -> int:
    """Returns the value of an integer field; raises InputError for another one."""
    if isinstance(field.value, str):
        # Protobuf text writes octal numbers as C does, with a leading 0 alone.
        literal = re.sub(r"^(-?)0(?=\d)", r"\g<1>0o", field.value)
        try:
            return int(literal, 0)
        except ValueError:
            pass
    raise InputError(path, f"{field.name} is no whole number", SYNTAX_REMEDY, field.line)


def escape(text: str) -> str:
    """Returns the text as it stands between double quotes: C escapes, all else raw."""
    return text.translate(_TO_ESCAPED)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def _tokenize(text: str, path: str) -> deque[_Token]:
    tokens: deque[_Token] = deque()
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            what = "a string that does not end on its line" if text[position] in "\"'" else repr(text[position])
            raise InputError(path, f"unexpected {what}", SYNTAX_REMEDY, line)
        if match.lastgroup != "space":
            tokens.append(_Token(match.lastgroup or "", match.group(), line))
        line += match.group().count("\n")
        position = match.end()
    tokens.append(_Token("end", "", line))
    return tokens


def _unexpected(token: _Token, wanted: str, path: str) -> InputError:
    found = f"'{token.text}'" if token.text else "the end of the text"
    return InputError(path, f"{wanted} expected, and {found} found", SYNTAX_REMEDY, token.line)


def _take(tokens: deque[_Token], *marks: str) -> bool:
    if tokens[0].text in marks:
        tokens.popleft()
        return True
    return False


def _parse_message(tokens: deque[_Token], closer: str, path: str, depth: int) -> list[Field]:
    """Takes the fields up to and with the closing mark, which is empty for the end of the text."""
    fields: list[Field] = []
    while tokens[0].text != closer:
        name = tokens.popleft()
        if name.kind != "word" or not name.text.isidentifier():
            raise _unexpected(name, f"a field name or '{closer}'" if closer else "a field name", path)
        if not _take(tokens, ":") and tokens[0].text not in _CLOSERS:
            raise _unexpected(tokens[0], "':' or '{'", path)
        fields += [Field(name.text, name.line, value) for value in _parse_values(tokens, path, depth)]
        _take(tokens, ",", ";")
    if closer:
        tokens.popleft()
    return fields


def _parse_values(tokens: deque[_Token], path: str, depth: int) -> list[str | bytes | list[Field]]:
    """Takes one value, or the values of a [list]."""
    token = tokens.popleft()
    if depth > _MAX_DEPTH:
        raise InputError(path, f"more than {_MAX_DEPTH} values inside one another", SYNTAX_REMEDY, token.line)
    if token.text in _CLOSERS:
        return [_parse_message(tokens, _CLOSERS[token.text], path, depth + 1)]
    if token.kind == "word":
        return [token.text]
    if token.kind == "string":
        value = _unescape(token, path)
        while tokens[0].kind == "string":
            value += _unescape(tokens.popleft(), path)
        return [value]
    if token.text == "[":
        values: list[str | bytes | list[Field]] = []
        while not _take(tokens, "]"):
            values += _parse_values(tokens, path, depth + 1)
            if not _take(tokens, ",") and tokens[0].text != "]":
                raise _unexpected(tokens[0], "',' or ']'", path)
        return values
    raise _unexpected(token, "a value", path)


def _unescape(token: _Token, path: str) -> bytes:
    """Returns the bytes of a quoted string: octal and hex escapes are bytes, all else is UTF-8."""

    def to_char(match: re.Match[str]) -> str:
        octal, hexadecimal, letter = match.groups()
        if letter is None:
            # A byte that is no character by itself travels as a surrogate, as os.fsdecode does.
            return bytes([int(octal, 8) if octal else int(hexadecimal, 16)]).decode("utf-8", "surrogateescape")
        if letter not in _ESCAPES:
            raise InputError(path, f"unknown escape \\{letter}", SYNTAX_REMEDY, token.line)
        return _ESCAPES[letter]

    return _ESCAPE.sub(to_char, token.text[1:-1]).encode("utf-8", "surrogateescape")
