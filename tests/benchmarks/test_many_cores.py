import dataclasses

import pytest

from .many_cores import IMAGE_BYTES, IMAGES, Machine, calculate

MACHINE = Machine(
    cores=2,
    read_bytes=6e9,
    write_bytes=4e9,
    image_seconds=290e-6,
    lock_seconds=75e-6,
    table_seconds=110,
    fixed_seconds=1,
    shard_seconds=1e-3,
)


def test_two_cores_wait_for_the_processor() -> None:
    times = calculate(MACHINE)
    assert times.bound == "processor"
    assert times.total > IMAGES * MACHINE.image_seconds / 2 + MACHINE.table_seconds / 2


@pytest.mark.parametrize("cores", [8, 64])
def test_many_cores_copy_no_faster_than_the_disk(cores: int) -> None:
    times = calculate(dataclasses.replace(MACHINE, cores=cores))
    assert times.bound == "disk"
    assert times.disk == pytest.approx(IMAGES * IMAGE_BYTES * (1 / 6e9 + 1 / 4e9))


def test_a_process_is_no_faster_than_its_interpreter_lock() -> None:
    assert calculate(dataclasses.replace(MACHINE, lock_seconds=200e-6)).bound == "interpreter lock"
