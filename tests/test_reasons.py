import re

from oi_tfrecord.reasons import Drop, Reject


def test_reasons_are_lower_case_words_as_they_stand_in_files() -> None:
    for reason in (*Reject, *Drop):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.value)
        assert str(reason) == f"{reason}" == reason.value == reason.name.lower()


def test_no_reason_is_both_a_reject_and_a_drop() -> None:
    assert not {reason.value for reason in Reject} & {reason.value for reason in Drop}


def test_reasons_are_read_back_from_their_text() -> None:
    for kind in (Reject, Drop):
        assert [kind(str(reason)) for reason in kind] == list(kind)
