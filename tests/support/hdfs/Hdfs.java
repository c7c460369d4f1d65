import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** An HDFS on the loopback in a given folder: writes the port of WebHDFS to a given file and runs until its input ends. */
public final class Hdfs {
  public static void main(String[] arguments) throws Exception {
    Configuration configuration = new Configuration();
    configuration.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, arguments[0]);
    configuration.setBoolean("dfs.permissions.enabled", false);
    try (MiniDFSCluster cluster = new MiniDFSCluster.Builder(configuration).numDataNodes(1).build()) {
      cluster.waitActive();
      Path written = Path.of(arguments[1] + ".part");
      Files.writeString(written, String.valueOf(cluster.getNameNode().getHttpAddress().getPort()));
      Files.move(written, Path.of(arguments[1]));
      while (System.in.read() >= 0) {}
    }
  }
}
