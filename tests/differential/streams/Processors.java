import java.time.Duration;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The Processor API. */
final class Processors {
    private Processors() {}

    static void addTo(Map<String, Consumer<StreamsBuilder>> all) {
        all.put("process_with_store", b -> {
            addStore(b);
            Stateless.text(b).process(() -> new Counting(null), "seen").to("out", Tables.longs());
        });
        all.put("punctuate_stream_time", b -> {
            addStore(b);
            Stateless.text(b).process(() -> new Counting(PunctuationType.STREAM_TIME), "seen").to("out", Tables.longs());
        });
        all.put("punctuate_wall_clock", b -> {
            addStore(b);
            Stateless.text(b).process(() -> new Counting(PunctuationType.WALL_CLOCK_TIME), "seen").to("out", Tables.longs());
        });
        all.put("process_values", b -> Stateless.text(b).processValues(Numbering::new).to("out"));
        all.put("process_headers", b -> Stateless.text(b).process(Heading::new).to("out"));
    }

    private static void addStore(StreamsBuilder builder) {
        builder.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("seen"), Serdes.String(), Serdes.Long()));
    }

    /** Counts by key; tells all counts where it punctuates, each count at once where it does not. */
    private static final class Counting extends ContextualProcessor<String, String, String, Long> {
        private final PunctuationType punctuation;
        private KeyValueStore<String, Long> seen;

        Counting(PunctuationType punctuation) {
            this.punctuation = punctuation;
        }

        @Override
        public void init(ProcessorContext<String, Long> context) {
            super.init(context);
            seen = context.getStateStore("seen");
            if (punctuation != null) {
                context.schedule(Duration.ofMillis(10), punctuation, this::tell);
            }
        }

        private void tell(long timestamp) {
            try (var all = seen.all()) {
                all.forEachRemaining(row -> context().forward(new Record<>(row.key, row.value, timestamp)));
            }
        }

        @Override
        public void process(Record<String, String> record) {
            Long before = seen.get(record.key());
            long count = before == null ? 1 : before + 1;
            seen.put(record.key(), count);
            if (punctuation == null) {
                context().forward(record.withValue(count));
            }
        }
    }

    /** Says how many records it has seen, and which time it is. */
    private static final class Numbering extends ContextualFixedKeyProcessor<String, String, String> {
        private int number;

        @Override
        public void init(FixedKeyProcessorContext<String, String> context) {
            super.init(context);
            number = 0;
        }

        @Override
        public void process(FixedKeyRecord<String, String> record) {
            number++;
            context().forward(record.withValue(number + ":" + record.value() + ":" + context().currentStreamTimeMs()));
        }
    }

    /** Adds where a record came from to its headers. */
    private static final class Heading extends ContextualProcessor<String, String, String, String> {
        @Override
        public void process(Record<String, String> record) {
            record.headers().add("from", context().recordMetadata().map(place ->
                place.topic() + "/" + place.partition() + "/" + place.offset()).orElse("nowhere").getBytes());
            context().forward(record);
        }
    }
}
