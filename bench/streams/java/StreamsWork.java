// The work of bench/streams by Kafka Streams: JOB ADDRESS APPLICATION ORDERS USERS OUT RECORDS CACHE STATE.

import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.state.WindowStore;

public class StreamsWork {
    public static class Order { public String user; public long amount; }
    public static class User { public String user; public String city; }
    public record Doubled(String user, long doubled) { }
    public static class Total { public long n; public Long total; }
    public record Joined3(String user, long amount, String city) { }

    static final ObjectMapper MAPPER = new ObjectMapper();
    static final AtomicLong SEEN = new AtomicLong();
    static final long WINDOW_MS = 60_000;

    static <T> Serde<T> json(Class<T> type) {
        return Serdes.serdeFrom(
            (topic, value) -> {
                try {
                    return value == null ? null : MAPPER.writeValueAsBytes(value);
                } catch (java.io.IOException e) {
                    throw new RuntimeException(e);
                }
            },
            (topic, data) -> {
                try {
                    return data == null ? null : MAPPER.readValue(data, type);
                } catch (java.io.IOException e) {
                    throw new RuntimeException(e);
                }
            });
    }

    static long cpuNanos() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime();
    }

    public static void main(String[] args) throws Exception {
        String job = args[0];
        long records = Long.parseLong(args[6]);
        Serde<String> text = Serdes.String();
        StreamsBuilder b = new StreamsBuilder();
        KStream<String, Order> orders = b.stream(args[3], Consumed.with(text, json(Order.class)));
        // Counts what was processed; nothing else tells that while it runs.
        orders = orders.peek((key, value) -> SEEN.lazySet(SEEN.get() + 1));
        switch (job) {
            case "filter" -> orders
                .filter((key, order) -> order.amount >= 500)
                .mapValues(order -> new Doubled(order.user, order.amount * 2))
                .to(args[5], Produced.with(text, json(Doubled.class)));
            case "window" -> orders
                .groupByKey(Grouped.with(text, json(Order.class)))
                .windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMillis(WINDOW_MS)))
                .aggregate(Total::new, (key, order, total) -> {
                    total.n++;
                    total.total = (total.total == null ? 0 : total.total) + order.amount;
                    return total;
                }, Materialized.<String, Total, WindowStore<Bytes, byte[]>>as("totals")
                    .withKeySerde(text).withValueSerde(json(Total.class)))
                .toStream()
                .to(args[5], Produced.with(
                    WindowedSerdes.timeWindowedSerdeFrom(String.class, WINDOW_MS), json(Total.class)));
            case "join" -> orders
                .join(b.table(args[4], Consumed.with(text, json(User.class)), Materialized.as("users")),
                    (order, user) -> new Joined3(order.user, order.amount, user.city),
                    Joined.with(text, json(Order.class), json(User.class)))
                .to(args[5], Produced.with(text, json(Joined3.class)));
            default -> throw new IllegalArgumentException(job);
        }
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[1]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[8]);
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, args[7]);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "1000");
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "1");
        KafkaStreams app = new KafkaStreams(b.build(), config);
        app.start();
        while (SEEN.get() < records / 5) Thread.sleep(20);
        long cpu = cpuNanos(), began = System.nanoTime(), before = SEEN.get();
        while (SEEN.get() < records) Thread.sleep(20);
        app.close(Duration.ofSeconds(60));
        System.out.printf("{\"records\": %d, \"cpu_s\": %.6f, \"elapsed_s\": %.6f}%n",
            records - before, (cpuNanos() - cpu) / 1e9, (System.nanoTime() - began) / 1e9);
        System.exit(0);
    }
}
