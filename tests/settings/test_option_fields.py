import dataclasses

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.option_fields import check_options, flag_name, option, required


@dataclasses.dataclass(frozen=True)
class Options:
    folder: str = required("Folder.")
    inputs: tuple[str, ...] = required("Letters.", Choice(("a", "b")))
    as_: str = option("", "Name.", Choice(("x", "y")))
    workers: int = option(0, "Processes.", Range(1, 8))
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_options(self)


def test_allowed_values_and_defaults_pass() -> None:
    options = Options("folder", ("a", "b", "a"), as_="y", workers=8)
    assert Options("folder", ()).workers == 0
    assert dataclasses.fields(options)[3].metadata["help"] == "Processes."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inputs": ("a", "c")}, "inputs: 'c' is none of a, b"),
        ({"as_": "z"}, "as: 'z' is none of x, y"),
        ({"workers": 9}, "workers: 9 is not within 1 to 8"),
        ({"inputs": "ab"}, r"inputs: 'ab' is one text, and several are expected; give \('ab',\)"),
        ({"beam_arguments": "--runner=X"}, "beam_arguments: '--runner=X' is one text"),
    ],
)
def test_a_bad_value_names_its_flag(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Options(**{"folder": "folder", "inputs": ("a",), **values})  # type: ignore[arg-type]


def test_a_field_without_a_default_is_required() -> None:
    with pytest.raises(TypeError, match="folder"):
        Options(inputs=("a",))  # type: ignore[call-arg]


def test_a_flag_has_no_underscore_at_its_end() -> None:
    assert [flag_name(field.name) for field in dataclasses.fields(Options)] == [
        "folder", "inputs", "as", "workers", "beam_arguments"
    ]  # fmt: skip
