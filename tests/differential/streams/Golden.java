import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.test.TestRecord;

/**
 * Runs scenarios on Kafka Streams' TopologyTestDriver and writes what it said into their files:
 * java -cp JARS Golden.java FILE...
 *
 * tests/unit/streams/golden/README.md tells the form of the files.
 */
public final class Golden {
    static final Map<String, Consumer<StreamsBuilder>> TOPOLOGIES = new LinkedHashMap<>();

    public static void main(String[] files) throws IOException {
        Stateless.addTo(TOPOLOGIES);
        Tables.addTo(TOPOLOGIES);
        Aggregations.addTo(TOPOLOGIES);
        Windows.addTo(TOPOLOGIES);
        Joins.addTo(TOPOLOGIES);
        Processors.addTo(TOPOLOGIES);
        for (String file : files) {
            Path path = Path.of(file);
            String name = path.getFileName().toString().replace(".txt", "");
            Consumer<StreamsBuilder> build = TOPOLOGIES.get(name);
            if (build == null) {
                throw new IllegalArgumentException("no topology " + name);
            }
            StreamsBuilder builder = new StreamsBuilder();
            build.accept(builder);
            String text = new Scenarios(builder.build(), Files.readAllLines(path)).run();
            Files.writeString(path, text);
        }
    }

    /** One file: a topology, and what is sent to it. */
    private static final class Scenarios {
        private final Topology topology;
        private final List<String> lines;
        private final Map<String, String[]> inputs = new TreeMap<>();
        private final Map<String, String[]> outputs = new LinkedHashMap<>();
        private final Map<String, TestOutputTopic<Object, Object>> read = new LinkedHashMap<>();
        private final StringBuilder out = new StringBuilder();
        private TopologyTestDriver driver;

        Scenarios(Topology topology, List<String> lines) {
            this.topology = topology;
            this.lines = lines;
        }

        String run() {
            boolean described = false;
            for (String line : lines) {
                if (line.startsWith("<") || line.startsWith("=  ") || line.startsWith("|")) {
                    continue;
                }
                if (line.startsWith("== ") && !described) {
                    described = true;
                    for (String described_line : topology.describe().toString().stripTrailing().split("\n")) {
                        String plain = described_line.replaceAll("class: .*\\)", "class: ...)");
                        out.append(("| " + plain).stripTrailing()).append('\n');
                    }
                    out.append('\n');
                }
                if (!(line.isEmpty() && out.toString().endsWith("\n\n"))) {
                    out.append(line).append('\n');
                }
                take(line);
            }
            close();
            return out.toString();
        }

        private void take(String line) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "input" -> inputs.put(words[1], new String[] {words[2], words[3]});
                case "output" -> outputs.put(words[1], new String[] {words[2], words[3]});
                case "==" -> open();
                case "+" -> {
                    driver.advanceWallClockTime(Duration.ofMillis(Long.parseLong(words[1])));
                    drain();
                }
                case ">" -> {
                    pipe(line.substring(2));
                    drain();
                }
                case "?" -> show(words[1]);
                default -> {
                }
            }
        }

        private void open() {
            close();
            Properties config = new Properties();
            config.put(StreamsConfig.APPLICATION_ID_CONFIG, "golden");
            config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1");
            config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
            config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class.getName());
            config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class.getName());
            driver = new TopologyTestDriver(topology, config, Instant.ofEpochMilli(0));
            read.clear();
            outputs.forEach((topic, serdes) -> read.put(topic,
                driver.createOutputTopic(topic, serde(serdes[0]).deserializer(), serde(serdes[1]).deserializer())));
        }

        private void close() {
            if (driver != null) {
                driver.close();
            }
        }

        /** TOPIC KEY VALUE @TIMESTAMP [{NAME=VALUE,...}] */
        private void pipe(String record) {
            RecordHeaders headers = new RecordHeaders();
            if (record.endsWith("}") && record.contains(" {")) {
                int start = record.lastIndexOf(" {");
                for (String header : record.substring(start + 2, record.length() - 1).split(",")) {
                    String[] parts = header.split("=");
                    headers.add(parts[0], parts[1].getBytes(StandardCharsets.UTF_8));
                }
                record = record.substring(0, start);
            }
            int at = record.lastIndexOf(" @");
            long timestamp = Long.parseLong(record.substring(at + 2));
            String[] parts = record.substring(0, at).split(" ", 3);
            String[] serdes = inputs.get(parts[0]);
            if (serdes == null) {
                throw new IllegalArgumentException("no input " + parts[0]);
            }
            driver.createInputTopic(parts[0], serde(serdes[0]).serializer(), serde(serdes[1]).serializer())
                .pipeInput(new TestRecord<>(parse(serdes[0], parts[1]), parse(serdes[1], parts[2]), headers, timestamp));
        }

        private void drain() {
            read.forEach((topic, records) -> {
                while (!records.isEmpty()) {
                    TestRecord<Object, Object> record = records.readRecord();
                    out.append("< ").append(topic).append(' ').append(print(record.key())).append(' ')
                        .append(print(record.value())).append(" @").append(record.timestamp());
                    if (record.headers().toArray().length > 0) {
                        List<String> headers = new ArrayList<>();
                        for (Header header : record.headers()) {
                            headers.add(header.key() + "=" + new String(header.value(), StandardCharsets.UTF_8));
                        }
                        out.append(" {").append(String.join(",", headers)).append('}');
                    }
                    out.append('\n');
                }
            });
        }

        @SuppressWarnings("unchecked")
        private void show(String name) {
            StateStore store = driver.getAllStateStores().get(name);
            List<String> rows = new ArrayList<>();
            if (store instanceof ReadOnlyKeyValueStore<?, ?> keyValues) {
                each(keyValues.all(), rows);
            } else if (store instanceof WindowStore<?, ?> windows) {
                each(windows.all(), rows);
            } else if (store instanceof SessionStore<?, ?>) {
                SessionStore<Object, Object> sessions = (SessionStore<Object, Object>) store;
                each(sessions.findSessions(null, null, 0, Long.MAX_VALUE), rows);
            } else {
                throw new IllegalArgumentException("no store " + name);
            }
            Collections.sort(rows);
            rows.forEach(row -> out.append("=  ").append(row).append('\n'));
        }

        private void each(KeyValueIterator<?, ?> all, List<String> rows) {
            try (all) {
                while (all.hasNext()) {
                    KeyValue<?, ?> row = all.next();
                    rows.add(print(row.key) + " " + print(row.value));
                }
            }
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static Serde<Object> serde(String name) {
        if (name.startsWith("windowed:")) {
            return (Serde) WindowedSerdes.timeWindowedSerdeFrom(String.class, Long.parseLong(name.substring(9)));
        }
        return (Serde) switch (name) {
            case "text" -> Serdes.String();
            case "long" -> Serdes.Long();
            case "double" -> Serdes.Double();
            case "json" -> json();
            case "hex" -> Serdes.ByteArray();
            case "session" -> WindowedSerdes.sessionWindowedSerdeFrom(String.class);
            default -> throw new IllegalArgumentException("no serde " + name);
        };
    }

    private static Object parse(String serde, String text) {
        if (text.equals("~")) {
            return null;
        }
        return switch (serde) {
            case "text" -> text;
            case "long" -> Long.parseLong(text);
            case "double" -> Double.parseDouble(text);
            case "json" -> json().deserializer().deserialize("", text.getBytes(StandardCharsets.UTF_8));
            case "hex" -> HexFormat.of().parseHex(text);
            default -> throw new IllegalArgumentException("cannot write " + serde);
        };
    }

    private static String print(Object value) {
        if (value == null) {
            return "~";
        }
        if (value instanceof byte[] bytes) {
            return bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
        }
        if (value instanceof Windowed<?> windowed) {
            return windowed.key() + "@" + windowed.window().start() + ":" + windowed.window().end();
        }
        if (value instanceof ValueAndTimestamp<?> dated) {
            return print(dated.value()) + " @" + dated.timestamp();
        }
        return value.toString();
    }

    private static final ObjectMapper MAPPER =
        new ObjectMapper().configure(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS, true);

    static Serde<JsonNode> json() {
        Serializer<JsonNode> write = (topic, value) -> {
            try {
                return value == null ? null : MAPPER.writeValueAsBytes(value);
            } catch (JsonProcessingException error) {
                throw new IllegalArgumentException(error);
            }
        };
        Deserializer<JsonNode> read = (topic, bytes) -> {
            try {
                return bytes == null ? null : MAPPER.readTree(bytes);
            } catch (IOException error) {
                throw new IllegalArgumentException(error);
            }
        };
        return Serdes.serdeFrom(write, read);
    }
}
