"""The description of the flex template matches ConvertConfig, which the launcher validates parameters with."""

import json
import pathlib
import re
import runpy
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord import storage
from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Choice, PathPattern, Range, Text
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.options import Option, options_of
from templates.dataflow import make_metadata
from templates.dataflow.make_metadata import LEFT_OUT, REQUIRED
from tests.support.optional import require

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "templates" / "dataflow"
STORED = json.loads((FOLDER / "metadata.json").read_text())
PARAMETERS = {parameter["name"]: parameter for parameter in STORED["parameters"]}
OPTIONS = {option.flag: option for option in options_of(ConvertConfig)}


def test_the_stored_description_is_that_of_the_code(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_metadata, "METADATA_FILE", tmp_path / "metadata.json")
    make_metadata.main()
    written, stored = ((folder / "metadata.json").read_text() for folder in (tmp_path, FOLDER))
    assert written == stored, "run: python -m templates.dataflow.make_metadata"


def test_every_option_is_a_parameter_except_those_that_a_template_cannot_have() -> None:
    assert set(PARAMETERS) == set(OPTIONS) - set(LEFT_OUT) | {"config", "sdk_container_image"}
    assert {name for name, parameter in PARAMETERS.items() if not parameter["isOptional"]} == set(REQUIRED)


def is_matched(name: str, value: str) -> bool:
    [regex] = PARAMETERS[name]["regexes"]
    return re.fullmatch(regex, value) is not None


def is_taken(name: str, value: str) -> bool:
    """Returns whether the command takes the value."""
    try:
        parse_convert([f"--{name}={value}"])
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_a_description_and_takes_its_example(name: str) -> None:
    parameter = PARAMETERS[name]
    assert set(parameter) == {"name", "label", "helpText", "paramType", "isOptional", "regexes"}
    assert re.fullmatch(r"[a-zA-Z_0-9]+", name)
    [regex] = parameter["regexes"]
    # POSIX has no lookahead, no class by letter, no lazy or possessive repetition, and repeats at most 255 times.
    assert not re.search(r"\\[A-Za-z0-9]|\(\?|[*+?}][?+]", regex)
    assert all(int(count) <= 255 for count in re.findall(r"[{,]([0-9]+)}", regex))
    example = parameter["helpText"].partition(" Example: ")[2]
    for value, matches in ((example, True), ("", False)):
        assert is_matched(name, value) is matches
        found = subprocess.run(["grep", "-Eq", "-e", regex], input=value + "\n", text=True, check=False).returncode
        assert found == (0 if matches else 1)
    if name != "sdk_container_image":
        assert is_taken(name, example)


SINGLE_LINE = st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=("C", "Z"))
"""Characters of values: no control characters, no separators."""


def valid_values(option: Option) -> st.SearchStrategy[str]:
    """Returns values within the bounds of an option, as Python writes them."""
    match option.allowed:
        case Range(low, high, above_low) if option.kind is float:
            return st.floats(low, high, exclude_min=above_low, allow_subnormal=False).map(repr)
        case Range(low, high):
            return st.one_of(st.sampled_from([low, high]), st.integers(low, high)).map(str)
        case Choice(values):
            lists = st.lists(st.sampled_from(values), min_size=1, max_size=3).map(",".join)
            return lists if option.kind is tuple else st.sampled_from(values)
        case PathPattern():
            pattern = re.compile(option.allowed.path_pattern)
            return st.from_regex(pattern, fullmatch=True, alphabet=SINGLE_LINE)
        case Text(pattern):
            return st.from_regex(re.compile(pattern), fullmatch=True, alphabet=SINGLE_LINE)
    raise AssertionError(option.name)


BOUNDED = [name for name, option in OPTIONS.items() if option.allowed and name in PARAMETERS]


@pytest.mark.parametrize("name", BOUNDED)
@settings(max_examples=20)
@given(data=st.data())
def test_the_form_takes_every_value_that_the_configuration_takes(name: str, data: st.DataObject) -> None:
    value = data.draw(valid_values(OPTIONS[name]))
    if name in ("images", "mask_files"):
        value = "gs://bucket/" + value
    elif name == "image_cache":
        value = "/" + value.replace(":", "")
    assert is_matched(name, value)
    assert is_taken(name, value)


@pytest.mark.parametrize("value", ["0", "100", "1%", "0.5%", "100%"])
def test_the_form_takes_bounds_on_rejects(value: str) -> None:
    assert is_matched("max_rejects", value)
    assert is_taken("max_rejects", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config", "v99"), ("config", "mine.yaml"), ("num_shards", "many"), ("sample", "-1"), ("max_rejects", "all"),
        ("select", "some"), ("split", "train/"), ("images", "gs://b/a.jpg"), ("overwrite", "yes"),
        ("extra_keys", "inside,none"), ("exclude_flags", "occluded,"),
    ],
)  # fmt: skip
def test_the_form_refuses_wrong_names_and_forms(name: str, value: str) -> None:
    assert not is_matched(name, value)
    assert not is_taken(name, value)


COMPLETE = {
    "config": "v3", "split": "train", "data_dir": "gs://bucket-name/2017_11", "output_dir": "gs://bucket-name/records",
    "images": "gs://bucket-name/{split}/{image_id}.jpg", "sdk_container_image": "image:1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_shards", "1000000000"), ("sample", "7"), ("sample", "1.2.3"), ("jpeg_quality", "0"),
        ("max_rejects", "101%"), ("max_side", "300"), ("image_urls", "original"), ("extra_keys", "masks"),
    ],
)  # fmt: skip
def test_the_launcher_refuses_a_bad_configuration_before_a_file_is_read_or_written(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The launcher starts pipelines/convert.py with the parameters and these flags of Beam."""
    require("google.cloud.dataflow_v1beta3")
    parameters = COMPLETE | {name: value}
    assert all(is_matched(*parameter) for parameter in parameters.items())
    flags = [f"--{parameter}={text}" for parameter, text in parameters.items()]
    flags += ["--runner=DataflowRunner", "--project=project-id", "--region=r", "--temp_location=gs://bucket-name/tmp"]
    flags += ["--template_location=gs://bucket-name/template.json"]

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a file is looked for")

    for function in ("match", "exists", "open_read", "create", "make_folder", "write", "read"):
        monkeypatch.setattr(storage, function, refuse)
    monkeypatch.setattr(sys, "argv", ["convert.py", *flags])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "pipelines" / "convert.py"), run_name="__main__")
    assert ended.value.code == 1
    assert re.match(rf"error: (flags: .*)?({name}|masks|boxes)\b", capsys.readouterr().err)


PLACES = (
    "data_dir", "output_dir", "images", "archives", "url_folders", "label_map", "image_ids", "box_ids", "mask_files",
    "mask_archives",
)  # fmt: skip
NAMES = (
    "metadata", "boxes", "human_labels", "machine_labels", "masks", "class_descriptions", "class_list", "hierarchy",
)  # fmt: skip


@pytest.mark.parametrize("name", [*PLACES, *NAMES])
@pytest.mark.parametrize("place", ["/here/", "file:///here/", "s3://bucket-name/", "gs:///", "gs://UPPER/", "here/"])
def test_the_form_refuses_a_place_that_workers_cannot_reach(name: str, place: str) -> None:
    if place == "here/" and name in NAMES:
        # A relative name lies within data_dir.
        assert is_matched(name, place + "a.csv,gs://bucket/b.csv")
    else:
        assert not is_matched(name, place + "{image_id}{mask_path}")
    if name in (*NAMES, "archives", "mask_archives"):
        assert not is_matched(name, "gs://bucket/a," + place.replace("here/", "/here/"))


def test_every_text_is_a_place_or_a_name_or_has_bounds() -> None:
    """A new option with a path fails here until the form checks its place."""
    texts = {name for name, option in OPTIONS.items() if option.kind in (str, tuple)} - set(LEFT_OUT)
    free = {"release", "classes", "subset", "box_sources", "max_rejects"}
    assert texts - set(BOUNDED) - free == set(PLACES) - {"images", "mask_files"} | set(NAMES)


def documented_parameters() -> list[tuple[str, str]]:
    """Returns the parameters in the commands of README and docs, split as gcloud splits them."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "".join(page.read_text() for page in pages).replace("$BUCKET", "my-bucket").replace("$IMAGE", "image:1")
    given = [match[1].strip("'\"") for match in re.finditer(r"--parameters=('[^']+'|\"[^\"]+\"|[^\s`]+)", text)]
    pairs = []
    for value in given:
        end, value = (value[1], value[3:]) if value.startswith("^") else (",", value)
        pairs += [(name, text) for name, _, text in (pair.partition("=") for pair in value.split(end))]
    return pairs


def test_the_form_takes_the_parameters_of_the_documents() -> None:
    pairs = documented_parameters()
    assert {"images", "classes", "extra_keys", *REQUIRED} <= {name for name, _ in pairs}
    for name, value in pairs:
        assert is_matched(name, value), (name, value)
