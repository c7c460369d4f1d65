"""Edits protobuf text in place, so that comments, unknown fields and the layout of the rest stay.

Format: protobuf.dev/reference/protobuf/textformat-spec. The text must be valid (`parse_text_proto` checks this); each
function parses the text again and returns the edited text.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from google.protobuf import text_encoding

Path = tuple[str, ...]
"""Names of fields, from the outermost message to the field."""

_TOKEN = re.compile(r"""\#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[{}<>\[\]:,;]|[^\s{}<>\[\]:,;\#"']+""")
_OPENING, _CLOSING, _SEPARATORS = "{<", "}>", ",;"


@dataclasses.dataclass(frozen=True)
class Message:
    """A message in a text.

    Attributes:
        start: Where its content begins: after the bracket.
        end: Where its content ends: at the closing bracket.
        fields: Its fields, in order.
    """

    start: int
    end: int
    fields: tuple["Field", ...]

    def find(self, name: str) -> list["Field"]:
        """Returns the fields of a name, in order."""
        return [field for field in self.fields if field.name == name]


@dataclasses.dataclass(frozen=True)
class Field:
    """A field in a text.

    Attributes:
        name: Its name.
        start: Where the name begins.
        end: Where the field ends: after its value and the separator that may follow.
        value_start: Where the value begins.
        value_end: Where the value ends.
        messages: The messages that are the value: one, several in a list, none for a scalar.
    """

    name: str
    start: int
    end: int
    value_start: int
    value_end: int
    messages: tuple[Message, ...]


def parse(text: str) -> Message:
    """Returns the message that valid protobuf text is."""
    return _Parser(text).message()


def quote(value: str) -> str:
    """Returns a string as protobuf text."""
    return f'"{text_encoding.CEscape(value.encode(), as_utf8=True)}"'


def find_values(text: str, path: Path) -> list[str]:
    """Returns the values of a field as they stand in the text, in order."""
    return [text[field.value_start : field.value_end] for field in _find(parse(text), path)]


def has(text: str, path: Path) -> bool:
    """Returns whether a text has a field."""
    return bool(_find(parse(text), path))


def find_lines(text: str, word: str) -> list[int]:
    """Returns the lines, from 1, of the tokens with a word; comments are no tokens."""
    tokens = (token for token in _TOKEN.finditer(text) if not token[0].startswith("#"))
    return [text.count("\n", 0, token.start()) + 1 for token in tokens if word in token[0]]


def set_value(text: str, path: Path, value: str) -> str:
    """Gives a scalar field one value, in place of all its values; messages that lack are added.

    Args:
        text: Valid protobuf text.
        path: Path of the field.
        value: The value as protobuf text.
    """
    found = _find(parse(text), path)
    if not found:
        return _insert(text, path, value)
    *others, last = found
    text = text[: last.value_start] + value + text[last.value_end :]
    return _cut(text, others)


def remove(text: str, path: Path) -> str:
    """Removes all values of a field, and the lines that are empty then."""
    return _cut(text, _find(parse(text), path))


def keep_first_message(text: str, path: Path) -> str:
    """Removes all messages of a repeated field but the first."""
    found = _find(parse(text), path)
    text = _cut(text, found[1:])
    if not found or len(found[0].messages) < 2:
        return text
    first, field = found[0].messages[0], found[0]
    return text[: field.value_start] + text[first.start - 1 : first.end + 1] + text[field.value_end :]


def _find(message: Message, path: Path) -> list[Field]:
    name, *rest = path
    fields = message.find(name)
    if not rest:
        return fields
    inner = (inner for field in fields for inner in field.messages)
    return [found for message in inner for found in _find(message, tuple(rest))]


def _insert(text: str, path: Path, value: str) -> str:
    """Adds a field to the innermost message of its path that exists."""
    message, depth = parse(text), 0
    while depth < len(path) - 1 and (inner := _last_message(message, path[depth])) is not None:
        message, depth = inner, depth + 1
    line_start = text.rfind("\n", 0, message.end) + 1
    indent = text[line_start : message.end]
    if message.end == len(text):
        start = text if not text or text.endswith("\n") else text + "\n"
        return start + "".join(_lines(path[depth:], value, ""))
    if indent.strip():
        # The message ends on the line of its last field.
        added = " ".join(line.strip() for line in _lines(path[depth:], value, ""))
        return f"{text[: message.end].rstrip()} {added} {text[message.end :]}"
    return text[:line_start] + "".join(_lines(path[depth:], value, indent + "  ")) + text[line_start:]


def _last_message(message: Message, name: str) -> Message | None:
    found = [inner for field in message.find(name) for inner in field.messages]
    return found[-1] if found else None


def _lines(path: Sequence[str], value: str, indent: str) -> Iterator[str]:
    name, *rest = path
    if not rest:
        yield f"{indent}{name}: {value}\n"
        return
    yield f"{indent}{name} {{\n"
    yield from _lines(rest, value, indent + "  ")
    yield f"{indent}}}\n"


def _cut(text: str, fields: Sequence[Field]) -> str:
    for field in reversed(fields):
        before, after = text[: field.start], text[field.end :]
        line_start, line_end = before.rfind("\n") + 1, after.find("\n") + 1
        if line_end and not before[line_start:].strip() and not after[:line_end].strip():
            before, after = before[:line_start], after[line_end:]
        text = before + after
    return text


class _Parser:
    """The tokens of a text, read from left to right."""

    def __init__(self, text: str):
        self._end = len(text)
        self._tokens = [token for token in _TOKEN.finditer(text) if not token[0].startswith("#")]
        self._next = 0

    def message(self, start: int = 0) -> Message:
        """Reads the fields of a message up to its closing bracket, or the end of the text."""
        fields = []
        while self._next < len(self._tokens) and self._peek() not in _CLOSING:
            fields.append(self._field())
        end = self._tokens[self._next].start() if self._next < len(self._tokens) else self._end
        return Message(start, end, tuple(fields))

    def _field(self) -> Field:
        first = self._take()
        name = first[0]
        if name == "[":
            # The name of an extension.
            while (part := self._take()[0]) != "]":
                name += part
            name += "]"
        if self._peek() == ":":
            self._take()
        value_start = self._tokens[self._next].start()
        messages = self._value()
        value_end = end = self._tokens[self._next - 1].end()
        if self._peek() and self._peek() in _SEPARATORS:
            end = self._take().end()
        return Field(name, first.start(), end, value_start, value_end, tuple(messages))

    def _value(self) -> list[Message]:
        token = self._take()
        if token[0] in _OPENING:
            message = self.message(token.end())
            self._take()
            return [message]
        if token[0] == "[":
            messages: list[Message] = []
            while self._peek() != "]":
                messages += self._value()
                if self._peek() == ",":
                    self._take()
            self._take()
            return messages
        if token[0] == "-":
            self._take()
        # Strings that follow each other are one value.
        while token[0][0] in "\"'" and self._peek()[:1] in ('"', "'"):
            self._take()
        return []

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _take(self) -> re.Match[str]:
        self._next += 1
        return self._tokens[self._next - 1]
