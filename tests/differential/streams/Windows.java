import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.UnlimitedWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.WindowStore;

/** Windowed aggregations. */
final class Windows {
    private static final Duration SIZE = Duration.ofMillis(10);
    private static final Duration GRACE = Duration.ofMillis(5);
    private static final TimeWindows TUMBLING = TimeWindows.ofSizeWithNoGrace(SIZE);
    private static final TimeWindows TUMBLING_GRACE = TimeWindows.ofSizeAndGrace(SIZE, GRACE);
    private static final TimeWindows HOPPING = TimeWindows.ofSizeAndGrace(SIZE, GRACE).advanceBy(Duration.ofMillis(4));
    private static final SlidingWindows SLIDING = SlidingWindows.ofTimeDifferenceAndGrace(SIZE, GRACE);
    private static final SessionWindows SESSIONS = SessionWindows.ofInactivityGapAndGrace(Duration.ofMillis(5), Duration.ofMillis(3));

    private Windows() {}

    static void addTo(Map<String, Consumer<StreamsBuilder>> all) {
        all.put("tumbling_count", b -> timed(keyed(b).windowedBy(TUMBLING).count(counts("counts"))));
        all.put("tumbling_count_unnamed", b -> timed(keyed(b).windowedBy(TUMBLING_GRACE).count()));
        all.put("tumbling_grace", b -> timed(keyed(b).windowedBy(TUMBLING_GRACE).count(counts("counts"))));
        all.put("tumbling_reduce", b -> timedText(keyed(b).windowedBy(TUMBLING_GRACE)
            .reduce((one, other) -> one + other, texts("logs"))));
        all.put("tumbling_aggregate", b -> timedText(keyed(b).windowedBy(TUMBLING_GRACE)
            .aggregate(() -> "", (key, value, text) -> text + value, texts("logs"))));
        all.put("tumbling_by_value", b -> timed(Stateless.text(b).groupBy((key, value) -> value)
            .windowedBy(TUMBLING_GRACE).count(counts("counts"))));
        all.put("hopping_count", b -> timed(keyed(b).windowedBy(HOPPING).count(counts("counts"))));
        all.put("hopping_aggregate", b -> timedText(keyed(b).windowedBy(HOPPING)
            .aggregate(() -> "", (key, value, text) -> text + value, texts("logs"))));
        all.put("unlimited_count", b -> keyed(b).windowedBy(UnlimitedWindows.of().startOn(java.time.Instant.ofEpochMilli(10)))
            .count(counts("counts")).toStream((key, value) -> key.key()).to("out", Tables.longs()));
        all.put("sliding_count", b -> timed(keyed(b).windowedBy(SLIDING).count(counts("counts"))));
        all.put("sliding_aggregate", b -> timedText(keyed(b).windowedBy(SLIDING)
            .aggregate(() -> "", (key, value, text) -> text + value, texts("logs"))));
        all.put("session_count", b -> sessions(keyed(b).windowedBy(SESSIONS).count(sessionCounts("counts"))));
        all.put("session_reduce", b -> sessionTexts(keyed(b).windowedBy(SESSIONS)
            .reduce((one, other) -> one + other, sessionTexts("logs"))));
        all.put("session_aggregate", b -> sessionTexts(keyed(b).windowedBy(SESSIONS)
            .aggregate(() -> "", (key, value, text) -> text + value, (key, one, other) -> one + "|" + other, sessionTexts("logs"))));
        all.put("cogroup_tumbling", b -> timedText(keyed(b).<String>cogroup((key, value, text) -> text + value)
            .cogroup(Stateless.text(b, "in2").groupByKey(), (key, value, text) -> text + "#" + value)
            .windowedBy(TUMBLING_GRACE).aggregate(() -> "", texts("logs"))));
        all.put("emit_on_close_tumbling", b -> timed(keyed(b).windowedBy(TUMBLING_GRACE)
            .emitStrategy(EmitStrategy.onWindowClose()).count(counts("counts"))));
        all.put("emit_on_close_hopping", b -> timed(keyed(b).windowedBy(HOPPING)
            .emitStrategy(EmitStrategy.onWindowClose()).count(counts("counts"))));
        all.put("emit_on_close_sliding", b -> timed(keyed(b).windowedBy(SLIDING)
            .emitStrategy(EmitStrategy.onWindowClose()).count(counts("counts"))));
        all.put("emit_on_close_session", b -> sessions(keyed(b).windowedBy(SESSIONS)
            .emitStrategy(EmitStrategy.onWindowClose()).count(sessionCounts("counts"))));
        all.put("suppress_tumbling", b -> timed(keyed(b).windowedBy(TUMBLING_GRACE).count(counts("counts"))
            .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))));
        all.put("suppress_hopping", b -> timed(keyed(b).windowedBy(HOPPING).count(counts("counts"))
            .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))));
        all.put("suppress_session", b -> sessions(keyed(b).windowedBy(SESSIONS).count(sessionCounts("counts"))
            .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))));
        all.put("suppress_time_limit", b -> Tables.numbers(b, "in")
            .suppress(Suppressed.untilTimeLimit(SIZE, BufferConfig.unbounded())).toStream().to("out", Tables.longs()));
        all.put("suppress_records", b -> Tables.numbers(b, "in")
            .suppress(Suppressed.untilTimeLimit(Duration.ofMillis(100), BufferConfig.maxRecords(2).emitEarlyWhenFull()))
            .toStream().to("out", Tables.longs()));
        all.put("windowed_then_filtered", b -> timed(keyed(b).windowedBy(TUMBLING_GRACE).count(counts("counts"))
            .filter((key, count) -> count > 1)));
        all.put("windowed_to_text", b -> keyed(b).windowedBy(TUMBLING_GRACE).count(counts("counts"))
            .toStream((key, count) -> key.key() + "/" + key.window().start()).to("out", Tables.longs()));
        all.put("json_windowed_totals", b -> Stateless.json(b)
            .filter((key, value) -> value != null && value.path("amount").isNumber() && value.get("amount").asLong() > 50)
            .groupBy((key, value) -> value.get("user").asText(), Grouped.with(Serdes.String(), Golden.json()))
            .windowedBy(TUMBLING_GRACE)
            .aggregate(Aggregations::zero, Aggregations::add, rows("totals"))
            .toStream().to("out", Produced.with(windowed(), Golden.json())));
        all.put("json_suppressed_totals", b -> Stateless.json(b)
            .filter((key, value) -> value != null && value.path("amount").isNumber() && value.get("amount").asLong() > 50)
            .groupBy((key, value) -> value.get("user").asText(), Grouped.with(Serdes.String(), Golden.json()))
            .windowedBy(TUMBLING_GRACE)
            .aggregate(Aggregations::zero, Aggregations::add, rows("totals"))
            .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
            .toStream().to("out", Produced.with(windowed(), Golden.json())));
    }

    private static KGroupedStream<String, String> keyed(StreamsBuilder builder) {
        return Stateless.text(builder).groupByKey();
    }

    private static Serde<Windowed<String>> windowed() {
        return WindowedSerdes.timeWindowedSerdeFrom(String.class, SIZE.toMillis());
    }

    private static Serde<Windowed<String>> session() {
        return WindowedSerdes.sessionWindowedSerdeFrom(String.class);
    }

    private static void timed(KTable<Windowed<String>, Long> table) {
        table.toStream().to("out", Produced.with(windowed(), Serdes.Long()));
    }

    private static void timedText(KTable<Windowed<String>, String> table) {
        table.toStream().to("out", Produced.with(windowed(), Serdes.String()));
    }

    private static void sessions(KTable<Windowed<String>, Long> table) {
        table.toStream().to("out", Produced.with(session(), Serdes.Long()));
    }

    private static void sessionTexts(KTable<Windowed<String>, String> table) {
        table.toStream().to("out", Produced.with(session(), Serdes.String()));
    }

    private static Materialized<String, Long, WindowStore<Bytes, byte[]>> counts(String name) {
        return Materialized.<String, Long, WindowStore<Bytes, byte[]>>as(name).withKeySerde(Serdes.String()).withValueSerde(Serdes.Long());
    }

    private static Materialized<String, String, WindowStore<Bytes, byte[]>> texts(String name) {
        return Materialized.<String, String, WindowStore<Bytes, byte[]>>as(name).withKeySerde(Serdes.String()).withValueSerde(Serdes.String());
    }

    private static Materialized<String, JsonNode, WindowStore<Bytes, byte[]>> rows(String name) {
        return Materialized.<String, JsonNode, WindowStore<Bytes, byte[]>>as(name).withKeySerde(Serdes.String()).withValueSerde(Golden.json());
    }

    private static Materialized<String, Long, SessionStore<Bytes, byte[]>> sessionCounts(String name) {
        return Materialized.<String, Long, SessionStore<Bytes, byte[]>>as(name).withKeySerde(Serdes.String()).withValueSerde(Serdes.Long());
    }

    private static Materialized<String, String, SessionStore<Bytes, byte[]>> sessionTexts(String name) {
        return Materialized.<String, String, SessionStore<Bytes, byte[]>>as(name).withKeySerde(Serdes.String()).withValueSerde(Serdes.String());
    }
}
