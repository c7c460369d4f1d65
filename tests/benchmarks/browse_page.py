"""How long the first page of `browse` takes, until every picture in sight is there.

python -m tests.benchmarks.many_records --records=40000 --output_dir=DIR
python -m tests.benchmarks.browse_page --output_dir=DIR

Each round starts a new command and a new browser, with the index made before; the page is a window of 1200 x 900.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

from tests.support.chromium import open_chromium

_READY = """
const tiles = [...document.querySelectorAll('.tile')];
const seen = tiles.filter((tile) => tile.getBoundingClientRect().top < innerHeight).map((tile) => tile.firstChild);
return seen.length && seen.every((picture) => picture.complete && picture.naturalWidth)
  ? [Math.max(...performance.getEntriesByType('resource').map((entry) => entry.responseEnd)), seen.length] : null;
"""


def measure(output_dir: pathlib.Path, query: str) -> tuple[float, float, int]:
    """Returns seconds to the address, milliseconds to the last picture in sight, and the number of pictures."""
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
            browser.get(address + query)
            while (ready := browser.execute_script(_READY)) is None:
                time.sleep(0.02)
        return started, ready[0], ready[1]
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--query", default="", help="What follows the address, as ?class=/m/000003&group_of=yes")
    parsed = parser.parse_args()
    rounds = [measure(parsed.output_dir, parsed.query) for _ in range(parsed.rounds)]
    pages = sorted(page for _, page, _ in rounds)
    print(
        f"first page: median {statistics.median(pages):.0f} ms ({pages[0]:.0f} to {pages[-1]:.0f}), "
        f"{rounds[0][2]} pictures; the command was ready after {statistics.median(row[0] for row in rounds):.2f} s"
    )


if __name__ == "__main__":
    main()
