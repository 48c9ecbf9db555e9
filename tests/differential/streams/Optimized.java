import java.time.Duration;
import java.util.Properties;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;

/** Prints how optimized topologies describe themselves: what tests/unit/streams/golden/optimized.txt has. */
public final class Optimized {
    private static final JoinWindows WINDOWS = JoinWindows.ofTimeDifferenceWithNoGrace(Duration.ofMillis(10));

    private Optimized() {}

    public static void main(String[] arguments) {
        show("repartitions", b -> {
            KStream<String, String> keyed = keyed(b, "in");
            keyed.groupByKey().count(Materialized.as("c1")).toStream().mapValues(String::valueOf).to("o1");
            keyed.filter((key, value) -> true).groupByKey().reduce((one, other) -> other, Materialized.as("c2")).toStream().to("o2");
            keyed.mapValues(value -> value).groupByKey().count().toStream().mapValues(String::valueOf).to("o3");
        });
        show("table", b -> b.table("in", Materialized.as("t")).toStream().to("o"));
        show("self", b -> {
            KStream<String, String> in = b.stream("in");
            in.join(in, (one, other) -> one + other, WINDOWS).to("o");
        });
        show("merge", b -> {
            KStream<String, String> merged = keyed(b, "in").merge(keyed(b, "in2"));
            merged.groupByKey().count(Materialized.as("m1")).toStream().mapValues(String::valueOf).to("o1");
            merged.groupByKey().reduce((one, other) -> other, Materialized.as("m2")).toStream().to("o2");
        });
        show("joins", b -> {
            KStream<String, String> keyed = keyed(b, "in");
            keyed.groupByKey().count(Materialized.as("c1")).toStream().mapValues(String::valueOf).to("o1");
            keyed.join(b.<String, String>table("t"), (one, other) -> one + other).to("o2");
            keyed.leftJoin(b.<String, String>stream("in2"), (one, other) -> one + other, WINDOWS).to("o3");
        });
    }

    private static KStream<String, String> keyed(StreamsBuilder builder, String topic) {
        return builder.<String, String>stream(topic).selectKey((key, value) -> value);
    }

    private static void show(String name, Consumer<StreamsBuilder> build) {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, "golden");
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1");
        config.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class.getName());
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class.getName());
        StreamsBuilder builder = new StreamsBuilder();
        build.accept(builder);
        System.out.println("# " + name);
        System.out.println(builder.build(config).describe());
    }
}
