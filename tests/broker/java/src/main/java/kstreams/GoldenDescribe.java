package kstreams;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * What describe() prints. For each case (see TopologyText) a line "=== name" and the text, or
 * "error ExceptionClass: message" when Java refuses the topology.
 *
 * <p>The text is the same at every run, although Java keeps what it prints in hash sets: a String's hash is
 * specified, so only the order of calls counts. To print the same elsewhere:
 * <ul>
 * <li>Topics of a source and stores of a processor come in the order of a java.util.HashSet: by bucket,
 *     (h ^ h >>> 16) & (capacity - 1), and in a bucket in the order in which they were added.
 * <li>Nodes of a sub-topology come by descending size, then by name. A size is one plus the sizes of all
 *     children, so a node reached on two paths counts twice.
 * <li>Children and parents are sorted the same way, but by the sizes of the moment when each edge is
 *     added: nodes in HashMap order of their names, each with its parents in the order given; an edge adds
 *     the child's size so far to the parent and to all ancestors linked so far.
 * </ul>
 * Whoever does not rebuild this compares topologies with one topic per source and at most one store per
 * processor, and sorts what stands behind the arrows.
 *
 * <p>Without arguments the cases are those of describe-cases.txt; with --stdin they are read from there.
 */
public final class GoldenDescribe {
    private GoldenDescribe() {}

    public static void main(final String[] args) throws IOException {
        final boolean own = args.length == 0;
        try (PrintStream out = Lines.out()) {
            for (final TopologyText.Case next : TopologyText.cases(own ? resource() : read(System.in))) {
                out.println("=== " + next.name());
                out.print(describe(next));
            }
        }
    }

    private static String describe(final TopologyText.Case text) {
        try {
            return TopologyText.build(text).describe().toString();
        } catch (final RuntimeException error) {
            return refusal(error);
        }
    }

    /** A refused topology, on one line. */
    static String refusal(final RuntimeException error) {
        final String message = String.valueOf(error.getMessage()).replace("\n", "\\n");
        return "error " + error.getClass().getSimpleName() + ": " + message + "\n";
    }

    static List<String> read(final InputStream input) throws IOException {
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(input, StandardCharsets.UTF_8))) {
            return reader.lines().toList();
        }
    }

    static List<String> resource() throws IOException {
        return read(GoldenDescribe.class.getResourceAsStream("describe-cases.txt"));
    }
}
