"""Runs a harness under atheris (libFuzzer), or over files; a harness is a module with CHECK, SEEDS and DICTIONARY.

Harness modules define
  check(data): raises AssertionError where the code under test and its reference disagree,
  seeds(): the inputs to start from,
  DICTIONARY: pieces that the mutator may put in,
  MAX_BYTES: length of an input at most.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

CODE_UNDER_TEST = "oi_tfrecord"


def main(harness: str, arguments: Sequence[str] | None = None) -> None:
    """Runs the command line of a harness.

    Args:
        harness: name of its module.
        arguments: of the command line; those of this process by default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {harness}", description=__doc__)
    parser.add_argument("--seconds", type=int, default=0, help="Stop after this time.")
    parser.add_argument("--runs", type=int, default=-1, help="Stop after this many inputs.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the mutator; 0 is another one in each run.")
    parser.add_argument("--corpus", type=pathlib.Path, help="Folder that keeps the inputs that reach new code.")
    parser.add_argument("--more_seeds", type=pathlib.Path, help="Folder of further files to start from.")
    parser.add_argument("--finds", type=pathlib.Path, help="Folder that an input which fails is written to.")
    parser.add_argument("--replay", type=pathlib.Path, nargs="+", help="Check these files or folders, without atheris.")
    parsed = parser.parse_args(arguments)
    if parsed.replay:
        _replay(importlib.import_module(harness), parsed.replay)
        return
    import atheris

    # What this process has imported so far is without the marks of coverage.
    for name in [name for name in sys.modules if name.partition(".")[0] == CODE_UNDER_TEST]:
        del sys.modules[name]
    with atheris.instrument_imports(include=[CODE_UNDER_TEST]):
        module = importlib.import_module(harness)
    with tempfile.TemporaryDirectory() as folder:
        atheris.Setup(_libfuzzer_arguments(module, parsed, pathlib.Path(folder)), module.check)
        atheris.Fuzz()


def _libfuzzer_arguments(module: Any, parsed: argparse.Namespace, folder: pathlib.Path) -> list[str]:
    corpus = parsed.corpus or folder / "corpus"
    seeds = folder / "seeds"
    for made in (corpus, seeds):
        made.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(module.seeds()):
        (seeds / f"{number:04d}").write_bytes(data)
    dictionary = folder / "dictionary"
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in module.DICTIONARY)
    dictionary.write_text("".join(lines))
    finds = parsed.finds or pathlib.Path.cwd()
    finds.mkdir(parents=True, exist_ok=True)
    return [
        sys.argv[0],
        f"-max_total_time={parsed.seconds}",
        f"-runs={parsed.runs}",
        f"-seed={parsed.seed}",
        f"-max_len={module.MAX_BYTES}",
        "-len_control=0",
        f"-dict={dictionary}",
        f"-artifact_prefix={finds}/{module.__name__.rpartition('.')[2]}-",
        "-print_final_stats=1",
        "-timeout=1200",
        str(corpus),
        str(seeds),
        *([str(parsed.more_seeds)] if parsed.more_seeds else []),
    ]


def _replay(module: Any, paths: Sequence[pathlib.Path]) -> None:
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for file in files:
        try:
            module.check(file.read_bytes())
        except Exception:
            print(f"fails: {file}", file=sys.stderr)
            raise
    print(f"{len(files)} inputs checked")
