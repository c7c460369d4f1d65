"""Hook of MkDocs: makes the pages whose text stands elsewhere, in the README or in declarations of the package."""

import csv
import pathlib
import re
from collections.abc import Mapping

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import oi_tfrecord
from oi_tfrecord.cli import reference
from oi_tfrecord.cli.exit_codes import MEANINGS
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.records.keys import KNOWN_KEYS, ListLength
from oi_tfrecord.settings.options import options_of

ROOT = pathlib.Path(__file__).resolve().parents[1]

_FILES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files at the top of the repository, and the pages that they become."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, and fills in the tables of the written ones.

    Args:
        files: of the site.
        config: of the site.
    """
    for path, text in generated_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replaces `<!-- table: NAME -->` by the table of that name, `<!-- options: NAME -->` by the fields of that class.

    Args:
        markdown: of a page.
    """
    markdown = re.sub(r"<!-- table: (\w+) -->", lambda match: TABLES[match[1]](), markdown)
    return re.sub(r"<!-- options: (\w+) -->", lambda match: _options(getattr(oi_tfrecord, match[1])), markdown)


def generated_pages() -> Mapping[str, str]:
    """Returns the generated pages by path below docs/."""
    pages = {target: _move_links((ROOT / source).read_text("utf-8")) for source, target in _FILES.items()}
    pages |= {f"reference/commands/{name}": text for name, text in reference.format_pages().items()}
    return pages


def _move_links(text: str) -> str:
    """Returns a page of the repository's top as a page of docs/."""
    for source, target in _FILES.items():
        text = text.replace(f"]({source}", f"]({target}")
    return text.replace("](docs/", "](")


def _rejects() -> str:
    return _reasons(Reject)


def _drops() -> str:
    return _reasons(Drop)


def _reasons(reasons: type[Reject] | type[Drop]) -> str:
    rows = [f"| `{reason}` | {reason.meaning} | {reason.remedy} |" for reason in reasons]
    return "\n".join(["| reason | meaning | remedy |", "|---|---|---|", *rows])


def _exit_codes() -> str:
    return "\n".join(
        ["| code | meaning |", "|---|---|", *(f"| {code:d} | {text} |" for code, text in MEANINGS.items())]
    )


_LENGTHS = {
    ListLength.ONE: "one",
    ListLength.BOXES: "one for each box",
    ListLength.LABELS: "one for each verified label",
    ListLength.ABSENT_LABELS: "one for each class that is verified absent",
    ListLength.MACHINE_LABELS: "one for each machine label",
    ListLength.PRESENT_LABELS: "one for each label that is present",
    ListLength.ANY: "any number",
}


def _record_keys() -> str:
    rows = [
        f"| `{name}` | {key.kind} | {_LENGTHS[key.length]} | {', '.join(key.readers)} |"
        for name, key in KNOWN_KEYS.items()
    ]
    return "\n".join(["| key | type | number of values | read by |", "|---|---|---|---|", *rows])


def _configuration() -> str:
    return f"```yaml\n{(ROOT / 'configs' / 'v3.yaml').read_text('utf-8').rstrip()}\n```"


def _options(options_class: type) -> str:
    lines = ["| field | type | meaning | default |", "|---|---|---|---|"]
    for option in options_of(options_class):
        default = "required" if option.required else f"`{option.default!r}`"
        meaning = option.help.replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")
        lines.append(f"| `{option.name}` | `{option.kind.__name__}` | {meaning} | {default} |")
    return "\n".join(lines)


def _downloads() -> str:
    with (ROOT / "configs" / "downloads.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = ["| release | split | file | size |", "|---|---|---|---|"]
    for row in rows:
        size = f"{int(row['bytes']) / 1e6:,.1f} MB" if row["bytes"] else ""
        name = row["url"].rpartition("/")[2]
        lines.append(f"| {row['releases'].upper()} | {row['split']} | [{name}]({row['url']}) | {size} |")
    return "\n".join(lines)


TABLES = {
    "configuration": _configuration,
    "downloads": _downloads,
    "drops": _drops,
    "exit_codes": _exit_codes,
    "record_keys": _record_keys,
    "rejects": _rejects,
}
