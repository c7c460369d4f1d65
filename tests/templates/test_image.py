"""The image of the flex template: its bases, its pinned packages and the files that it copies."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import apache_beam
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "templates" / "dataflow"


def pinned() -> dict[str, Version]:
    return pins([line.removesuffix(" \\") for line in requirement_lines() if not line.startswith(" ")])


def requirement_lines() -> list[str]:
    return [line for line in (FOLDER / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]


def pins(lines: list[str]) -> dict[str, Version]:
    parsed = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)(?: ; .+)?", line) for line in lines]
    assert all(parsed), "each requirement has one version"
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): Version(match[2]) for match in parsed if match}


def test_each_pin_has_hashes_and_pip_asks_for_them() -> None:
    packages = re.split(r"\n(?=\S)", "\n".join(requirement_lines()))
    assert len(packages) == len(pinned())
    for package in packages:
        first, *hashes = package.split(" \\\n")
        assert hashes, f"{first} has no hash"
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", line) for line in hashes)
    [install] = [line for line in dockerfile() if "--requirement requirements.txt" in line]
    assert {"--require-hashes", "--no-deps"} <= set(install.split())
    assert install.endswith("&& pip check"), "no package may be missing, as pip resolves none"


def required() -> list[Requirement]:
    """Returns the requirements in setup.py, with the extras that the image has."""
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, folder], cwd=ROOT, check=True, capture_output=True)
        [text] = pathlib.Path(folder).glob("*.egg-info/requires.txt")
        sections = re.split(r"^\[(.+)\]$", text.read_text(), flags=re.M)
    by_extra = dict(zip(["", *sections[1::2]], sections[::2], strict=True))
    return [Requirement(line) for line in by_extra[""].split()]


def test_the_pinned_versions_satisfy_the_requirements_of_the_package_and_its_extras() -> None:
    versions = pinned()
    requirements = required()
    assert {"apache-beam", "aiohttp", "zlib-ng"} <= {requirement.name for requirement in requirements}
    for requirement in requirements:
        assert versions[requirement.name.lower().replace("_", "-")] in requirement.specifier


def test_the_pins_replace_no_package_of_beams_image() -> None:
    """Beam's sources list the packages in Beam's image of the pinned version."""
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
    assert ours.keys() - of_beam.keys() == {"absl-py", "apache-beam", "obstore", "zlib-ng"}


def dockerfile() -> list[str]:
    """Returns the instructions, one per line."""
    text = re.sub(r"\\\n", " ", (FOLDER / "Dockerfile").read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_has_the_pinned_beam() -> None:
    assert f"ARG BEAM_IMAGE=apache/beam_python3.11_sdk:{pinned()['apache-beam']}" in dockerfile()
    assert pinned()["apache-beam"] == Version(apache_beam.__version__), "tests run with another Beam than the image"


def test_the_bases_have_a_fixed_version() -> None:
    versions = dict(line.removeprefix("ARG ").split("=", 1) for line in dockerfile() if line.startswith("ARG "))
    bases = [line.split()[1] for line in dockerfile() if line.startswith("FROM ")]
    assert set(bases) == {f"${{{name}}}" for name in versions}, "a build can be given another base"
    for image in versions.values():
        assert re.fullmatch(r"\S+(:[0-9][\w.]*|@sha256:[0-9a-f]{64})", image)


def test_the_files_that_the_image_copies_are_there() -> None:
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
