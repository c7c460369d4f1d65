"""Packaging; also what `--setup_file` stages on remote workers."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "oi_tfrecord" / "__init__.py").read_text())[1]

READERS = ["tensorflow>=2.16"]
GRAIN = ["grain>=0.2.10,<0.3"]
# Lower bounds exclude releases with published vulnerabilities, as far as advisories name the release that corrects them
# (read in advisories and in the bump requests of other projects in November 2026, because no audit database could be
# asked from here): aiohttp before 3.14.3 (last CVE-2026-69244), Pillow before 12.3.0 (last CVE-2026-59197 to 59200),
# protobuf before 5.29.6 and 6.33.5 (CVE-2026-0994). CVE-2026-96641 of Pillow (arithmetic of integer images) names no
# corrected release there; nothing here computes with such images.
# Metrics of COCO and run lengths of masks, in Rust: pycocotools takes hours for the classes and images of Open Images.
EVALUATE = ["hotcoco>=1.3,<2"]
POSTGRESQL = ["psycopg[binary]>=3.2,<4"]
STORES = ["apache-beam[gcp,aws,hadoop]", "gcp-storage-emulator", "moto[server]>=5"]
# atheris has builds for Linux only.
FUZZ = ["atheris>=3,<4; sys_platform == 'linux' and platform_machine == 'x86_64'"]
# What `make test` needs on a machine with Python alone.
TEST = [*EVALUATE, "hypothesis>=6", "pytest>=8", "pytest-xdist>=3"]
# What a notebook needs: DataFrames, pictures and bars, and the browser in a frame.
NOTEBOOK = ["pandas>=2,<4", "ipython>=8,<10"]
# The notebook of examples/ is executed.
EXECUTE_NOTEBOOK = ["ipykernel>=6", "nbclient>=0.10", "nbformat>=5.10"]
# What the tests that `make test` skips there need.
TEST_ALL = [
    *TEST, *READERS, *GRAIN, *STORES, *FUZZ, *POSTGRESQL, *EXECUTE_NOTEBOOK,
    "duckdb>=1", "mutmut>=3.8,<4", "pandas>=2", "selenium>=4.20",
]  # fmt: skip
LINT = ["build>=1", "import-linter>=2", "mypy>=1.11", "ruff>=0.6", "twine>=5", "types-PyYAML", "types-protobuf"]
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.27"]

REPOSITORY = ""
"""Address of the published repository, such as `https://github.com/OWNER/oi_tfrecord`; empty as there is none yet."""


def describe(readme: str, repository: str) -> str:
    """Returns the README as a package index shows it, where relative links lead nowhere.

    Args:
        readme: Markdown whose links and images are relative to the top of the repository.
        repository: Address of the repository. If it is empty, links become their texts and images are left out.
    """
    if not repository:
        readme = re.sub(r"^!\[[^]]*\]\((?!https?:)[^)]*\)\n\n", "", readme, flags=re.MULTILINE)
        return re.sub(r"\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", readme)
    readme = re.sub(r"(!\[[^]]*\])\((?!https?:)([^)]*)\)", rf"\1({repository}/raw/main/\2)", readme)
    return re.sub(r"(\[[^]]*\])\((?!https?:)([^)]*)\)", rf"\1({repository}/blob/main/\2)", readme)


setup(
    name="oi_tfrecord",
    version=VERSION,
    description="Converts the Open Images dataset to TensorFlow training records with Apache Beam",
    long_description=describe((HERE / "README.md").read_text(encoding="utf-8"), REPOSITORY),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=[*find_packages(include=["oi_tfrecord", "oi_tfrecord.*"]), "oi_tfrecord.configs"],
    # The configurations stand at the top of the repository, where users look, and travel in the package.
    package_dir={"oi_tfrecord.configs": "configs"},
    package_data={
        "oi_tfrecord": ["py.typed"],
        "oi_tfrecord.explore": ["assets/*", "assets/vendor/*/*"],
        "oi_tfrecord.configs": ["*.yaml", "*.csv", "runners/*.yaml"],
    },
    install_requires=[
        "absl-py>=2",
        "aiohttp>=3.14.3,<4",
        "apache-beam>=2.65,<3",
        "google-crc32c>=1.5",
        "numpy>=1.26",
        "obstore>=0.12,<0.13",
        "pillow>=12.3.0",
        "protobuf>=5.29.6,!=6.30.*,!=6.31.*,!=6.32.*,!=6.33.0,!=6.33.1,!=6.33.2,!=6.33.3,!=6.33.4",
        "pyarrow>=15",
        "PyYAML>=6",
        "tenacity>=8",
        # CRC-32 and inflating at the speed of the machine: 480 MB/s of tar.gz where zlib gives 320.
        "zlib-ng>=1,<2",
    ],
    extras_require={
        "tensorflow": READERS,
        "evaluate": EVALUATE,
        "postgresql": POSTGRESQL,
        "notebook": NOTEBOOK,
        "gcp": ["apache-beam[gcp]"],
        "aws": ["apache-beam[aws]"],
        "hadoop": ["apache-beam[hadoop]"],
        "test": TEST,
        "docs": DOCS,
        # These need nothing more since 0.2.0; commands of earlier documents still name them.
        "archives": [],
        "download": [],
        "browse": [],
        "dev": [*TEST_ALL, *LINT, *DOCS],
    },
    entry_points={
        "console_scripts": [
            "oi-tfrecord = oi_tfrecord.cli.main:main",
            "oi-tfrecord-worker = oi_tfrecord.engine.process_worker:main",
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
)
