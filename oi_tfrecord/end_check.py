"""Whether a conversion that was written is good: it balances, and the rejects are within bounds."""

from collections.abc import Mapping
from typing import Any

from oi_tfrecord.config import parse_max_rejects
from oi_tfrecord.coverage import find_losses
from oi_tfrecord.errors import EngineError, InputError
from oi_tfrecord.manifest import too_many_rejects

TOLD_LOSSES = 20
"""Losses that are told one by one."""


def find_problems(split: Mapping[str, Any], max_rejects: str, rejects_path: str) -> tuple[int, list[str]]:
    """Returns the exit code of a conversion, and a line for each thing that is wrong with it.

    Args:
      split: its manifest.
      max_rejects: the bound, a count or a percentage.
      rejects_path: where the rejects are listed.

    Returns:
      (0 for none, 2 for too many rejects, 3 if rows or images were lost; the lines).
    """
    if not split["balanced"]:
        losses = [detail for _, detail in find_losses(split)]
        told = losses[:TOLD_LOSSES] + [f"... and {len(losses) - TOLD_LOSSES} more"] * (len(losses) > TOLD_LOSSES)
        remedy = "run the same command with --overwrite, and if it happens again, please report it"
        return 3, [*told, f"rows or images were lost or doubled, by the runner or a fault of oi_tfrecord: {remedy}"]
    limit, is_percentage = parse_max_rejects(max_rejects)
    if over := too_many_rejects(split, limit, is_percentage):
        over.append(
            f"more rejects than --max_rejects={max_rejects} allows; they are listed in {rejects_path}. "
            "The records are complete without them: mend the input, or give a higher --max_rejects."
        )
    return 2 if over else 0, over


def check_end(split: Mapping[str, Any], max_rejects: str, rejects_path: str) -> Mapping[str, Any]:
    """Returns the manifest if nothing is wrong; the arguments are those of `find_problems`.

    Raises:
      InputError: too many rejects.
      EngineError: something was lost. Both tell all that is wrong, for a job that has no other way to tell it.
    """
    code, problems = find_problems(split, max_rejects, rejects_path)
    if code == 3:
        raise EngineError("; ".join(problems[:-1]) or "the counts do not balance", problems[-1])
    if problems:
        raise InputError(
            rejects_path, " ".join(problems).rstrip("."), "Nothing of the dataset is missing but what is rejected"
        )
    return split
