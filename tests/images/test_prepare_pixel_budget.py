import concurrent.futures
import random
import threading
import time

from oi_tfrecord.images.prepare import DecodeGate


def test_pictures_wait_for_room_and_a_large_one_is_alone() -> None:
    gate, lock = DecodeGate(100), threading.Lock()
    held: list[int] = []
    seen: list[tuple[int, ...]] = []

    def work(pixels: int) -> None:
        with gate.hold(pixels):
            with lock:
                held.append(pixels)
                seen.append(tuple(held))
            time.sleep(0.001)
            with lock:
                held.remove(pixels)

    sizes = [40, 50, 60, 100, 500] * 12
    random.Random(1).shuffle(sizes)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, sizes))
    assert len(seen) == len(sizes)
    assert all(sum(together) <= 100 or together == (500,) for together in seen)
    assert any(len(together) > 1 for together in seen)


def test_a_failure_gives_its_room_back() -> None:
    gate = DecodeGate(10)
    for _ in range(3):
        try:
            with gate.hold(10):
                raise ValueError
        except ValueError:
            continue
    with gate.hold(10):
        pass
