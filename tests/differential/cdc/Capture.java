import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;
import org.apache.kafka.connect.source.SourceTaskContext;
import org.apache.kafka.connect.storage.OffsetStorageReader;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Runs one source connector's task without a worker. It is told by lines of JSON what to do, and answers each
 * with one: {"do": "start", "config": {...}}, perhaps with "offsets"; {"do": "poll", "quiet_ms": N}: what there is until nothing came
 * for so long; {"do": "stop"}. Offsets of what was polled are kept for the next start; "offsets" gives them.
 */
public final class Capture {
    private static final ObjectMapper JSON = new ObjectMapper();
    private final Map<Map<String, ?>, Map<String, Object>> offsets = new HashMap<>();
    private final JsonConverter keys = converter(true);
    private final JsonConverter values = converter(false);
    private SourceTask task;
    private final List<Transformation<SourceRecord>> transforms = new ArrayList<>();

    private static JsonConverter converter(boolean isKey) {
        JsonConverter made = new JsonConverter();
        made.configure(Map.of("schemas.enable", "true"), isKey);
        return made;
    }

    public static void main(String[] arguments) throws Exception {
        Capture capture = new Capture();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = in.readLine()) != null; ) {
            JsonNode asked = JSON.readTree(line);
            Object answer = switch (asked.get("do").asText()) {
                case "start" -> capture.start(asked);
                case "poll" -> capture.poll(asked.get("quiet_ms").asLong());
                case "stop" -> capture.stop();
                default -> throw new IllegalArgumentException(line);
            };
            System.out.println(JSON.writeValueAsString(answer));
            System.out.flush();
        }
        System.exit(0);
    }

    private Object start(JsonNode asked) throws Exception {
        Map<String, String> config = new HashMap<>();
        asked.get("config").fields().forEachRemaining(each -> config.put(each.getKey(), each.getValue().asText()));
        if (asked.path("fresh").asBoolean()) {
            offsets.clear();
        }
        for (JsonNode pair : asked.path("offsets")) {
            offsets.put(map(pair.get(0)), map(pair.get(1)));
        }
        transforms.clear();
        for (String name : config.getOrDefault("transforms", "").split(",")) {
            if (!name.isEmpty()) {
                transforms.add(transform(config, "transforms." + name + "."));
            }
        }
        SourceConnector connector =
            (SourceConnector) Class.forName(config.get("connector.class")).getDeclaredConstructor().newInstance();
        connector.initialize(new org.apache.kafka.connect.source.SourceConnectorContext() {
            public OffsetStorageReader offsetStorageReader() { return reader(); }
            public void requestTaskReconfiguration() { }
            public void raiseError(Exception error) { throw new RuntimeException(error); }
            public org.apache.kafka.common.metrics.PluginMetrics pluginMetrics() { return null; }
        });
        connector.start(config);
        Map<String, String> taskConfig = connector.taskConfigs(1).get(0);
        task = (SourceTask) connector.taskClass().getDeclaredConstructor().newInstance();
        task.initialize(new SourceTaskContext() {
            public Map<String, String> configs() { return taskConfig; }
            public OffsetStorageReader offsetStorageReader() { return reader(); }
            public org.apache.kafka.common.metrics.PluginMetrics pluginMetrics() { return null; }
        });
        task.start(taskConfig);
        return Map.of("version", ((Task) task).version());
    }

    @SuppressWarnings("unchecked")
    private static Transformation<SourceRecord> transform(Map<String, String> config, String prefix) throws Exception {
        Map<String, String> own = new HashMap<>();
        config.forEach((name, value) -> {
            if (name.startsWith(prefix)) {
                own.put(name.substring(prefix.length()), value);
            }
        });
        Transformation<SourceRecord> made = (Transformation<SourceRecord>)
            Class.forName(own.remove("type")).getDeclaredConstructor().newInstance();
        made.configure(own);
        return made;
    }

    private SourceRecord transformed(SourceRecord record) {
        for (Transformation<SourceRecord> each : transforms) {
            if (record != null) {
                record = each.apply(record);
            }
        }
        return record;
    }

    private static Map<String, Object> map(JsonNode node) {
        Map<String, Object> found = new HashMap<>();
        node.fields().forEachRemaining(each -> {
            JsonNode value = each.getValue();
            Object plain = value.isIntegralNumber() ? (Object) value.longValue()
                : value.isBoolean() ? (Object) value.booleanValue() : value.asText();
            found.put(each.getKey(), plain);
        });
        return found;
    }

    private OffsetStorageReader reader() {
        return new OffsetStorageReader() {
            @SuppressWarnings("unchecked")
            public <T> Map<String, Object> offset(Map<String, T> partition) { return offsets.get(partition); }
            @SuppressWarnings("unchecked")
            public <T> Map<Map<String, T>, Map<String, Object>> offsets(Collection<Map<String, T>> partitions) {
                Map<Map<String, T>, Map<String, Object>> found = new HashMap<>();
                for (Map<String, T> each : partitions) {
                    found.put(each, offsets.get(each));
                }
                return found;
            }
        };
    }

    private Object poll(long quietMs) throws Exception {
        ArrayNode told = JSON.createArrayNode();
        long until = System.currentTimeMillis() + quietMs;
        while (System.currentTimeMillis() < until) {
            List<SourceRecord> given = task.poll();
            if (given == null || given.isEmpty()) {
                continue;
            }
            until = System.currentTimeMillis() + quietMs;
            for (SourceRecord record : new ArrayList<>(given)) {
                SourceRecord changed = transformed(record);
                if (changed != null) {
                    told.add(shown(changed));
                }
                @SuppressWarnings("unchecked")
                Map<String, Object> offset = (Map<String, Object>) record.sourceOffset();
                offsets.put(record.sourcePartition(), offset);
                task.commitRecord(record, null);
            }
            task.commit();
        }
        return told;
    }

    private ObjectNode shown(SourceRecord record) throws Exception {
        ObjectNode node = JSON.createObjectNode();
        node.put("topic", record.topic());
        node.set("key", json(keys, record.topic(), record.keySchema(), record.key()));
        node.set("value", json(values, record.topic(), record.valueSchema(), record.value()));
        ArrayNode headers = node.putArray("headers");
        record.headers().forEach(
            each -> headers.addArray().add(each.key()).add(String.valueOf(each.value())));
        node.set("partition", JSON.valueToTree(record.sourcePartition()));
        node.set("offset", JSON.valueToTree(record.sourceOffset()));
        node.put("timestamp", record.timestamp());
        return node;
    }

    private static JsonNode json(JsonConverter converter, String topic, Schema schema, Object value) throws Exception {
        return value == null ? null : JSON.readTree(converter.fromConnectData(topic, schema, value));
    }

    private Object stop() {
        task.stop();
        ArrayNode told = JSON.createArrayNode();
        offsets.forEach((partition, offset) -> told.addArray()
            .add(JSON.valueToTree((Object) partition)).add(JSON.valueToTree((Object) offset)));
        return told;
    }
}
