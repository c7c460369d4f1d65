import base64
import csv
import hashlib
import html.parser
import io
import json

from oi_tfrecord.explore.report.format_report import PageAssets, format_csv, format_html, format_json
from oi_tfrecord.explore.report.numbers import SplitNumbers, make_numbers
from oi_tfrecord.explore.report.record_stats import RecordStats
from oi_tfrecord.explore.report.reject_examples import RejectGroup
from oi_tfrecord.records.label_map import LabelMapItem

HOSTILE = "</script><script>alert('x')</script><!-- & \u2028"
ASSETS = PageAssets(styles=("p { color: red }",), scripts=("draw();",), body="<main></main>")


def hostile_split() -> SplitNumbers:
    items = (LabelMapItem(1, "/m/a", HOSTILE),)
    rejects = [RejectGroup("boxes", "duplicate", 1, [{"Detail": HOSTILE}])]
    return make_numbers("train", None, 1, RecordStats(records=1), items, rejects)


class Elements(html.parser.HTMLParser):
    """Collects the elements of a page: (tag, attributes, text) of scripts and styles, and all tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inline: list[tuple[str, dict[str, str | None], str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        if tag in ("script", "style") and data.strip():
            self.inline.append((tag, attributes, data))


def test_names_cannot_become_markup() -> None:
    page = format_html("<b>title</b>", [hostile_split()], ASSETS)
    elements = Elements(page)
    assert [tag for tag, _ in elements.tags].count("script") == 2
    assert "b" not in [tag for tag, _ in elements.tags]
    [embedded] = [text for _, attributes, text in elements.inline if attributes.get("id") == "data"]
    split = json.loads(embedded)["splits"][0]
    assert split["classes"]["name"] == [HOSTILE]
    assert split["rejects"][0]["examples"] == [{"Detail": HOSTILE}]


def test_only_the_pages_own_programs_and_styles_are_allowed() -> None:
    elements = Elements(format_html("t", [hostile_split()], ASSETS))
    [policy] = [
        attributes["content"] for _, attributes in elements.tags if "Content-Security-Policy" in attributes.values()
    ]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    hashed = [text for _, attributes, text in elements.inline if attributes.get("id") != "data"]
    assert hashed == [*ASSETS.styles, *ASSETS.scripts]
    for text in hashed:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_nothing_of_the_page_is_elsewhere() -> None:
    elements = Elements(format_html("t", [hostile_split()], ASSETS))
    sources = [attributes.get("src") or attributes.get("href") for tag, attributes in elements.tags if tag != "a"]
    assert [source for source in sources if source and not source.startswith("data:")] == []


def test_json_and_csv_hold_the_same_numbers() -> None:
    split = hostile_split()
    assert json.loads(format_json([split]))["splits"] == [vars(split)]
    rows = list(csv.DictReader(io.StringIO(format_csv([split]), newline="")))
    classes = [row for row in rows if row["section"] == "classes"]
    assert {row["measure"]: row["value"] for row in classes} == {
        "id": "1", "images": "0", "boxes": "0", "positive": "0", "negative": "0", "machine": "0", "masks": "0"
    }  # fmt: skip
    assert {row["name"] for row in classes} == {HOSTILE}
    assert [row["value"] for row in rows if (row["section"], row["key"]) == ("totals", "records")] == ["1"]
    assert [row["value"] for row in rows if row["section"] == "box_sides"] == ["0"] * len(split.box_sides["count"])
    assert [(row["key"], row["value"]) for row in rows if row["section"] == "rejects"] == [("duplicate", "1")]
