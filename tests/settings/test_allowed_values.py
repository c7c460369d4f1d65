import math

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Allowed, Choice, PathPattern, Range, Text

SPLIT = Text("[a-z]+", "may hold only letters", "letters")


@pytest.mark.parametrize(
    ("allowed", "value"),
    [
        (Choice(("a", "b")), "b"), (Range(1, 3), 1), (Range(1, 3), 3.0), (Range(0, 1, above_low=True), 1e-9),
        (SPLIT, "train"),
    ],
)  # fmt: skip
def test_an_allowed_value_passes(allowed: Allowed, value: str | float) -> None:
    allowed.check("field", value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("allowed", "value", "problem"),
    [
        (Choice(("list", "mid")), "lst", "'lst' is none of list, mid; did you mean 'list'?"),
        (Range(1, 3), 0, "0 is not within 1 to 3"),
        (Range(1, 3), 3.5, "3.5 is not within 1 to 3"),
        (Range(0, 1, above_low=True), 0, "0 is not above 0 and at most 1"),
        (Range(0, 1, above_low=True), 1.5, "1.5 is not above 0 and at most 1"),
        (Range(0, 1), math.nan, "nan is not within 0 to 1"),
        (SPLIT, "train/", "'train/' may hold only letters"),
        (SPLIT, "train\n", "'train\\n' may hold only letters"),
    ],
)
def test_a_bad_value_is_an_error_that_names_its_field(allowed: Allowed, value: str | float, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        allowed.check("field", value)  # type: ignore[arg-type]
    assert str(raised.value) == f"field: {problem}"


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        (Choice(("list", "mid")), "list, mid"),
        (Range(1, 3), "1 to 3"),
        (Range(0, 1, above_low=True), "above 0 and at most 1"),
        (SPLIT, "letters"),
    ],
)
def test_the_help_describes_the_allowed_values(allowed: Allowed, text: str) -> None:
    assert allowed.describe() == text


IMAGES = PathPattern("image_id", ("split", "digit"), ("cvdf",))


@pytest.mark.parametrize(
    "value",
    [
        "cvdf",
        "{image_id}.jpg",
        "s3://b/{split}/{digit}/{image_id}.jpg",
        "/a[1]/{image_id}?.jpg",
        "{image_id}/{image_id}",
    ],
)
def test_paths_with_known_placeholders_are_taken(value: str) -> None:
    IMAGES.check("images", value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a.jpg", "has no {image_id}"),
        ("cvd", "has no {image_id}"),
        ("{spilt}/{image_id}.jpg", r"{spilt} in .* did you mean '{split}'"),
        ("*/{image_id}.jpg", r"holds a \* or a single brace"),
        ("{{image_id}.jpg", r"holds a \* or a single brace"),
    ],
)
def test_other_paths_are_refused(value: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        IMAGES.check("images", value)
