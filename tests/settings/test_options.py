import dataclasses
import pathlib

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.options import REQUIRED, Group, Option, check_values, option, options_of


@dataclasses.dataclass(frozen=True)
class CopyOptions:
    output_dir: str = option(REQUIRED, "Folder of the records.", Group.INPUTS, positional="DIR")
    split: tuple[str, ...] = option((), "Splits to copy.", Group.INPUTS, Choice(("train", "test")))
    share: float = option(1.0, "Share to copy.", Group.CHOICE, Range(0, 1, above_low=True))
    workers: int = option(0, "Workers.", Group.RUNNER)
    overwrite: bool = option(False, "Replace files.", Group.OUTPUT)
    as_: str = option("", "Name of the copy.", Group.OUTPUT)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)


def test_options_are_the_fields_made_by_option_in_their_order() -> None:
    first, second, *rest = options_of(CopyOptions)
    assert first == Option(
        "output_dir", "output_dir", str, None, True, "Folder of the records.", Group.INPUTS, None, "DIR", ""
    )
    assert (second.name, second.flag, second.kind, second.default) == ("split", "split", tuple, ())
    expected = [("share", float), ("workers", int), ("overwrite", bool), ("as_", str)]
    assert [(found.name, found.kind) for found in rest] == expected
    assert rest[-1].flag == "as"


def test_good_values_are_taken() -> None:
    assert CopyOptions("records", split=("test",), share=1, workers=2).share == 1


@pytest.mark.parametrize(
    ("values", "field", "problem"),
    [
        ({"split": ("tran",)}, "split", "did you mean 'train'"),
        ({"split": "train"}, "split", "'train' is not a tuple of texts"),
        ({"split": (1,)}, "split", "is not a tuple of texts"),
        ({"share": 0.0}, "share", "is not above 0"),
        ({"share": "1"}, "share", "'1' is not a number"),
        ({"workers": True}, "workers", "True is not a whole number"),
        ({"workers": 1.0}, "workers", "1.0 is not a whole number"),
        ({"overwrite": 1}, "overwrite", "1 is not true or false"),
        ({"output_dir": None}, "output_dir", "None is not a text"),
    ],
)
def test_a_bad_value_names_its_option(values: dict[str, object], field: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        dataclasses.replace(CopyOptions("records"), **values)
    assert raised.value.field == field
    assert problem in raised.value.problem


def test_an_option_without_a_default_is_required() -> None:
    with pytest.raises(TypeError, match="output_dir"):
        CopyOptions()


def test_paths_become_texts() -> None:
    assert CopyOptions(pathlib.Path("records"), as_="a").output_dir == "records"  # type: ignore[arg-type]


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    options = CopyOptions("~/records", as_="a~b")
    assert (options.output_dir, options.as_) == ("/home/me/records", "a~b")
