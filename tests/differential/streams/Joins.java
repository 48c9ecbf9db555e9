import java.time.Duration;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Joins: left topic "in", right topic "in2"; values are text and are joined as LEFT+RIGHT, a missing one as "null". */
final class Joins {
    private static final JoinWindows WINDOWS = JoinWindows.ofTimeDifferenceWithNoGrace(Duration.ofMillis(10));
    private static final JoinWindows WINDOWS_GRACE =
        JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMillis(10), Duration.ofMillis(5));

    private Joins() {}

    static void addTo(Map<String, Consumer<StreamsBuilder>> all) {
        all.put("join_streams", b -> left(b).join(right(b), Joins::both, WINDOWS).to("out"));
        all.put("join_streams_grace", b -> left(b).join(right(b), Joins::both, WINDOWS_GRACE).to("out"));
        all.put("join_streams_before", b -> left(b).join(right(b), Joins::both,
            WINDOWS_GRACE.after(Duration.ZERO)).to("out"));
        all.put("join_streams_after", b -> left(b).join(right(b), Joins::both,
            WINDOWS_GRACE.before(Duration.ZERO)).to("out"));
        all.put("left_join_streams", b -> left(b).leftJoin(right(b), Joins::both, WINDOWS).to("out"));
        all.put("left_join_streams_grace", b -> left(b).leftJoin(right(b), Joins::both, WINDOWS_GRACE).to("out"));
        all.put("outer_join_streams", b -> left(b).outerJoin(right(b), Joins::both, WINDOWS).to("out"));
        all.put("outer_join_streams_grace", b -> left(b).outerJoin(right(b), Joins::both, WINDOWS_GRACE).to("out"));
        all.put("outer_join_streams_asymmetric", b -> left(b).outerJoin(right(b), Joins::both,
            WINDOWS_GRACE.before(Duration.ofMillis(3))).to("out"));
        all.put("self_join", b -> {
            KStream<String, String> in = left(b);
            in.join(in, Joins::both, WINDOWS).to("out");
        });
        all.put("join_streams_named", b -> left(b).join(right(b), Joins::both, WINDOWS,
            StreamJoined.<String, String, String>as("joined").withStoreName("kept")).to("out"));
        all.put("join_streams_of_new_keys", b -> left(b).selectKey((key, value) -> value.substring(0, 1))
            .join(right(b), Joins::both, WINDOWS).to("out"));
        all.put("join_stream_table", b -> left(b).join(table(b), Joins::both).to("out"));
        all.put("left_join_stream_table", b -> left(b).leftJoin(table(b), Joins::both).to("out"));
        all.put("join_stream_table_of_new_keys", b -> left(b).selectKey((key, value) -> value)
            .join(table(b), Joins::both).to("out"));
        all.put("join_stream_versioned_table", b -> left(b).join(versioned(b), Joins::both).to("out"));
        all.put("join_stream_table_grace", b -> left(b).join(versioned(b), Joins::both,
            Joined.<String, String, String>with(Serdes.String(), Serdes.String(), Serdes.String())
                .withName("late").withGracePeriod(Duration.ofMillis(5))).to("out"));
        all.put("join_stream_global", b -> {
            GlobalKTable<String, String> all_of_it = b.globalTable("in2");
            left(b).join(all_of_it, (key, value) -> value, Joins::both).to("out");
        });
        all.put("left_join_stream_global", b -> {
            GlobalKTable<String, String> all_of_it = b.globalTable("in2", Materialized.as("everywhere"));
            left(b).leftJoin(all_of_it, (key, value) -> value, Joins::both).to("out");
        });
        all.put("join_tables", b -> leftTable(b).join(table(b), Joins::both).toStream().to("out"));
        all.put("left_join_tables", b -> leftTable(b).leftJoin(table(b), Joins::both).toStream().to("out"));
        all.put("outer_join_tables", b -> leftTable(b).outerJoin(table(b), Joins::both).toStream().to("out"));
        all.put("join_tables_materialized", b -> leftTable(b).join(table(b), Joins::both, stored("joined")).toStream().to("out"));
        all.put("left_join_tables_materialized", b -> leftTable(b).leftJoin(table(b), Joins::both, stored("joined")).toStream().to("out"));
        all.put("outer_join_tables_materialized", b -> leftTable(b).outerJoin(table(b), Joins::both, stored("joined")).toStream().to("out"));
        all.put("join_three_tables", b -> leftTable(b).join(table(b), Joins::both)
            .leftJoin(b.<String, String>table("in3"), Joins::both).toStream().to("out"));
        all.put("join_table_with_itself", b -> {
            KTable<String, String> in = leftTable(b);
            in.join(in.mapValues(value -> value + "'"), Joins::both).toStream().to("out");
        });
        all.put("join_filtered_tables", b -> leftTable(b).filter((key, value) -> !value.startsWith("x"))
            .outerJoin(table(b), Joins::both).toStream().to("out"));
        all.put("foreign_key_join", b -> leftTable(b).join(table(b), value -> foreign(value), Joins::both, stored("joined"))
            .toStream().to("out"));
        all.put("foreign_key_left_join", b -> leftTable(b).leftJoin(table(b), value -> foreign(value), Joins::both, stored("joined"))
            .toStream().to("out"));
        all.put("foreign_key_join_unnamed", b -> leftTable(b).join(table(b), value -> foreign(value), Joins::both)
            .toStream().to("out"));
    }

    private static String both(String left, String right) {
        return left + "+" + right;
    }

    /** What stands before a dash, or nothing. */
    private static String foreign(String value) {
        int dash = value.indexOf('-');
        return dash < 0 ? null : value.substring(0, dash);
    }

    private static KStream<String, String> left(StreamsBuilder builder) {
        return Stateless.text(builder);
    }

    private static KStream<String, String> right(StreamsBuilder builder) {
        return Stateless.text(builder, "in2");
    }

    private static KTable<String, String> leftTable(StreamsBuilder builder) {
        return builder.table("in");
    }

    private static KTable<String, String> table(StreamsBuilder builder) {
        return builder.table("in2");
    }

    private static KTable<String, String> versioned(StreamsBuilder builder) {
        return builder.table("in2", Consumed.with(Serdes.String(), Serdes.String()),
            Materialized.as(Stores.persistentVersionedKeyValueStore("versions", Duration.ofSeconds(10))));
    }

    private static Materialized<String, String, KeyValueStore<Bytes, byte[]>> stored(String name) {
        return Aggregations.texts(name);
    }
}
