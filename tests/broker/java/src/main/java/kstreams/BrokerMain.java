package kstreams;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Properties;
import java.util.stream.Stream;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Utils;

/**
 * One KRaft node, broker and controller, in one JVM: formats its storage when that is empty, starts,
 * prints READY, and lives until SIGTERM or until stdin ends.
 *
 * <p>The test process holds the other end of stdin. When that process dies, however it dies, the pipe
 * closes, and this one deletes the folder it was given and halts: no broker outlives its test.
 *
 * <p>Arguments: server.properties, cluster id, folder to delete at the end of stdin.
 */
public final class BrokerMain {
    private BrokerMain() {}

    public static void main(final String[] args) throws Exception {
        final String config = args[0];
        final String clusterId = args[1];
        final Path folder = Path.of(args[2]);
        haltAtEndOfInput(folder);

        final Properties properties = Utils.loadProps(config);
        final Path data = Path.of(properties.getProperty("log.dirs"));
        if (!Files.exists(data.resolve("meta.properties"))) {
            final String[] format = {"format", "--cluster-id", clusterId, "--config", config};
            final int code = StorageTool.execute(format, new PrintStream(System.err, true));
            if (code != 0) {
                System.err.println("formatting the storage failed with code " + code);
                Runtime.getRuntime().halt(code);
            }
        }

        final KafkaRaftServer server =
            new KafkaRaftServer(KafkaConfig.fromProps(properties, false), Time.SYSTEM);
        Exit.addShutdownHook("kstreams-broker", server::shutdown);
        try {
            server.startup();
        } catch (final Throwable error) {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
        System.out.println("READY");
        System.out.flush();
        server.awaitShutdown();
    }

    private static void haltAtEndOfInput(final Path folder) {
        final Thread watch = new Thread(() -> {
            try {
                while (System.in.read() != -1) {
                    // Nothing is ever sent; only the end counts.
                }
            } catch (final IOException error) {
                // A broken pipe is an end too.
            }
            // With its folder gone the server wants to halt by itself, half way through the deletion.
            Exit.setHaltProcedure((code, message) -> sleepForever());
            Exit.setExitProcedure((code, message) -> sleepForever());
            delete(folder);
            Runtime.getRuntime().halt(0);
        }, "kstreams-watch");
        watch.setDaemon(true);
        watch.start();
    }

    private static void sleepForever() {
        try {
            Thread.sleep(Long.MAX_VALUE);
        } catch (final InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    /** The server may write while this walks, so a folder that is not empty is tried again. */
    private static void delete(final Path folder) {
        for (int attempt = 0; attempt < 20 && Files.exists(folder); attempt++) {
            try (Stream<Path> paths = Files.walk(folder)) {
                paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
            } catch (final IOException | RuntimeException error) {
                // A file vanished under the walk: the next attempt sees the rest.
            }
        }
    }
}
