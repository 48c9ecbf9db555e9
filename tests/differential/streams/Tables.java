import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import java.time.Duration;

/** Tables: values are numbers by a text key, or as said. */
final class Tables {
    private Tables() {}

    static void addTo(Map<String, Consumer<StreamsBuilder>> all) {
        all.put("table", b -> numbers(b, "in").toStream().to("out", longs()));
        all.put("table_materialized", b ->
            b.table("in", Consumed.with(Serdes.String(), Serdes.Long()), Materialized.as("numbers")).toStream().to("out", longs()));
        all.put("table_filter", b -> numbers(b, "in").filter((key, value) -> value > 5).toStream().to("out", longs()));
        all.put("table_filter_materialized", b -> numbers(b, "in")
            .filter((key, value) -> value > 5, stored("large")).toStream().to("out", longs()));
        all.put("table_filter_not", b -> numbers(b, "in").filterNot((key, value) -> value > 5).toStream().to("out", longs()));
        all.put("table_map_values", b -> numbers(b, "in").mapValues(value -> value * 10).toStream().to("out", longs()));
        all.put("table_map_values_materialized", b -> numbers(b, "in")
            .mapValues((key, value) -> value + key.length(), stored("mapped")).toStream().to("out", longs()));
        all.put("table_chain", b -> numbers(b, "in").mapValues(value -> value + 1).filter((key, value) -> value % 2 == 0)
            .mapValues(value -> value * 100).toStream().to("out", longs()));
        all.put("table_to_stream_with_keys", b -> numbers(b, "in").toStream((key, value) -> key + "/" + value).to("out", longs()));
        all.put("table_group_by_count", b -> numbers(b, "in")
            .groupBy((key, value) -> KeyValue.pair(value % 2 == 0 ? "even" : "odd", value), grouped())
            .count(stored("counts")).toStream().to("out", longs()));
        all.put("table_group_by_reduce", b -> numbers(b, "in")
            .groupBy((key, value) -> KeyValue.pair(key.substring(0, 1), value), grouped())
            .reduce(Long::sum, (sum, value) -> sum - value, stored("sums")).toStream().to("out", longs()));
        all.put("table_group_by_aggregate", b -> numbers(b, "in")
            .groupBy((key, value) -> KeyValue.pair(value % 2 == 0 ? "even" : "odd", value), grouped())
            .aggregate(() -> "", (key, value, sum) -> sum + "+" + value, (key, value, sum) -> sum + "-" + value,
                Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("logs").withValueSerde(Serdes.String()))
            .toStream().to("out", Produced.with(Serdes.String(), Serdes.String())));
        all.put("table_versioned", b -> b.table("in", Consumed.with(Serdes.String(), Serdes.Long()),
                Materialized.as(Stores.persistentVersionedKeyValueStore("versions", Duration.ofSeconds(10))))
            .filter((key, value) -> value > 5).toStream().to("out", longs()));
    }

    static KTable<String, Long> numbers(StreamsBuilder builder, String topic) {
        return builder.table(topic, Consumed.with(Serdes.String(), Serdes.Long()));
    }

    static Materialized<String, Long, KeyValueStore<Bytes, byte[]>> stored(String name) {
        return Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as(name)
            .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long());
    }

    static Grouped<String, Long> grouped() {
        return Grouped.with(Serdes.String(), Serdes.Long());
    }

    static Produced<String, Long> longs() {
        return Produced.with(Serdes.String(), Serdes.Long());
    }
}
