import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** Aggregations of streams without windows. */
final class Aggregations {
    private Aggregations() {}

    static void addTo(Map<String, Consumer<StreamsBuilder>> all) {
        all.put("count", b -> Stateless.text(b).groupByKey().count(Tables.stored("counts")).toStream().to("out", Tables.longs()));
        all.put("count_unnamed", b -> Stateless.text(b).groupByKey().count().toStream().to("out", Tables.longs()));
        all.put("count_by_value", b -> Stateless.text(b).groupBy((key, value) -> value)
            .count(Tables.stored("counts")).toStream().to("out", Tables.longs()));
        all.put("word_count", b -> Stateless.text(b)
            .flatMapValues(value -> java.util.Arrays.asList(value.split("-")))
            .groupBy((key, value) -> value, Grouped.as("words"))
            .count(Tables.stored("counts")).toStream().to("out", Tables.longs()));
        all.put("reduce", b -> numbers(b).reduce(Long::sum, Tables.stored("sums")).toStream().to("out", Tables.longs()));
        all.put("reduce_to_null", b -> numbers(b).reduce((sum, value) -> sum + value == 0 ? null : sum + value, Tables.stored("sums"))
            .toStream().to("out", Tables.longs()));
        all.put("aggregate", b -> Stateless.text(b).groupByKey()
            .aggregate(() -> "", (key, value, all_of_it) -> all_of_it + value, texts("logs"))
            .toStream().to("out"));
        all.put("aggregate_to_null", b -> Stateless.text(b).groupByKey()
            .aggregate(() -> "", (key, value, all_of_it) -> value.equals("reset") ? null : all_of_it + value, texts("logs"))
            .toStream().to("out"));
        all.put("cogroup", b -> {
            KGroupedStream<String, String> one = Stateless.text(b).groupByKey();
            KGroupedStream<String, Long> two =
                b.stream("in2", Consumed.with(Serdes.String(), Serdes.Long())).groupByKey(Tables.grouped());
            one.<String>cogroup((key, value, all_of_it) -> all_of_it + value)
                .cogroup(two, (key, value, all_of_it) -> all_of_it + "#" + value)
                .aggregate(() -> "", texts("logs")).toStream().to("out");
        });
        all.put("two_aggregations", b -> {
            KGroupedStream<String, String> grouped = Stateless.text(b).groupBy((key, value) -> value);
            grouped.count(Tables.stored("counts")).toStream().to("out", Tables.longs());
            grouped.reduce((one, other) -> one + other, texts("joined")).toStream().to("out2");
        });
        all.put("count_then_filter", b -> Stateless.text(b).groupByKey().count(Tables.stored("counts"))
            .filter((key, count) -> count > 1).toStream().to("out", Tables.longs()));
        all.put("count_of_counts", b -> Stateless.text(b).groupByKey().count(Tables.stored("counts"))
            .groupBy((key, count) -> org.apache.kafka.streams.KeyValue.pair(String.valueOf(count), count), Tables.grouped())
            .count(Tables.stored("of-counts")).toStream().to("out", Tables.longs()));
        all.put("json_totals", b -> Stateless.json(b)
            .filter((key, value) -> value != null && value.path("amount").isNumber() && value.get("amount").asLong() > 50)
            .groupBy((key, value) -> value.get("user").asText(), Grouped.with(Serdes.String(), Golden.json()))
            .aggregate(Aggregations::zero, Aggregations::add, rows("totals"))
            .toStream().to("out", Produced.with(Serdes.String(), Golden.json())));
    }

    static JsonNode zero() {
        return JsonNodeFactory.instance.objectNode().put("n", 0L).put("total", 0L);
    }

    static JsonNode add(String key, JsonNode value, JsonNode row) {
        ObjectNode next = JsonNodeFactory.instance.objectNode();
        next.put("n", row.get("n").asLong() + 1);
        next.put("total", row.get("total").asLong() + value.get("amount").asLong());
        return next;
    }

    static KGroupedStream<String, Long> numbers(StreamsBuilder builder) {
        KStream<String, Long> in = builder.stream("in", Consumed.with(Serdes.String(), Serdes.Long()));
        return in.groupByKey(Tables.grouped());
    }

    static Materialized<String, String, KeyValueStore<Bytes, byte[]>> texts(String name) {
        return Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as(name)
            .withKeySerde(Serdes.String()).withValueSerde(Serdes.String());
    }

    static Materialized<String, JsonNode, KeyValueStore<Bytes, byte[]>> rows(String name) {
        return Materialized.<String, JsonNode, KeyValueStore<Bytes, byte[]>>as(name)
            .withKeySerde(Serdes.String()).withValueSerde(Golden.json());
    }
}
