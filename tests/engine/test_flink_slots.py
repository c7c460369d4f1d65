import pathlib
import random
import shutil
import subprocess

import pytest

from oi_tfrecord.engine.flink_slots import count_in_slots, spread_keys
from tests.support.engines.engine import installed

PROGRAM = """
import org.apache.beam.runners.flink.translation.types.EncodedValueTypeInformation;
import org.apache.beam.sdk.coders.VarLongCoder;
import org.apache.beam.sdk.util.CoderUtils;
import org.apache.flink.api.common.ExecutionConfig;
import org.apache.flink.util.MathUtils;

public class Slots {
  public static void main(String[] arguments) throws Exception {
    var comparator = new EncodedValueTypeInformation().createComparator(true, new ExecutionConfig());
    int[] counts = new int[Integer.parseInt(arguments[0])];
    for (int i = 1; i < arguments.length; i++) {
      byte[] key = CoderUtils.encodeToByteArray(VarLongCoder.of(), Long.parseLong(arguments[i]));
      counts[MathUtils.murmurHash(comparator.hash(key)) % counts.length]++;
    }
    for (int count : counts) System.out.println(count);
  }
}
"""


@pytest.mark.parametrize("shards", [24, 200, 2048])
@pytest.mark.parametrize("slots", [2, 3, 4, 8, 10, 100, 1000])
def test_each_slot_has_as_many_shards_as_any_other_or_one_more(shards: int, slots: int) -> None:
    keys = spread_keys(range(shards), shards, slots)
    counts = count_in_slots(keys.values(), slots)
    assert max(counts) - min(counts) <= 1
    assert [key % shards for key in keys.values()] == list(range(shards))


def test_the_shards_that_are_left_are_spread_too() -> None:
    left = random.Random(1).sample(range(2048), 40)
    counts = count_in_slots(spread_keys(left, 2048, 8).values(), 8)
    assert counts == [5] * 8


def test_numbers_alone_are_spread_unevenly() -> None:
    assert count_in_slots(range(24), 4) == [3, 9, 6, 6]


@pytest.mark.parametrize("slots", [0, 1])
def test_keys_for_unknown_slots_are_the_numbers(slots: int) -> None:
    assert spread_keys([0, 127, 300], 301, slots) == {0: 0, 127: 127, 300: 300}


@pytest.mark.parametrize("slots", [4, 100])
def test_flinks_own_classes_give_the_keys_to_the_same_slots(slots: int, tmp_path: pathlib.Path) -> None:
    jars = installed("flink")
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    source = tmp_path / "Slots.java"
    source.write_text(PROGRAM)
    keys = [*range(300), *random.Random(1).choices(range(2**62), k=200)]
    command = ["java", "-cp", f"{jars}/jars/*:{jars}/lib/*", str(source), str(slots), *map(str, keys)]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == count_in_slots(keys, slots)
