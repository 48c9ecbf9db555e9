import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaProjector;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Values;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.runtime.AbstractHerder;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

/** Answers questions, one in each line of the standard input, with what Kafka's Connect does: JSON in, JSON out. */
public final class Answers {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonConverter ENVELOPES = new JsonConverter();

    public static void main(String[] arguments) throws Exception {
        ENVELOPES.configure(Map.of("schemas.enable", "true"), false);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer;
            try {
                answer = answer(JSON.readTree(line));
            } catch (Exception | StackOverflowError error) {
                answer = JSON.createObjectNode();
                answer.put("error", String.valueOf(error.getMessage()));
                answer.put("class", error.getClass().getSimpleName());
            }
            out.println(JSON.writeValueAsString(answer));
        }
    }

    private static ObjectNode answer(JsonNode ask) throws Exception {
        return switch (ask.get("do").asText()) {
            case "parse" -> described(Values.parseString(ask.get("text").asText()));
            case "print" -> print(ask);
            case "convert" -> convert(ask);
            case "project" -> project(ask);
            case "write" -> write(ask);
            case "read" -> read(ask);
            case "write header" -> writeHeader(ask);
            case "read header" -> readHeader(ask);
            case "transform" -> transform(ask);
            case "test" -> test(ask);
            case "validate" -> validate(ask);
            case "parse setting" -> parseSetting(ask);
            default -> throw new IllegalArgumentException("do what? " + ask);
        };
    }

    private static ObjectNode print(JsonNode ask) throws Exception {
        SchemaAndValue value = value(ask.get("value"));
        return JSON.createObjectNode().put("text", Values.convertToString(value.schema(), value.value()));
    }

    private static ObjectNode convert(JsonNode ask) throws Exception {
        SchemaAndValue from = value(ask.get("value"));
        Schema schema = from.schema();
        Object value = from.value();
        Object result = switch (ask.get("to").asText()) {
            case "BOOLEAN" -> Values.convertToBoolean(schema, value);
            case "INT8" -> Values.convertToByte(schema, value);
            case "INT16" -> Values.convertToShort(schema, value);
            case "INT32" -> Values.convertToInteger(schema, value);
            case "INT64" -> Values.convertToLong(schema, value);
            case "FLOAT32" -> Values.convertToFloat(schema, value);
            case "FLOAT64" -> Values.convertToDouble(schema, value);
            case "STRING" -> Values.convertToString(schema, value);
            case "ARRAY" -> Values.convertToList(schema, value);
            case "MAP" -> Values.convertToMap(schema, value);
            case "Date" -> Values.convertToDate(schema, value);
            case "Time" -> Values.convertToTime(schema, value);
            case "Timestamp" -> Values.convertToTimestamp(schema, value);
            case "Decimal" -> Values.convertToDecimal(schema, value, 2);
            default -> throw new IllegalArgumentException("to what?");
        };
        ObjectNode answer = JSON.createObjectNode();
        answer.set("value", plain(result));
        return answer;
    }

    private static ObjectNode project(JsonNode ask) throws Exception {
        SchemaAndValue from = value(ask.get("value"));
        Schema target = ENVELOPES.asConnectSchema(ask.get("schema"));
        return described(new SchemaAndValue(target, SchemaProjector.project(from.schema(), from.value(), target)));
    }

    private static Converter converter(JsonNode ask) throws Exception {
        Converter converter = Utils.newInstance(ask.get("class").asText(), Converter.class);
        converter.configure(texts(ask.get("config")), false);
        return converter;
    }

    private static ObjectNode write(JsonNode ask) throws Exception {
        SchemaAndValue value = value(ask.get("value"));
        return bytes(converter(ask).fromConnectData("topic", value.schema(), value.value()));
    }

    private static ObjectNode read(JsonNode ask) throws Exception {
        return described(converter(ask).toConnectData("topic", data(ask.get("data"))));
    }

    private static HeaderConverter headerConverter(JsonNode ask) throws Exception {
        HeaderConverter converter = Utils.newInstance(ask.get("class").asText(), HeaderConverter.class);
        Map<String, String> config = texts(ask.get("config"));
        config.put("converter.type", "header");
        converter.configure(config);
        return converter;
    }

    private static ObjectNode writeHeader(JsonNode ask) throws Exception {
        SchemaAndValue value = value(ask.get("value"));
        return bytes(headerConverter(ask).fromConnectHeader("topic", "header", value.schema(), value.value()));
    }

    private static ObjectNode readHeader(JsonNode ask) throws Exception {
        return described(headerConverter(ask).toConnectHeader("topic", "header", data(ask.get("data"))));
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static ObjectNode transform(JsonNode ask) throws Exception {
        Transformation transformation = Utils.newInstance(ask.get("class").asText(), Transformation.class);
        transformation.configure(texts(ask.get("config")));
        ConnectRecord<?> record = (ConnectRecord<?>) transformation.apply(record(ask.get("record")));
        ObjectNode answer = JSON.createObjectNode();
        if (record == null) {
            return answer.put("dropped", true);
        }
        answer.put("topic", record.topic());
        answer.put("partition", record.kafkaPartition());
        answer.put("timestamp", record.timestamp());
        answer.set("key", described(new SchemaAndValue(record.keySchema(), record.key())));
        answer.set("value", described(new SchemaAndValue(record.valueSchema(), record.value())));
        ArrayNode headers = answer.putArray("headers");
        for (Header header : record.headers()) {
            ObjectNode one = described(new SchemaAndValue(header.schema(), header.value()));
            headers.add(one.put("name", header.key()));
        }
        return answer;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static ObjectNode test(JsonNode ask) throws Exception {
        Predicate predicate = Utils.newInstance(ask.get("class").asText(), Predicate.class);
        predicate.configure(texts(ask.get("config")));
        return JSON.createObjectNode().put("holds", predicate.test(record(ask.get("record"))));
    }

    private static ObjectNode validate(JsonNode ask) throws Exception {
        Object plugin = Utils.newInstance(ask.get("class").asText(), Object.class);
        ConfigDef definition = (ConfigDef) plugin.getClass().getMethod("config").invoke(plugin);
        JsonNode infos = JSON.valueToTree(AbstractHerder.generateResult(
            "it", definition.configKeys(), definition.validate(texts(ask.get("config"))), definition.groups()));
        for (JsonNode config : infos.get("configs")) {
            ((ObjectNode) config.get("definition")).remove("documentation");
        }
        return (ObjectNode) infos;
    }

    private static ObjectNode parseSetting(JsonNode ask) {
        ConfigDef.Type type = ConfigDef.Type.valueOf(ask.get("type").asText());
        Object value = ConfigDef.parseType("it", ask.get("text").asText(), type);
        return JSON.createObjectNode().put("text", ConfigDef.convertToString(value, type));
    }

    private static ConnectRecord<?> record(JsonNode said) throws Exception {
        SchemaAndValue key = value(said.get("key"));
        SchemaAndValue value = value(said.get("value"));
        ConnectHeaders headers = new ConnectHeaders();
        for (JsonNode header : said.get("headers")) {
            headers.add(header.get("name").asText(), value(header));
        }
        Long timestamp = said.get("timestamp").isNull() ? null : said.get("timestamp").asLong();
        String topic = said.get("topic").asText();
        if (said.get("source").asBoolean()) {
            return new SourceRecord(Map.of(), Map.of(), topic, null, key.schema(), key.value(), value.schema(),
                value.value(), timestamp, headers);
        }
        return new SinkRecord(topic, 3, key.schema(), key.value(), value.schema(), value.value(), 17L, timestamp,
            TimestampType.CREATE_TIME, headers);
    }

    /** A value is said as the JSON converter writes it, schema and all. */
    private static SchemaAndValue value(JsonNode said) throws Exception {
        ObjectNode envelope = JSON.createObjectNode();
        envelope.set("schema", said.get("schema"));
        envelope.set("payload", said.get("payload"));
        return ENVELOPES.toConnectData("topic", JSON.writeValueAsBytes(envelope));
    }

    private static Map<String, String> texts(JsonNode said) {
        Map<String, String> texts = new HashMap<>();
        said.properties().forEach(entry -> texts.put(entry.getKey(), entry.getValue().asText()));
        return texts;
    }

    private static byte[] data(JsonNode said) {
        return said.isNull() ? null : Base64.getDecoder().decode(said.asText());
    }

    private static ObjectNode bytes(byte[] data) {
        return JSON.createObjectNode().put("data", data == null ? null : Base64.getEncoder().encodeToString(data));
    }

    private static ObjectNode described(SchemaAndValue both) {
        ObjectNode answer = JSON.createObjectNode();
        answer.set("schema", both == null || both.schema() == null ? null : schema(both.schema()));
        answer.set("value", both == null ? null : plain(both.value()));
        return answer;
    }

    private static JsonNode schema(Schema schema) {
        if (schema == null) {
            return null;
        }
        ObjectNode described = JSON.createObjectNode();
        described.put("type", schema.type().toString());
        if (schema.isOptional()) {
            described.put("optional", true);
        }
        if (schema.name() != null) {
            described.put("name", schema.name());
        }
        if (schema.version() != null) {
            described.put("version", schema.version());
        }
        if (schema.doc() != null) {
            described.put("doc", schema.doc());
        }
        if (schema.parameters() != null) {
            described.set("parameters", JSON.valueToTree(new TreeMap<>(schema.parameters())));
        }
        if (schema.defaultValue() != null) {
            described.set("default", plain(schema.defaultValue()));
        }
        if (schema.type() == Schema.Type.STRUCT) {
            ArrayNode fields = described.putArray("fields");
            for (Field field : schema.fields()) {
                fields.addArray().add(field.name()).add(schema(field.schema()));
            }
        }
        if (schema.type() == Schema.Type.MAP) {
            described.set("keys", schema(schema.keySchema()));
        }
        if (schema.type() == Schema.Type.MAP || schema.type() == Schema.Type.ARRAY) {
            described.set("values", schema(schema.valueSchema()));
        }
        return described;
    }

    private static JsonNode plain(Object value) {
        if (value instanceof Float || value instanceof Double) {
            return JSON.createObjectNode().put("float", value.toString());
        }
        if (value instanceof BigDecimal) {
            return JSON.createObjectNode().put("decimal", value.toString());
        }
        if (value instanceof java.util.Date date) {
            return JSON.createObjectNode().put("millis", date.getTime());
        }
        if (value instanceof ByteBuffer buffer) {
            return plain(Utils.toArray(buffer));
        }
        if (value instanceof byte[] data) {
            return JSON.createObjectNode().put("bytes", Base64.getEncoder().encodeToString(data));
        }
        if (value instanceof List<?> list) {
            ArrayNode plain = JSON.createArrayNode();
            list.forEach(element -> plain.add(plain(element)));
            return plain;
        }
        if (value instanceof Map<?, ?> map) {
            TreeMap<String, JsonNode> sorted = new TreeMap<>();
            map.forEach((key, inner) -> sorted.put(plain(key).toString(),
                JSON.createArrayNode().add(plain(key)).add(plain(inner))));
            ObjectNode plain = JSON.createObjectNode();
            plain.putArray("map").addAll(new ArrayList<>(sorted.values()));
            return plain;
        }
        if (value instanceof Struct struct) {
            ObjectNode plain = JSON.createObjectNode();
            ObjectNode fields = plain.putObject("struct");
            for (Field field : struct.schema().fields()) {
                fields.set(field.name(), plain(struct.getWithoutDefault(field.name())));
            }
            return plain;
        }
        return JSON.valueToTree(value);
    }
}
