"""Code blocks of the README and of the pages of docs/."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        language: the word after the fence.
        text: its lines.
        not_run: why no test runs it; empty if one does.
    """

    language: str
    text: str
    not_run: str


def blocks(page: pathlib.Path) -> list[Block]:
    """Returns the code blocks of a page, in order."""
    found = _BLOCK.finditer(page.read_text("utf-8"))
    return [Block(match["language"], match["text"], match["reason"] or "") for match in found]


def pages() -> list[pathlib.Path]:
    """Returns the README, CONTRIBUTING and the pages of docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
