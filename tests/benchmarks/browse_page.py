"""How long the first page of `browse` takes, until every picture in sight is there, and each request of a visit.

python -m tests.benchmarks.many_records --records=100000 --output_dir=DIR
python -m tests.benchmarks.browse_page --output_dir=DIR
python -m tests.benchmarks.browse_page --output_dir=DIR --visit

Each round starts a new command and a new browser, with the index made before; the page is a window of 1200 x 900. A
visit chooses classes and orders, scrolls to the next pictures, and reads the requests' times from the browser: from the
start of a request to the last byte of its answer, without the wait for one of the browser's six connections.
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from selenium import webdriver

from tests.support.chromium import open_chromium

_READY = """
if (!document.getElementById('empty').hidden) return [0, 0];
const tiles = [...document.querySelectorAll('.tile')];
const seen = tiles.filter((tile) => tile.getBoundingClientRect().top < innerHeight).map((tile) => tile.firstChild);
return seen.length && seen.every((picture) => picture.complete && picture.naturalWidth)
  ? [Math.max(...performance.getEntriesByType('resource').map((entry) => entry.responseEnd)), seen.length] : null;
"""


_TIMES = """
const entries = performance.getEntriesByType('resource').map((entry) => entry.responseEnd - entry.requestStart);
performance.clearResourceTimings();
return entries;
"""

_VISITED = (
    *(
        f"?class=/m/0{1 + number:05x}&sort={order}"
        for number, order in enumerate(("boxes", "size", "hash", "random") * 5)
    ),
    *(f"?class=/m/0{number:05x},/m/0{number + 1:05x}&match=all" for number in range(1, 20, 2)),
    *(f"?min_boxes={number}&group_of=yes" for number in range(1, 11)),
    *(f"?id={digits}" for digits in ("0", "1f", "a", "b0", "c3", "e")),
)


@contextlib.contextmanager
def open_page(output_dir: pathlib.Path) -> Iterator[tuple[webdriver.Chrome, str, float]]:
    """Starts the command and a browser; gives the browser, the address, and the seconds until it was printed."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "oi_tfrecord", "browse", str(output_dir), "--port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(line.split()[1] for line in process.stdout if line.startswith("browse"))
        started = time.monotonic() - begin
        with open_chromium(1200, 900) as browser:
            # A browser is busy with itself when it has just started.
            time.sleep(3)
            yield browser, address, started
    finally:
        process.terminate()
        process.wait()


def wait_for_pictures(browser: webdriver.Chrome) -> tuple[float, int]:
    """Waits for every picture in sight; returns the milliseconds to the last one, and their number."""
    while (ready := browser.execute_script(_READY)) is None:
        time.sleep(0.02)
    return ready[0], ready[1]


def measure(output_dir: pathlib.Path, query: str) -> tuple[float, float, int]:
    """Returns seconds to the address, milliseconds to the last picture in sight, and the number of pictures."""
    with open_page(output_dir) as (browser, address, started):
        browser.get(address + query)
        return started, *wait_for_pictures(browser)


def visit(output_dir: pathlib.Path) -> list[float]:
    """Returns the milliseconds of each request of a visit, in ascending order."""
    times: list[float] = []
    with open_page(output_dir) as (browser, address, _):
        for query in _VISITED:
            browser.get(address + query)
            wait_for_pictures(browser)
            for _ in range(3):
                browser.execute_script("document.getElementById('grid').scrollBy(0, innerHeight)")
                wait_for_pictures(browser)
            times += browser.execute_script(_TIMES)
    return sorted(times)


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--query", default="", help="What follows the address, as ?class=/m/000003&group_of=yes")
    parser.add_argument("--visit", action="store_true", help="Print the times of all requests of a visit")
    parsed = parser.parse_args()
    if parsed.visit:
        times = visit(parsed.output_dir)
        middle, late = (times[min(int(share * len(times)), len(times) - 1)] for share in (0.5, 0.99))
        print(
            f"{len(times)} requests: median {middle:.0f} ms, 99th percentile {late:.0f} ms, longest {times[-1]:.0f} ms"
        )
        return
    rounds = [measure(parsed.output_dir, parsed.query) for _ in range(parsed.rounds)]
    pages = sorted(page for _, page, _ in rounds)
    print(
        f"first page: median {statistics.median(pages):.0f} ms ({pages[0]:.0f} to {pages[-1]:.0f}), "
        f"{rounds[0][2]} pictures; the command was ready after {statistics.median(row[0] for row in rounds):.2f} s"
    )


if __name__ == "__main__":
    main()
