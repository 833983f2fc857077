package kstreams;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Random;
import java.util.StringJoiner;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;

/**
 * The text form shared by all golden programs: one fact per line, columns separated by one blank, bytes in
 * lower-case hex. A null is "-", empty bytes are "_", so a column is never empty. Headers are
 * "hexkey=hexvalue" joined by ";", or "-" when there are none.
 */
final class Lines {
    private static final HexFormat HEX = HexFormat.of();
    private static final String[] LETTERS =
        {"a", "b", "z", "Q", "0", " ", "\n", "\u0000", "\u00e9", "\u00df", "\u4e2d", "\u20ac", "\ud83d\ude80"};

    private Lines() {}

    static PrintStream out() {
        final FileOutputStream stdout = new FileOutputStream(FileDescriptor.out);
        return new PrintStream(new BufferedOutputStream(stdout, 1 << 16), false, StandardCharsets.UTF_8);
    }

    static String hex(final byte[] bytes) {
        if (bytes == null) {
            return "-";
        }
        return bytes.length == 0 ? "_" : HEX.formatHex(bytes);
    }

    static String hex(final String text) {
        return hex(text == null ? null : text.getBytes(StandardCharsets.UTF_8));
    }

    static String headers(final Headers headers) {
        if (headers == null || headers.toArray().length == 0) {
            return "-";
        }
        final StringJoiner joiner = new StringJoiner(";");
        for (final Header header : headers) {
            joiner.add(hex(header.key()) + "=" + hex(header.value()));
        }
        return joiner.toString();
    }

    static byte[] bytes(final Random random, final int maxLength) {
        final byte[] bytes = new byte[random.nextInt(maxLength + 1)];
        random.nextBytes(bytes);
        return bytes;
    }

    /** ASCII, control characters and code points of two, three and four UTF-8 bytes. */
    static String string(final Random random, final int maxLength) {
        final StringBuilder text = new StringBuilder();
        for (int length = random.nextInt(maxLength + 1); length > 0; length--) {
            text.append(LETTERS[random.nextInt(LETTERS.length)]);
        }
        return text.toString();
    }

    /** None to three headers; values may be null or empty. */
    static Headers headers(final Random random) {
        final RecordHeaders headers = new RecordHeaders();
        for (int count = random.nextInt(4); count > 0; count--) {
            final byte[] value = random.nextInt(5) == 0 ? null : bytes(random, 6);
            headers.add("h" + string(random, 3), value);
        }
        return headers;
    }
}
