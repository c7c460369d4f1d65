"""How evenly Spark's own classes spread the keys of shards over partitions."""

import pathlib
import shutil
import subprocess

import pytest

from oi_tfrecord.engine.flink_slots import spread_keys
from tests.support.engines.engine import installed

PROGRAM = """
import org.apache.beam.runners.spark.util.ByteArray;
import org.apache.beam.sdk.coders.VarLongCoder;
import org.apache.beam.sdk.util.CoderUtils;
import org.apache.spark.HashPartitioner;

public class Partitions {
  public static void main(String[] arguments) throws Exception {
    for (int partitions : new int[] {4, 8, 12, 24, 62}) {
      int[] counts = new int[partitions];
      HashPartitioner partitioner = new HashPartitioner(partitions);
      for (String argument : arguments) {
        byte[] key = CoderUtils.encodeToByteArray(VarLongCoder.of(), Long.parseLong(argument));
        counts[partitioner.getPartition(new ByteArray(key))]++;
      }
      int most = 0;
      for (int count : counts) most = Math.max(most, count);
      System.out.println(most);
    }
  }
}
"""


@pytest.mark.parametrize(("shards", "busiest"), [(24, [6, 3, 2, 1, 1]), (200, [50, 25, 17, 9, 39])])
def test_sparks_own_classes_spread_shards_evenly(shards: int, busiest: list[int], tmp_path: pathlib.Path) -> None:
    jars = installed("spark") / "jars"
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    source = tmp_path / "Partitions.java"
    source.write_text(PROGRAM)
    # A job on Spark has no slots that are known.
    keys = map(str, spread_keys(range(shards), shards, 0).values())
    done = subprocess.run(["java", "-cp", f"{jars}/*", str(source), *keys], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == busiest
