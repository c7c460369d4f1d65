"""A report as one self-contained HTML page, as CSV or as JSON."""

import base64
import csv
import dataclasses
import hashlib
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.explore.web_assets import embed
from oi_tfrecord.storage.csv_text import as_text


@dataclasses.dataclass(frozen=True)
class PageAssets:
    """What goes into the page.

    Attributes:
        styles: style sheets, in order.
        scripts: programs, in order.
        body: HTML of the page's body.
    """

    styles: tuple[str, ...]
    scripts: tuple[str, ...]
    body: str


def format_html(title: str, splits: Sequence[Mapping[str, Any]], assets: PageAssets) -> str:
    """Returns the page.

    The numbers travel as JSON that the program puts into text nodes only, and the Content-Security-Policy allows the
    page's own programs and styles by their hashes and no other source, so no name of a class or file can become markup.

    Args:
        title: of the page.
        splits: what `describe_split` gave.
        assets: program, styles and body.
    """
    policy = (
        "default-src 'none'; "
        f"script-src {' '.join(map(_hash, assets.scripts))}; "
        f"style-src {' '.join(map(_hash, assets.styles))}; img-src data:"
    )
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            # Without it, a browser asks the server of the page for an icon.
            '<link rel="icon" href="data:,">',
            f"<title>{html.escape(title)}</title>",
            *(f"<style>{style}</style>" for style in assets.styles),
            f"</head>\n<body>\n{assets.body}",
            f'<script type="application/json" id="data">{embed({"title": title, "splits": splits})}</script>',
            *(f"<script>{script}</script>" for script in assets.scripts),
            "</body>\n</html>\n",
        ]
    )


def format_json(splits: Sequence[Mapping[str, Any]]) -> str:
    """Returns the splits as JSON text."""
    return json.dumps({"splits": list(splits)}, indent=1, ensure_ascii=False) + "\n"


def format_csv(splits: Sequence[Mapping[str, Any]]) -> str:
    """Returns every number in one table of (split, section, key, name, measure, value)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("split", "section", "key", "name", "measure", "value"))
    for split in splits:
        writer.writerows(map(as_text, (split["split"], *row)) for row in _rows(split) if row[-1] is not None)
    return out.getvalue()


def _rows(split: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    yield from (("totals", key, "", "count", value) for key, value in split["totals"].items())
    for row in split["published"]:
        yield from (("published", row["what"], "", column, row[column]) for column in ("published", "read", "records"))
    classes = split["classes"]
    for index, (mid, name) in enumerate(zip(classes["mid"], classes["name"], strict=True)):
        for column, values in classes.items():
            if column not in ("mid", "name"):
                yield "classes", mid, name, column, values[index]
    for section in ("boxes_per_image", "box_sides", "box_aspects", "long_sides", "encoded_sizes"):
        histogram = split[section]
        for low, high, count in zip(histogram["from"], histogram["to"], histogram["count"], strict=True):
            yield section, low, high, "count", count
    yield from (("box_areas", size, "", "boxes", count) for size, count in split["box_areas"].items())
    for row in split["image_sizes"]:
        yield "image_sizes", f"{row['width']}x{row['height']}", "", "images", row["images"]
    yield from (("sources", row["source"], row["table"], "count", row["count"]) for row in split["sources"])
    for row in split["flags"]:
        yield from (("flags", row["flag"], "", column, row[column]) for column in ("boxes", "of"))
    yield from (("licenses", row["license"], "", "images", row["images"]) for row in split["licenses"])
    yield from (("keys", row["key"], "", "records", row["records"]) for row in split["keys"])
    for section in ("rejects", "left_out"):
        yield from ((section, row["reason"], row["table"], "count", row["count"]) for row in split[section] or ())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
