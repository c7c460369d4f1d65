"""The built image: its configuration, its files, and commands and servers that run in it."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

IMAGE, BASE = "localhost/oi-tfrecord", "localhost/beam"


def built_folder() -> pathlib.Path:
    """Returns the folder of what `make container` built; where it does not run the tests, they are skipped."""
    folder = os.environ.get("OI_TFRECORD_CONTAINER")
    if not folder:
        pytest.skip("the image is built, and these tests are run, by `make container`")
    return pathlib.Path(folder).absolute()


class Container:
    """A container of an image, whose processes share the network with this machine."""

    def __init__(self, folder: pathlib.Path, image: str):
        self.buildah = [
            "env", f"CONTAINERS_STORAGE_CONF={folder / 'storage.conf'}", "BUILDAH_ISOLATION=chroot", "buildah",
        ]  # fmt: skip
        self.name = self._buildah("from", "--pull-never", image)
        self.root = pathlib.Path(self._buildah("mount", self.name))

    def _buildah(self, *arguments: str) -> str:
        done = subprocess.run([*self.buildah, *arguments], text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def image_config(self) -> dict[str, Any]:
        """Returns the image's configuration by OCI's specification."""
        return json.loads(self._buildah("inspect", self.name))["OCIv1"]["config"]  # type: ignore[no-any-return]

    def command(
        self, *arguments: str, folder: pathlib.Path | None = None, variables: dict[str, str] | None = None
    ) -> list[str]:
        """Returns the command line that runs a program of the image.

        Args:
            *arguments: program and arguments.
            folder: folder of this machine that the container has by the same path.
            variables: environment variables added to those of the image.
        """
        options = [f"--volume={folder}:{folder}"] if folder else []
        options += [f"--env={name}={value}" for name, value in (variables or {}).items()]
        return [*self.buildah, "run", *options, self.name, "--", *arguments]

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a program of the image; a hang ends the test after a while."""
        return subprocess.run(self.command(*arguments, **options), text=True, capture_output=True, timeout=300)

    def output(self, *arguments: str) -> str:
        """Returns what a program of the image prints."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def remove(self) -> None:
        """Kills the processes that are in the container, and removes it."""
        for process in _processes_in(self.root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._buildah("rm", self.name)


def _processes_in(root: pathlib.Path) -> list[int]:
    """Returns the processes whose root folder is `root`."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "root") == str(root):
                found.append(int(process.name))
    return found


@contextlib.contextmanager
def container_of(image: str) -> Iterator[Container]:
    """Yields a new container of an image and removes it."""
    container = Container(built_folder(), image)
    try:
        yield container
    finally:
        container.remove()


def versions(container: Container) -> dict[str, str]:
    """Returns the version of each Python package by name."""
    listed = json.loads(container.output("python", "-m", "pip", "list", "--format=json"))
    return {package["name"]: package["version"] for package in listed}


def launch(parameters: dict[str, str], flags: Sequence[str] = ()) -> list[str]:
    """Returns the command by which the service starts the template's launcher, as the stand-in for it takes it."""
    return ["/opt/google/dataflow/python_template_launcher", json.dumps(parameters), *flags]
