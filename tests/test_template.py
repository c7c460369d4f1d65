"""The flex template: its description is that of ConvertConfig, its images install what setup.py asks for."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess

import apache_beam
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from oi_tfrecord.config import ConvertConfig
from oi_tfrecord.options import parse_convert
from oi_tfrecord.template import REQUIRED, template_metadata

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "templates" / "dataflow"
STORED = json.loads((FOLDER / "metadata.json").read_text())
PARAMETERS = {parameter["name"]: parameter for parameter in STORED["parameters"]}


def test_the_stored_description_is_that_of_the_code() -> None:
    assert template_metadata() == STORED, "run: python -m oi_tfrecord.template > templates/dataflow/metadata.json"


def test_every_setting_is_a_parameter() -> None:
    settings = {field.name for field in dataclasses.fields(ConvertConfig)}
    assert set(PARAMETERS) == settings | {"config", "sdk_container_image"}
    assert {name for name, parameter in PARAMETERS.items() if not parameter["isOptional"]} == set(REQUIRED)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_is_described_and_takes_its_example(name: str) -> None:
    parameter = PARAMETERS[name]
    assert set(parameter) == {"name", "label", "helpText", "paramType", "isOptional", "regexes"}
    assert re.fullmatch(r"[a-zA-Z_0-9]+", name)
    [regex] = parameter["regexes"]
    example = parameter["helpText"].partition(" Example: ")[2]
    assert re.match(regex, example)
    assert not re.match(regex, "")
    # The command takes it as well, and as one flag.
    needed = ["--label_map=map.pbtxt"] if name == "append_classes" else []
    if name != "sdk_container_image":
        parse_convert([f"--{name}={example}", *needed])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", "train/"), ("select", "some"), ("sample", "-1"), ("num_shards", "many"), ("overwrite", "yes"),
        ("images", "gs://b/a.jpg"), ("data_dir", "/here"), ("extra_keys", "inside,none"), ("max_rejects", "1.5"),
        ("exclude_flags", "occluded,"),
    ],
)  # fmt: skip
def test_what_the_command_would_refuse_is_refused_before_a_machine_starts(name: str, value: str) -> None:
    assert not any(re.match(regex, value) for regex in PARAMETERS[name]["regexes"])


def pinned() -> dict[str, Version]:
    return pins([line for line in (FOLDER / "requirements.txt").read_text().splitlines() if line and line[0] != "#"])


def pins(lines: list[str]) -> dict[str, Version]:
    parsed = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)(?: ; .+)?", line) for line in lines]
    assert all(parsed), "each requirement has one version"
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): Version(match[2]) for match in parsed if match}


def test_the_pinned_versions_satisfy_what_the_package_asks_for() -> None:
    versions = pinned()
    setup = (ROOT / "setup.py").read_text()
    listed = re.search(r"install_requires=\[(.*?)\]", setup, re.S)
    assert listed is not None
    requirements = [Requirement(text) for text in re.findall(r'"(.+?)"', listed[1])]
    assert len(requirements) > 5
    for requirement in requirements:
        assert versions[requirement.name.lower().replace("_", "-")] in requirement.specifier


def test_the_pins_replace_nothing_of_beams_image() -> None:
    """What Beam's image of the pinned version holds is listed in Beam's sources."""
    if not shutil.which("go"):
        if os.environ.get("OI_TFRECORD_CI") == "1":
            pytest.fail("go is needed to fetch Beam's sources")
        pytest.skip("Beam's sources are fetched by go, which is not installed")
    script = ROOT / "tests" / "container" / "beam_module.sh"
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
