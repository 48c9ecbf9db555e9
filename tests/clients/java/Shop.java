import java.io.FileInputStream;
import java.io.InputStream;
import java.time.Duration;
import java.util.Properties;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;

/** Counts by another key, totals by window, sessions: the topology of test_java_streams.py. */
public final class Shop {
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (InputStream file = new FileInputStream(arguments[0])) {
            settings.load(file);
        }
        var strings = Serdes.String();
        var longs = Serdes.Long();
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, Long> orders = builder.stream(arguments[1], Consumed.with(strings, longs));
        orders.groupBy((user, amount) -> "m" + amount % 3, Grouped.with(strings, longs))
            .count(Materialized.as("counts"))
            .toStream()
            .to(arguments[2], Produced.with(strings, longs));
        orders.groupByKey(Grouped.with(strings, longs))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(10), Duration.ofSeconds(5)))
            .reduce(Long::sum, Materialized.as("totals"))
            .toStream()
            .map((key, total) -> KeyValue.pair(key.key() + "@" + key.window().start(), total))
            .to(arguments[3], Produced.with(strings, longs));
        orders.groupByKey(Grouped.with(strings, longs))
            .windowedBy(SessionWindows.ofInactivityGapAndGrace(Duration.ofSeconds(3), Duration.ofSeconds(5)))
            .count(Materialized.as("sessions"))
            .toStream()
            .map((key, total) -> KeyValue.pair(
                key.key() + "@" + key.window().start() + "-" + key.window().end(), total))
            .to(arguments[4], Produced.with(strings, longs));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            new Thread(() -> Runtime.getRuntime().halt(3)).start();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler
                .StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(
            CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP))));
        streams.start();
        Thread.sleep(Long.MAX_VALUE);
    }
}
