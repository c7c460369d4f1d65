import io
import json
import pathlib

from oi_tfrecord.cli.console import Console, SummaryOptions
from tests.conftest import convert_arguments
from tests.support.small_release import run_command


def test_a_summary_for_a_program_is_one_value_of_json(sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = run_command([*convert_arguments(sample, tmp_path / "out"), "--format=json"])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["manifest"]["totals"]["records"] == 42
    assert result["output_dir"] == str(tmp_path / "out")


def test_a_plan_is_no_part_of_a_summary_for_a_program() -> None:
    out, err = io.StringIO(), io.StringIO()
    Console(out=out, err=err, summary=SummaryOptions("json")).progress.plan("5 shards")
    assert (out.getvalue(), err.getvalue()) == ("", "5 shards\n")
