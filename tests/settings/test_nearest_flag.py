import pytest

from oi_tfrecord.settings.nearest_flag import nearest_flag

OWN = ("split", "output_dir", "classes", "max_images", "dry_run", "sample")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("--hlep", "; did you mean '--help'?"),
        ("--clases", "; did you mean '--classes'?"),
        ("--dry-run", "; did you mean '--dry_run'?"),
        ("--out", "; did you mean '--output_dir'?"),
        ("--max_samples", "; did you mean '--max_images'?"),
        ("--limit", "; did you mean '--max_images'?"),
        ("--no_ath", "; did you mean '--no_auth'?"),
        ("--foo", ""),
    ],
)
def test_a_flag_is_proposed_only_if_it_is_near_or_means_the_same(name: str, hint: str) -> None:
    assert nearest_flag(name, OWN, ["no_auth", "runner"]) == hint


def test_each_command_has_its_own_name_for_the_output() -> None:
    assert nearest_flag("--output_dir", ("split", "to")) == "; did you mean '--to'?"
    assert nearest_flag("--to", ("split", "output")) == "; did you mean '--output'?"
    assert nearest_flag("--output", ("split",)) == ""
