"""Formats a report as one self-contained HTML page, as CSV or as JSON."""

import base64
import csv
import dataclasses
import hashlib
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.explore.report.example_pictures import Picture
from oi_tfrecord.explore.report.numbers import SplitNumbers
from oi_tfrecord.explore.web_assets import embed
from oi_tfrecord.storage.csv_text import as_text


@dataclasses.dataclass(frozen=True)
class PageAssets:
    """The files that the page contains.

    Attributes:
        styles: style sheets, in order.
        scripts: programs, in order.
        body: HTML of the page's body.
    """

    styles: tuple[str, ...]
    scripts: tuple[str, ...]
    body: str


@dataclasses.dataclass(frozen=True)
class PageExtras:
    """What the page has besides the numbers.

    Attributes:
        examples: pictures by split and MID.
        browser: address of a browser of the records; empty without one.
    """

    examples: Mapping[str, Mapping[str, Sequence[Picture]]] = dataclasses.field(default_factory=dict)
    browser: str = ""


def format_html(
    title: str, splits: Sequence[SplitNumbers], assets: PageAssets, extras: PageExtras = PageExtras()
) -> str:
    """Returns the page.

    No name of a class or file can become markup: the numbers are JSON that the program puts into text nodes only, and
    the Content-Security-Policy allows the page's own programs and styles, by their hashes, and no other source.

    Args:
        title: of the page.
        splits: numbers of the splits.
        assets: programs, styles and body.
        extras: pictures and links; none by default.
    """
    policy = (
        "default-src 'none'; "
        f"script-src {' '.join(map(_hash, assets.scripts))}; "
        f"style-src {' '.join(map(_hash, assets.styles))}; img-src data:"
    )
    data = {"title": title, "splits": list(map(vars, splits)), **vars(extras)}
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            # Without this line, a browser asks the server of the page for an icon.
            '<link rel="icon" href="data:,">',
            f"<title>{html.escape(title)}</title>",
            *(f"<style>{style}</style>" for style in assets.styles),
            f"</head>\n<body>\n{assets.body}",
            f'<script type="application/json" id="data">{embed(data)}</script>',
            *(f"<script>{script}</script>" for script in assets.scripts),
            "</body>\n</html>\n",
        ]
    )


def format_json(splits: Sequence[SplitNumbers]) -> str:
    """Returns the splits as JSON text."""
    return json.dumps({"splits": list(map(vars, splits))}, indent=1, ensure_ascii=False) + "\n"


def format_csv(splits: Sequence[SplitNumbers]) -> str:
    """Returns every number in one table of (split, section, key, name, measure, value)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("split", "section", "key", "name", "measure", "value"))
    for split in splits:
        writer.writerows(map(as_text, (split.split, *row)) for row in _make_rows(split) if row[-1] is not None)
    return out.getvalue()


def _make_rows(split: SplitNumbers) -> Iterator[tuple[Any, ...]]:
    """Yields (section, key, name, measure, value)."""
    yield from (("totals", key, "", "count", value) for key, value in split.totals.items())
    for row in split.published:
        yield from (("published", row["what"], "", column, row[column]) for column in ("published", "read", "records"))
    yield from _make_class_rows(split.classes)
    for section in ("boxes_per_image", "box_sides", "box_aspects", "long_sides", "encoded_sizes"):
        histogram = getattr(split, section)
        for low, high, count in zip(histogram["from"], histogram["to"], histogram["count"], strict=True):
            yield section, low, high, "count", count
    yield from _make_table_rows(split)
    yield from (("box_areas", size, "", "boxes", count) for size, count in split.box_areas.items())
    for row in split.image_sizes:
        yield "image_sizes", f"{row['width']}x{row['height']}", "", "images", row["images"]
    yield from (("sources", row["source"], row["table"], "count", row["count"]) for row in split.sources)
    for row in split.flags:
        yield from (("flags", row["flag"], "", column, row[column]) for column in ("boxes", "of"))
    yield from (("licenses", row["license"], "", "images", row["images"]) for row in split.licenses)
    yield from (("keys", row["key"], "", "records", row["records"]) for row in split.keys)
    for section, rows in (("rejects", split.rejects or ()), ("left_out", split.left_out)):
        yield from ((section, row["reason"], row["table"], "count", row["count"]) for row in rows)


def _make_table_rows(split: SplitNumbers) -> Iterator[tuple[Any, ...]]:
    """Yields the counts that have two keys, of which the second stands in the column `name`."""
    for side, counts in zip(split.box_shapes["side"], split.box_shapes["count"], strict=True):
        for aspect, count in zip(split.box_shapes["aspect"], counts, strict=True):
            yield "box_shapes", side, aspect, "boxes", count
    for row, counts in enumerate(split.box_places):
        yield from (("box_places", row, column, "boxes", count) for column, count in enumerate(counts))
    mids = split.class_pairs["mid"]
    for mid, counts in zip(mids, split.class_pairs["together"], strict=True):
        yield from (("class_pairs", mid, other, "images", count) for other, count in zip(mids, counts, strict=True))


def _make_class_rows(classes: Mapping[str, Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    for index, (mid, name) in enumerate(zip(classes["mid"], classes["name"], strict=True)):
        for column, values in classes.items():
            if column not in ("mid", "name"):
                yield "classes", mid, name, column, values[index]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
