import csv
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.explore.report.write_report import ReportOptions, report
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt
from tests.benchmarks.many_records import write_dataset
from tests.support.chromium import Select, errors_of, open_chromium, requests_of
from tests.support.few_records import boxes, draw_jpeg, image, make_example, write_shard
from tests.support.small_release import write_release

EXTRA = "--extra_keys=box_source,inside,label_source,machine_labels,attribution"
SCRIPT = "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"


@pytest.fixture
def records(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> pathlib.Path:
    for split in ("train", "validation"):
        assert run(sample, tmp_path / "out", EXTRA, split=split).code == 0
    return tmp_path / "out"


def read_report(records: pathlib.Path, *flags: str) -> list[dict[str, Any]]:
    assert main(["report", str(records), "--format=json", *flags]) == 0
    return json.loads((records / "report.json").read_text())["splits"]


def test_the_numbers_are_those_of_the_manifest(records: pathlib.Path) -> None:
    # The manifest counts rows on their way into records, the report reads the records.
    manifest = json.loads((records / "manifest.json").read_text())["splits"]
    splits = read_report(records)
    assert [split["split"] for split in splits] == ["train", "validation"]
    for split in splits:
        known = manifest[split["split"]]
        assert split["totals"]["records"] == known["images"]["records"]
        assert split["totals"]["image_bytes"] == known["totals"]["image_bytes"]
        assert split["totals"]["most_boxes_in_an_image"] == known["totals"]["most_boxes_in_an_image"]
        columns = ("mid", "name", "id", "boxes", "positive", "negative")
        rows = zip(*(split["classes"][column] for column in columns), strict=True)
        assert {row[0]: row[1:] for row in rows} == {
            item["mid"]: (
                item["name"], item["id"], item["boxes"], item["positive_labels"], item["negative_labels"]
            )
            for item in known["classes"]
        }  # fmt: skip
        for table in ("boxes", "human_labels", "machine_labels"):
            counted = {row["source"]: row["count"] for row in split["sources"] if row["table"] == table}
            assert counted == known["sources"][table]
        counted_in = {row["table"]: row["counted_in"] for row in split["sources"]}
        assert counted_in == {"boxes": "records", "human_labels": "records", "machine_labels": "manifest"}
        assert sum(split["box_sides"]["count"]) == split["totals"]["boxes"]
        assert {row["what"]: row["read"] for row in split["published"]}["boxes"] == known["tables"]["boxes"][
            "rows_read"
        ]


def test_rejects_are_shown_with_examples(tmp_path: pathlib.Path) -> None:
    from oi_tfrecord.cli.main import main

    release = write_release(tmp_path / "release", images=40)
    assert main(["convert", *release.flags(tmp_path / "out"), "--workers=1"]) == 0
    [split] = read_report(tmp_path / "out")
    counted = {(group["table"], group["reason"]): group["count"] for group in split["rejects"]}
    for table in ("metadata", "boxes", "human_labels", "images"):
        expected = getattr(release.expected, table)
        assert {reason: count for (of, reason), count in counted.items() if of == table} == expected
    assert all(group["examples"] for group in split["rejects"])


def test_processes_count_what_one_counts(tmp_path: pathlib.Path) -> None:
    write_dataset(tmp_path / "many", records=60, shards=9, classes=20)
    one, two = (report(ReportOptions(str(tmp_path / "many"), output="-", workers=count)).text for count in (1, 2))
    assert one == two


def test_one_split_to_standard_output_as_csv(records: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(records), "--format=csv", "--output=-", "--split=validation"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert {row["split"] for row in rows} == {"validation"}
    assert not (records / "report.csv").exists()


def test_errors_are_one_line(records: pathlib.Path, capfd: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    def error(*arguments: str) -> str:
        capfd.readouterr()
        assert main(["report", *arguments, "--quiet"]) == 1
        [line] = capfd.readouterr().err.splitlines()
        return line

    assert "there are no records" in error(str(tmp_path / "none"))
    assert "there is no split 'test'" in error(str(records), "--split=test")
    assert "format" in error(str(records), "--format=pdf")
    assert "--forma" in error(str(records), "--forma=json")
    assert "browser: " in error(str(records), "--browser=javascript:alert(1)")
    assert "examples: " in error(str(records), "--examples=2", "--format=json")
    shard = pathlib.Path(find_splits(str(records))["train"].shards[0])
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    line = error(str(records))
    assert shard.name in line
    assert "oi-tfrecord verify" in line
    shard.unlink()
    assert "the shard is gone" in error(str(records))
    (records / "rejects-train.csv").write_text("other\n")
    shard.write_bytes(whole)
    assert "rejects-train.csv" in error(str(records))


@pytest.fixture
def hostile(tmp_path: pathlib.Path) -> pathlib.Path:
    """A report with programs in names: of a class, a split and a reject."""
    folder = tmp_path / "hostile"
    write_dataset(folder, records=40, shards=2, classes=30)
    write_dataset(folder, records=4, shards=1, classes=30, split="b&<i>")
    items = [LabelMapItem(id, f"/m/0{id:05x}", SCRIPT if id == 2 else f"Class {id}") for id in range(1, 31)]
    items += [LabelMapItem(id, f"/m/extra{id}", f"Extra {id}") for id in range(31, 20_001)]
    (folder / "label_map.pbtxt").write_text(format_pbtxt(LabelMap(tuple(items))))
    row = ["boxes", SCRIPT, "7", "0" * 16, "duplicate", SCRIPT]
    with (folder / "rejects-train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Table", "File", "Line", "ImageID", "Reason", "Detail"], row])
    assert main(["report", str(folder), "--browser=http://127.0.0.1:8000/TOKEN/"]) == 0
    return folder


FAINT_TEXTS = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgb = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (colour) => colour.slice(0, 3)
  .map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const behind = (element) => {
  const colour = element ? rgb(getComputedStyle(element).backgroundColor) : [255, 255, 255, 255];
  return colour[3] === 255 ? colour : behind(element.parentElement);
};
return [...document.body.querySelectorAll("*")]
  .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .filter((element) => element.getClientRects().length)
  .filter((element) => {
    const pair = [luminance(rgb(getComputedStyle(element).color)), luminance(behind(element))];
    const [low, high] = pair.sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05) < 4.5;
  }).map((element) => element.outerHTML);
"""
"""A program that returns the elements whose text has a contrast below 4.5 (WCAG 2.2, 1.4.3)."""


def test_the_page_in_a_browser(hostile: pathlib.Path) -> None:
    url = (hostile / "report.html").as_uri()
    with open_chromium(width=400, dark=True) as browser:
        browser.get(f"{url}#train")
        title = browser.title

        def script(text: str, *arguments: object) -> Any:
            return browser.execute_script(text, *arguments)

        def rows() -> list[str]:
            return script("return [...document.querySelectorAll('.window td.name')].map((cell) => cell.textContent)")

        def search(text: str) -> None:
            script(
                "const field = document.getElementById('class-search'); field.value = arguments[0];"
                "field.dispatchEvent(new Event('input'))",
                text,
            )

        # Every section is there, and is as narrow as the window; what has to be corrected comes first.
        headings = script("return [...document.querySelectorAll('main h2')].map((heading) => heading.textContent)")
        assert headings[:2] == ["Rejects by reason", "Totals of train"]
        assert {"Splits side by side", "Classes by count", "Classes together", "Where the boxes lie"} <= {*headings}
        assert script("return document.querySelectorAll('.chart canvas').length") == 5
        assert script("return document.documentElement.scrollWidth <= window.innerWidth")
        colour = "return getComputedStyle(document.body).backgroundColor"
        assert script(colour) == "rgb(13, 17, 23)"
        # Of 20,000 classes only those in sight are in the document, and any can be found.
        assert 10 < len(rows()) < 100
        search("extra 19999")
        assert rows() == ["Extra 19999"]
        search("/m/EXTRA2000")
        assert len(rows()) == 2
        search("</script>")
        assert rows() == [SCRIPT]
        link = browser.find_element("css selector", "td.name a").get_attribute("href")
        assert link == "http://127.0.0.1:8000/TOKEN/?class=%2Fm%2F000002&split=train"
        search("no such class")
        assert rows() == []
        details = script("return document.querySelector('details td:last-child').textContent")
        assert details == SCRIPT
        # A CSV is made in the page.
        text = script(
            "const blobs = []; const original = URL.createObjectURL;"
            "URL.createObjectURL = (blob) => { blobs.push(blob); return original(blob); };"
            "HTMLAnchorElement.prototype.click = () => {};"
            "document.querySelector('.csv[aria-label=\"CSV of Classes by count\"]').click();"
            "return blobs[0].text()"
        )
        table = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(table) == 20_000
        assert SCRIPT in {row["name"] for row in table}
        # The other split, by its button.
        script("document.querySelector('#splits button:first-child').click()")
        assert script("return document.querySelector('main h2').textContent") == "Totals of b&<i>"
        for scheme in ("dark", "light"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            assert script(FAINT_TEXTS) == []
        assert browser.title == title
        assert errors_of(browser) == []
        assert {url.partition("#")[0] for url in requests_of(browser)} == {url}


def test_a_reader_of_the_page_chooses_what_the_bars_show(hostile: pathlib.Path) -> None:
    with open_chromium(width=1400) as browser:
        browser.get(f"{(hostile / 'report.html').as_uri()}#train")

        def script(text: str) -> Any:
            return browser.execute_script(text)

        names = "return [...document.querySelectorAll('.bar-name')].map((name) => name.textContent)"
        counts = "return [...document.querySelectorAll('.bar-count')].map((count) => Number(count.textContent))"
        assert len(script(names)) == 30
        assert script(counts) == sorted(script(counts), reverse=True)
        boxes = script(counts)
        Select(browser.find_element("css selector", "select")).select_by_value("negative")
        assert script("return document.querySelector('.axis-title').textContent") == "negative labels"
        assert script(counts) != boxes
        width = "return [...document.querySelectorAll('.bar')].map((bar) => bar.getBoundingClientRect().width)"
        linear = script(width)
        browser.find_element("xpath", "//h2[.='Classes by count']/ancestor::section//button[.='log']").click()
        assert script("return document.querySelector('.axis-title').textContent") == "negative labels, log scale"
        # The longest bar stays, and a short one is longer on the log scale.
        assert script(width)[0] == pytest.approx(linear[0])
        assert script(width)[10] > linear[10]
        browser.find_element("id", "bar-search").send_keys("class 17")
        assert script(names) == ["Class 17"]
        browser.find_element("xpath", "//h2[.='Box size']/ancestor::section//button[.='log']").click()
        assert script("return document.querySelectorAll('.chart canvas').length") == 5
        assert errors_of(browser) == []


def test_an_empty_split_is_not_praised_and_has_no_empty_charts(tmp_path: pathlib.Path) -> None:
    write_shard(tmp_path / "train.tfrecord-00000-of-00001", [])
    assert main(["report", str(tmp_path)]) == 0
    with open_chromium() as browser:
        browser.get((tmp_path / "report.html").as_uri())
        headings = [heading.text for heading in browser.find_elements("css selector", "main h2")]
        assert headings[:2] == ["Warnings", "Totals of train"]
        assert browser.find_element("css selector", "main .bad").text == "The split has no record."
        assert browser.find_elements("css selector", ".chart, .bars, .cells, main .good") == []
        assert errors_of(browser) == []


def test_the_page_has_example_pictures_by_choice(tmp_path: pathlib.Path) -> None:
    picture = image(64, 48, draw_jpeg(64, 48))
    records = [make_example(**picture, **boxes((0, 0, 0.5, 0.5), mids=("/m/a",))) for _ in range(5)]
    write_shard(tmp_path / "train.tfrecord-00000-of-00001", records)
    assert main(["report", str(tmp_path)]) == 0
    assert "data:image/jpeg" not in (tmp_path / "report.html").read_text()
    assert main(["report", str(tmp_path), "--examples=2"]) == 0
    assert (tmp_path / "report.html").read_text().count("data:image/jpeg") == 2
