"""Holds the direction of imports between the layers, and that Beam and TensorFlow stay where they belong."""

import ast
import graphlib
import json
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]

LAYERS: dict[str, set[str]] = {
    # Values: what every other module speaks of.
    "values": {
        "",
        "allocator",
        "allowed_values",
        "errors",
        "faults",
        "file_info",
        "image_values",
        "known_keys",
        "reasons",
        "record_keys",
        "tables",
    },
    # Pure: no file, no network, no clock.
    "pure": {
        "archive_index",
        "attribution",
        "batches",
        "boxes",
        "check_image",
        "check_manifest",
        "check_record",
        "attribution_rows",
        "browse_index",
        "browse_query",
        "browse_rows",
        "byte_sizes",
        "classes",
        "config",
        "coverage",
        "cost",
        "config_file",  # But for find_config, which looks where a configuration file is.
        "csv_faults",
        "csv_header",
        "csv_ranges",
        "csv_rows",
        "decode_gate",  # But for the lock that threads share.
        "deflate",
        "derived_manifest",
        "draw_boxes",
        "end_check",
        "estimate",
        "estimate_lines",
        "example",
        "expansion",
        "export_rows",
        "embedded_json",
        "example_values",
        "fetch_policy",
        "filter_account",
        "filters",
        "forward_stream",
        "framing",
        "gzip_index",
        "hierarchy",
        "image_facts",
        "image_ids",
        "image_page",
        "image_files",
        "image_formats",
        "image_size",
        "images",
        "join",
        "jpeg",
        "jpeg_segments",
        "jpeg_metadata",
        "label_map",
        "line_ranges",
        "labels",
        "manifest",
        "mask_join",
        "mask_match",
        "masks",
        "number_patterns",
        "packed_label_map",  # But for the lock that threads share.
        "parse_example",
        "pictures",
        "protobuf_text",
        "record_scan",
        "record_text",
        "published_counts",
        "record_stats",
        "records",
        "reject_examples",
        "rejects",
        "relabel",
        "releases",
        "repeat_factors",
        "report_data",
        "report_page",
        "results",
        "sample_layouts",
        "rotation",
        "sample_drawings",
        "sample_scenes",
        "sample_values",
        "selection",
        "shard_counts",
        "sharding",
        "stacked",
        "source_ids",
        "table_rows",
        "thumbnail",
        "totals",
        "training_config",
    },
    # Outside: files, network, threads, clocks.
    "outside": {
        "archive_job",
        "archive_source",
        "archive_timing",
        "class_plan",
        "check_shard",
        "csv_input",
        "dataset",
        "derived_plan",
        "derived_shard",
        "download_line",
        "dry_run",
        "duplicates",
        "fetch",
        "fetch_request",
        "filter_columns",
        "finish",
        "hashing_stream",
        "image_cache",
        "image_source",
        "index_files",
        "inputs",
        "manifest_file",
        "mask_source",
        "metadata_rows",
        "output_plan",
        "lanes",
        "local_files",
        "object_store",
        "optional_imports",
        "output_state",
        "parquet_target",
        "plan",
        "postgres_target",
        "prefetch",
        "progress",
        "range_job",
        "release_check",
        "record_dataset",
        "remote_storage",
        "record_index",
        "repeated_images",
        "sample",
        "sample_shard",
        "shard_balance",
        "shard_file",
        "shard_images",
        "shard_job",
        "shard_masks",
        "shard_map",
        "shard_plan",
        "show",
        "shuffle_files",
        "sorted_runs",
        "storage",
        "storage_faults",
        "storage_rate",
        "summary",
        "table_plan",
        "tf_dataset",
        "url_folders",
        "url_images",
        "url_source",
        "verdict",
        "verify_plan",
        "verify_progress",
        "web_assets",
        "work_folder",
    },
    # Each wires functions of the layers below into Beam.
    "transforms": {
        "transforms",
        "transforms.derive_shards",
        "transforms.finish_dataset",
        "transforms.group_batches",
        "transforms.limit_images",
        "transforms.read_tables",
        "transforms.shard_worker",
        "transforms.verify_shards",
        "transforms.write_shards",
    },
    # What a command does, from its flags to its exit code.
    "assembly": {
        "beam_options",
        "beam_flags",
        "browse",
        "check_job",
        "command_line",
        "convert",
        "derive",
        "download",
        "export",
        "local_runner",
        "merge",
        "options",
        "pipeline",
        "resample",
        "report",
        "boot_worker",
        "run",
        "runner_config",
        "template",
        "verify",
        "worker",
    },
}
"""Modules of oi_tfrecord by layer, the lowest first; "" is the package itself. The highest layer is pipelines/."""

ORDER = [*LAYERS, "commands"]
BELOW_TRANSFORMS = ("values", "pure", "outside")
BEAM_BELOW_TRANSFORMS = {"oi_tfrecord.remote_storage", "oi_tfrecord.object_store"}
"""The modules below the transforms that reach Beam, and only within functions: for its filesystems."""
TENSORFLOW_READERS = {"tf_dataset"}
"""The modules that import TensorFlow: those that read records for training."""


def module_name(path: pathlib.Path, root: pathlib.Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_modules(root: pathlib.Path) -> dict[str, ast.Module]:
    paths = [path for package in ("oi_tfrecord", "pipelines") for path in (root / package).rglob("*.py")]
    return {module_name(path, root): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


MODULES = find_modules(REPOSITORY)
LAYER_OF = {f"oi_tfrecord.{name}".rstrip("."): layer for layer, names in LAYERS.items() for name in names} | {
    name: "commands" for name in MODULES if name.split(".")[0] == "pipelines"
}


def imported(tree: ast.AST, name: str) -> set[str]:
    """Returns every name that a module imports, also within functions and for type checking only.

    `from a import b` gives both `a` and `a.b`, as b may be a module.
    """
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} has a relative import"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_imports(name: str) -> set[str]:
    """Returns the modules of this repository that a module imports.

    The package that is only the way to a module does not count as imported itself.
    """
    found = imported(MODULES[name], name) & set(MODULES)
    return {module for module in found if not any(other.startswith(module + ".") for other in found)} - {name}


def imports_package(tree: ast.AST, name: str, package: str) -> bool:
    return any(module.split(".")[0] == package for module in imported(tree, name))


def test_every_module_is_in_one_layer() -> None:
    listed = [name for names in LAYERS.values() for name in names]
    assert len(listed) == len(set(listed)), "a module is listed in two layers"
    ours = {name for name in MODULES if name.split(".")[0] == "oi_tfrecord"}
    assert ours <= set(LAYER_OF), "list each module in LAYERS"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name: str) -> None:
    assert name in LAYER_OF, f"list {name} in LAYERS"
    level = ORDER.index(LAYER_OF[name])
    listed = own_imports(name) & set(LAYER_OF)
    upward = {module for module in listed if ORDER.index(LAYER_OF[module]) > level}
    assert not upward, f"{name} ({LAYER_OF[name]}) imports from a higher layer: {sorted(upward)}"


def test_imports_have_no_cycle() -> None:
    graphlib.TopologicalSorter({name: own_imports(name) for name in MODULES}).prepare()


@pytest.mark.parametrize("name", sorted(name for name in MODULES if LAYER_OF.get(name) in BELOW_TRANSFORMS))
def test_beam_is_not_imported_below_the_transforms(name: str) -> None:
    if name not in BEAM_BELOW_TRANSFORMS:
        assert not imports_package(MODULES[name], name, "apache_beam")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_readers_import_tensorflow(name: str) -> None:
    assert name.removeprefix("oi_tfrecord.") in TENSORFLOW_READERS or not imports_package(
        MODULES[name], name, "tensorflow"
    )


@pytest.mark.parametrize("layer", BELOW_TRANSFORMS)
def test_a_fresh_interpreter_loads_neither_beam_nor_tensorflow(layer: str) -> None:
    names = sorted(name for name in MODULES if LAYER_OF.get(name) == layer)
    program = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert set(names) <= loaded
    assert not loaded & {"apache_beam", "tensorflow"}


def test_imports_are_seen_wherever_they_stand() -> None:
    # Without this, the tests above could pass because they see nothing.
    source = """
import a.b
from c import d
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from e.f import g
def function():
    import apache_beam as beam
    from tensorflow.io import gfile
"""
    tree = ast.parse(source)
    assert imported(tree, "x") >= {"a.b", "c", "c.d", "e.f", "e.f.g", "apache_beam", "tensorflow.io"}
    assert imports_package(tree, "x", "apache_beam")
    assert imports_package(tree, "x", "tensorflow")
    assert not imports_package(tree, "x", "tensor")
    with pytest.raises(AssertionError, match="relative import"):
        imported(ast.parse("from . import storage"), "x")


def test_own_imports_are_found() -> None:
    assert {"oi_tfrecord.storage", "oi_tfrecord.framing"} <= own_imports("oi_tfrecord.shard_file")
    assert "oi_tfrecord.transforms.write_shards" in own_imports("oi_tfrecord.pipeline")
    assert "oi_tfrecord" not in own_imports("oi_tfrecord.shard_file")
    assert {
        name
        for name in MODULES
        if LAYER_OF.get(name) in BELOW_TRANSFORMS and imports_package(MODULES[name], name, "apache_beam")
    } == BEAM_BELOW_TRANSFORMS
