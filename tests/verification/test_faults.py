from oi_tfrecord.verification.faults import (
    DatasetFault,
    FaultKind,
    FaultList,
    Finding,
    RecordPlace,
    fault_from_values,
    fault_of_file,
    fault_of_record,
    show_bytes,
)

FAULT = fault_of_record(
    "train", "a", RecordPlace(3, 300, b"00ab\xff"), Finding(FaultKind.BAD_VALUE, "image/height", "value 0 is 0")
)


def test_a_fault_names_its_place() -> None:
    assert str(FAULT) == "a, record 3 at byte 300, 00ab\\xff, image/height: bad_value: value 0 is 0"
    assert str(fault_of_file("train", "", FaultKind.COUNT, "0 != 1")) == "train: count: 0 != 1"


def test_a_fault_goes_through_its_values() -> None:
    assert fault_from_values(dict(vars(FAULT), kind=str(FAULT.kind))) == FAULT


def test_a_list_counts_the_faults_that_it_does_not_keep() -> None:
    faults = FaultList(1)
    others: list[DatasetFault] = [fault_of_file("train", "b", FaultKind.COUNT, str(number)) for number in range(2)]
    faults.add([FAULT])
    faults.add(others)
    assert (faults.kept, dict(faults.counts)) == ([FAULT], {"bad_value": 1, "count": 2})


def test_bytes_are_shown_on_one_line() -> None:
    assert show_bytes(b"/m/01") == "/m/01"
    assert show_bytes(b"a\nb\xff") == repr("a\nb\\xff")
    assert show_bytes(b"") == "''"
    assert len(show_bytes(b"x" * 500)) == 80
