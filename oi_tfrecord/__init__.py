"""Converts the Open Images dataset to TensorFlow training records, and reads, checks and reshapes such records.

Functions take one value of typed options, return a typed result and print nothing; a command `oi-tfrecord NAME` is made
of each. A name is imported when it is first used, so `import oi_tfrecord` loads neither Beam nor TensorFlow nor NumPy.
"""

TYPE_CHECKING = False
"""The constant of `typing`, whose import takes so long that an interruption of a command falls into it."""

if TYPE_CHECKING:
    from oi_tfrecord.conversion.convert import BuiltTemplate as BuiltTemplate
    from oi_tfrecord.conversion.convert import DryRunResult as DryRunResult
    from oi_tfrecord.conversion.convert import build_template as build_template
    from oi_tfrecord.conversion.convert import convert as convert
    from oi_tfrecord.conversion.convert import dry_run as dry_run
    from oi_tfrecord.conversion.dry_run.choose_images import download as download
    from oi_tfrecord.conversion.outcome import ConversionResult as ConversionResult
    from oi_tfrecord.dataset.record_dataset import RecordDataset as RecordDataset
    from oi_tfrecord.dataset.tf_dataset import load as load
    from oi_tfrecord.dataset.training_values import collate as collate
    from oi_tfrecord.derive.merge import MergeOptions as MergeOptions
    from oi_tfrecord.derive.merge import MergeResult as MergeResult
    from oi_tfrecord.derive.merge import merge as merge
    from oi_tfrecord.derive.resample import ResampleOptions as ResampleOptions
    from oi_tfrecord.derive.resample import resample as resample
    from oi_tfrecord.derive.write_split import WrittenSplit as WrittenSplit
    from oi_tfrecord.engine.progress_line import PrintedProgress as PrintedProgress
    from oi_tfrecord.engine.progress_line import Progress as Progress
    from oi_tfrecord.errors import ConfigError as ConfigError
    from oi_tfrecord.errors import EngineError as EngineError
    from oi_tfrecord.errors import FileError as FileError
    from oi_tfrecord.errors import InputError as InputError
    from oi_tfrecord.errors import NotFoundError as NotFoundError
    from oi_tfrecord.errors import OiTfrecordError as OiTfrecordError
    from oi_tfrecord.errors import RunnerError as RunnerError
    from oi_tfrecord.errors import StorageError as StorageError
    from oi_tfrecord.evaluation.evaluate import EvaluateOptions as EvaluateOptions
    from oi_tfrecord.evaluation.evaluate import evaluate as evaluate
    from oi_tfrecord.evaluation.result import ClassScore as ClassScore
    from oi_tfrecord.evaluation.result import EvaluateResult as EvaluateResult
    from oi_tfrecord.explore.browse.browse import BrowseOptions as BrowseOptions
    from oi_tfrecord.explore.browse.browse import Browsing as Browsing
    from oi_tfrecord.explore.browse.browse import browse as browse
    from oi_tfrecord.explore.export.write_tables import ExportOptions as ExportOptions
    from oi_tfrecord.explore.export.write_tables import ExportResult as ExportResult
    from oi_tfrecord.explore.export.write_tables import export as export
    from oi_tfrecord.explore.report.write_report import Report as Report
    from oi_tfrecord.explore.report.write_report import ReportOptions as ReportOptions
    from oi_tfrecord.explore.report.write_report import report as report
    from oi_tfrecord.explore.show import RecordText as RecordText
    from oi_tfrecord.explore.show import ShowOptions as ShowOptions
    from oi_tfrecord.explore.show import show as show
    from oi_tfrecord.settings.convert_config import ConvertConfig as ConvertConfig
    from oi_tfrecord.settings.yaml_file import read_config as read_config
    from oi_tfrecord.sources.download_counts import DownloadResult as DownloadResult
    from oi_tfrecord.sources.download_options import DownloadOptions as DownloadOptions
    from oi_tfrecord.training.options import TrainingConfigOptions as TrainingConfigOptions
    from oi_tfrecord.training.training_config import training_config as training_config
    from oi_tfrecord.verification.faults import DatasetFault as DatasetFault
    from oi_tfrecord.verification.result import VerifyResult as VerifyResult
    from oi_tfrecord.verification.verify import VerifyOptions as VerifyOptions
    from oi_tfrecord.verification.verify import verify as verify
    from oi_tfrecord.verification.verify_quick import QuickResult as QuickResult
    from oi_tfrecord.verification.verify_quick import verify_quick as verify_quick

__version__ = "0.2.0"

_NAMES = {
    "conversion.convert": ("BuiltTemplate", "DryRunResult", "build_template", "convert", "dry_run"),
    "conversion.outcome": ("ConversionResult",),
    "dataset.record_dataset": ("RecordDataset",),
    "dataset.tf_dataset": ("load",),
    "dataset.training_values": ("collate",),
    "derive.merge": ("MergeOptions", "MergeResult", "merge"),
    "derive.resample": ("ResampleOptions", "resample"),
    "derive.write_split": ("WrittenSplit",),
    "engine.progress_line": ("PrintedProgress", "Progress"),
    "errors": (
        "ConfigError",
        "EngineError",
        "FileError",
        "InputError",
        "NotFoundError",
        "OiTfrecordError",
        "RunnerError",
        "StorageError",
    ),
    "evaluation.evaluate": ("EvaluateOptions", "evaluate"),
    "evaluation.result": ("ClassScore", "EvaluateResult"),
    "explore.browse.browse": ("BrowseOptions", "Browsing", "browse"),
    "explore.export.write_tables": ("ExportOptions", "ExportResult", "export"),
    "explore.report.write_report": ("Report", "ReportOptions", "report"),
    "explore.show": ("RecordText", "ShowOptions", "show"),
    "settings.convert_config": ("ConvertConfig",),
    "settings.yaml_file": ("read_config",),
    "conversion.dry_run.choose_images": ("download",),
    "sources.download_counts": ("DownloadResult",),
    "sources.download_options": ("DownloadOptions",),
    "training.options": ("TrainingConfigOptions",),
    "training.training_config": ("training_config",),
    "verification.faults": ("DatasetFault",),
    "verification.result": ("VerifyResult",),
    "verification.verify": ("VerifyOptions", "verify"),
    "verification.verify_quick": ("QuickResult", "verify_quick"),
}
"""Module to its public names: what the imports above are to type checkers, for `__getattr__`."""

_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_MODULES]


if not TYPE_CHECKING:
    # Type checkers would take every name to be there.
    def __getattr__(name: str) -> object:
        """Imports a public name when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Returns the public names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
