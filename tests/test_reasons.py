import dataclasses
import pickle
import re

import pytest

from oi_tfrecord.derive.merge import MergeOptions
from oi_tfrecord.derive.resample import ResampleOptions
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.settings.convert_config import ConvertConfig

REASONS = [*Reject, *Drop]
FLAGS = {
    field.name for options in (ConvertConfig, MergeOptions, ResampleOptions) for field in dataclasses.fields(options)
}


def test_reasons_are_lower_case_words_as_they_stand_in_files() -> None:
    for reason in REASONS:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.value)
        assert str(reason) == f"{reason}" == reason.value == reason.name.lower()


def test_no_reason_is_both_a_reject_and_a_drop() -> None:
    assert not {reason.value for reason in Reject} & {reason.value for reason in Drop}


def test_reasons_are_read_back_from_their_text() -> None:
    for kind in (Reject, Drop):
        assert [kind(str(reason)) for reason in kind] == list(kind)


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_a_meaning_and_a_remedy_that_name_flags_that_exist(reason: Reject | Drop) -> None:
    for text in (reason.meaning, reason.remedy):
        assert re.fullmatch(r"[A-Z].*\.", text)
        assert set(re.findall(r"--(\w+)", text)) <= FLAGS


def test_a_reason_is_the_same_after_a_way_to_another_process() -> None:
    for reason in REASONS:
        assert pickle.loads(pickle.dumps(reason)) is reason
