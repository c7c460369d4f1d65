"""The flex template: its description is that of ConvertConfig, its images install what setup.py asks for."""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import apache_beam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from oi_tfrecord.conversion.flags import parse_convert
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Choice, Range, Text
from oi_tfrecord.settings.convert_config import ConvertConfig
from templates.dataflow.make_metadata import LEFT_OUT, REQUIRED, template_metadata

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "templates" / "dataflow"
STORED = json.loads((FOLDER / "metadata.json").read_text())
PARAMETERS = {parameter["name"]: parameter for parameter in STORED["parameters"]}
SETTINGS = {field.name: field for field in dataclasses.fields(ConvertConfig)}


def test_the_stored_description_is_that_of_the_code() -> None:
    assert template_metadata() == STORED, (
        "run: python -m templates.dataflow.make_metadata > templates/dataflow/metadata.json"
    )


def test_every_setting_is_a_parameter_but_for_those_that_a_template_cannot_have() -> None:
    assert set(PARAMETERS) == set(SETTINGS) - set(LEFT_OUT) | {"config", "sdk_container_image"}
    assert {name for name, parameter in PARAMETERS.items() if not parameter["isOptional"]} == set(REQUIRED)


def is_matched(name: str, value: str) -> bool:
    [regex] = PARAMETERS[name]["regexes"]
    return re.fullmatch(regex, value) is not None


def is_taken(name: str, value: str) -> bool:
    """Returns whether the command takes the value."""
    needed = ["--label_map=map.pbtxt"] if name == "append_classes" else []
    try:
        parse_convert([f"--{name}={value}", *needed])
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_is_described_and_takes_its_example(name: str) -> None:
    parameter = PARAMETERS[name]
    assert set(parameter) == {"name", "label", "helpText", "paramType", "isOptional", "regexes"}
    assert re.fullmatch(r"[a-zA-Z_0-9]+", name)
    [regex] = parameter["regexes"]
    # The engine is POSIX's: no lookahead, no class by letter, no lazy or possessive repetition, at most 255 times.
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
"""What stands in values: no control characters, no separators."""


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"sdk_container_image"}))
@settings(max_examples=20)
@given(data=st.data())
def test_a_value_that_matches_is_taken_by_the_command(name: str, data: st.DataObject) -> None:
    [regex] = PARAMETERS[name]["regexes"]
    value = data.draw(st.from_regex(re.compile(regex), fullmatch=True, alphabet=SINGLE_LINE))
    assert is_taken(name, value)


def written(field: dataclasses.Field[Any]) -> st.SearchStrategy[str]:
    """Returns values of a field that has bounds, within and without, as Python writes them."""
    match field.metadata["allowed"]:
        case Range(low, high) if isinstance(field.default, float):
            near = st.sampled_from([low, high, low + 1e-9, high - 1e-9, high + 1e-9, high + 0.5, low - 1e-9, -1.0])
            return st.one_of(near, st.floats(1e-290, 2 * high), st.just(0.0)).map(repr)
        case Range(low, high):
            near = st.sampled_from([low, high]).flatmap(lambda bound: st.integers(bound - 2, bound + 2))
            return st.one_of(near, st.integers(-1, 2 * high), st.integers(low, high)).map(str)
        case Choice(values):
            one = st.one_of(st.sampled_from(values), st.sampled_from(values).map(lambda value: value + "s"))
            several = st.lists(one, min_size=1, max_size=3).map(",".join)
            return several if isinstance(field.default, tuple) else st.one_of(one, several)
        case Text(pattern):
            return st.from_regex(re.compile(pattern), fullmatch=True, alphabet=SINGLE_LINE)
    raise AssertionError(field.name)


BOUNDED = [name for name, field in SETTINGS.items() if field.metadata["allowed"] and name in PARAMETERS]


@pytest.mark.parametrize("name", BOUNDED)
@settings(max_examples=20)
@given(data=st.data())
def test_a_value_that_the_command_takes_matches_and_another_does_not(name: str, data: st.DataObject) -> None:
    value = data.draw(written(SETTINGS[name]))
    if name in ("images", "mask_files"):
        value = "gs://bucket/" + value
    elif name == "image_cache":
        value = "/" + value.replace(":", "")
    assert is_matched(name, value) == is_taken(name, value)


@given(st.one_of(st.integers(0, 10**6).map(str), st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3})?%?", fullmatch=True)))
def test_so_it_is_with_max_rejects(value: str) -> None:
    # Leading zeros are taken, and nobody writes them.
    if value == "0" or not re.match("0[0-9]", value):
        assert is_matched("max_rejects", value) == is_taken("max_rejects", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample", "0"), ("sample", "7"), ("min_confidence", "3"), ("min_box_side", "2"), ("jpeg_quality", "0"),
        ("jpeg_quality", "999"), ("num_shards", "1000000000"), ("num_shards", "many"), ("config", "v99"),
        ("config", "mine.yaml"), ("max_rejects", "101%"), ("max_rejects", "1.5"), ("split", "train/"),
        ("select", "some"), ("sample", "-1"), ("images", "gs://b/a.jpg"), ("overwrite", "yes"),
        ("extra_keys", "inside,none"), ("exclude_flags", "occluded,"), ("fetch_timeout", "86400.5"),
    ],
)  # fmt: skip
def test_what_the_command_would_refuse_is_refused_before_a_machine_starts(name: str, value: str) -> None:
    assert not is_taken(name, value)
    assert not is_matched(name, value)


PLACES = (
    "data_dir", "output_dir", "images", "archives", "url_folders", "label_map", "image_ids", "mask_files",
    "mask_archives",
)  # fmt: skip
NAMES = (
    "metadata", "boxes", "human_labels", "machine_labels", "masks", "class_descriptions", "class_list", "hierarchy",
)  # fmt: skip


@pytest.mark.parametrize("name", [*PLACES, *NAMES])
@pytest.mark.parametrize("place", ["/here/", "file:///here/", "s3://bucket-name/", "gs:///", "gs://UPPER/", "here/"])
def test_a_place_that_workers_cannot_reach_is_refused(name: str, place: str) -> None:
    if place == "here/" and name in NAMES:
        # Within data_dir.
        assert is_matched(name, place + "a.csv,gs://bucket/b.csv")
    else:
        assert not is_matched(name, place + "{image_id}{mask_path}")
    if name in (*NAMES, "archives", "mask_archives"):
        assert not is_matched(name, "gs://bucket/a," + place.replace("here/", "/here/"))


def test_every_text_is_a_place_or_a_name_or_has_bounds() -> None:
    """So that a new path is not forgotten."""
    texts = {name for name, field in SETTINGS.items() if isinstance(field.default, (str, tuple))}
    free = {"release", "classes", "subset", "box_sources", "max_rejects"}
    assert texts - set(BOUNDED) - free == set(PLACES) - {"images", "mask_files"} | set(NAMES)


def readme_parameters() -> list[tuple[str, str]]:
    """Returns the parameters that the README gives, as gcloud takes them apart."""
    text = (ROOT / "README.md").read_text().replace("$BUCKET", "my-bucket").replace("$IMAGE", "image:1")
    given = [match[1].strip("'\"") for match in re.finditer(r"--parameters=('[^']+'|\"[^\"]+\"|[^\s`]+)", text)]
    pairs = []
    for value in given:
        end, value = (value[1], value[3:]) if value.startswith("^") else (",", value)
        pairs += [(name, text) for name, _, text in (pair.partition("=") for pair in value.split(end))]
    return pairs


def test_the_parameters_of_the_readme_are_taken() -> None:
    pairs = readme_parameters()
    assert {"images", "classes", "extra_keys", *REQUIRED} <= {name for name, _ in pairs}
    for name, value in pairs:
        assert is_matched(name, value), (name, value)


def pinned() -> dict[str, Version]:
    return pins([line for line in (FOLDER / "requirements.txt").read_text().splitlines() if line and line[0] != "#"])


def pins(lines: list[str]) -> dict[str, Version]:
    parsed = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)(?: ; .+)?", line) for line in lines]
    assert all(parsed), "each requirement has one version"
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): Version(match[2]) for match in parsed if match}


def asked_for() -> list[Requirement]:
    """Returns what setup.py asks for, with the extras that the images are made with."""
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, folder], cwd=ROOT, check=True, capture_output=True)
        [text] = pathlib.Path(folder).glob("*.egg-info/requires.txt")
        sections = re.split(r"^\[(.+)\]$", text.read_text(), flags=re.M)
    by_extra = dict(zip(["", *sections[1::2]], sections[::2], strict=True))
    return [Requirement(line) for extra in ("", "download", "archives") for line in by_extra[extra].split()]


def test_the_pinned_versions_satisfy_what_the_package_and_its_extras_ask_for() -> None:
    versions = pinned()
    requirements = asked_for()
    assert {"apache-beam", "aiohttp", "indexed-gzip"} <= {requirement.name for requirement in requirements}
    for requirement in requirements:
        assert versions[requirement.name.lower().replace("_", "-")] in requirement.specifier


def test_the_pins_replace_nothing_of_beams_image() -> None:
    """What Beam's image of the pinned version holds is listed in Beam's sources."""
    if not shutil.which("go"):
        pytest.skip("Beam's sources are fetched by go, which is not installed")
    script = ROOT / "tests" / "support" / "container" / "beam_module.sh"
    folder = subprocess.run([script], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    text = (pathlib.Path(folder) / "py311" / "base_image_requirements.txt").read_text()
    of_beam = pins([line for line in text.splitlines() if "==" in line])
    ours = pinned()
    assert {name: version for name, version in ours.items() if name in of_beam} == {
        name: version for name, version in of_beam.items() if name in ours
    }
    assert ours.keys() - of_beam.keys() == {"absl-py", "apache-beam", "indexed-gzip"}


def dockerfile() -> list[str]:
    """Returns the instructions, one a line."""
    text = re.sub(r"\\\n", " ", (FOLDER / "Dockerfile").read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_has_the_pinned_beam() -> None:
    assert f"ARG BEAM_IMAGE=apache/beam_python3.11_sdk:{pinned()['apache-beam']}" in dockerfile()
    assert pinned()["apache-beam"] == Version(apache_beam.__version__), "tests run with another Beam than the image"


def test_the_images_it_is_made_of_have_a_fixed_version() -> None:
    versions = dict(line.removeprefix("ARG ").split("=", 1) for line in dockerfile() if line.startswith("ARG "))
    bases = [line.split()[1] for line in dockerfile() if line.startswith("FROM ")]
    assert set(bases) == {f"${{{name}}}" for name in versions}, "a build can be given another base"
    for image in versions.values():
        assert re.fullmatch(r"\S+(:[0-9][\w.]*|@sha256:[0-9a-f]{64})", image)


def test_the_image_is_made_of_files_that_are_there() -> None:
    known = {"ARG", "FROM", "COPY", "WORKDIR", "RUN", "ENV"}
    assert {line.split()[0] for line in dockerfile()} <= known
    ignored = set((ROOT / ".dockerignore").read_text().split())
    for line in dockerfile():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, _ = line.split()[1:]
            for source in sources:
                assert (ROOT / source).exists()
                assert source.split("/")[0] not in ignored
    [started] = [line for line in dockerfile() if "FLEX_TEMPLATE_PYTHON_PY_FILE" in line]
    assert (ROOT / started.partition("=/template/")[2]).is_file()
