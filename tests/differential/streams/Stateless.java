import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;

/** Operators that remember nothing. Values are text, or as said. */
final class Stateless {
    private Stateless() {}

    static void addTo(Map<String, Consumer<StreamsBuilder>> all) {
        all.put("filter", b -> text(b).filter((key, value) -> value != null && value.length() > 1).to("out"));
        all.put("filter_not", b -> text(b).filterNot((key, value) -> "a".equals(key)).to("out"));
        all.put("map", b -> text(b).map((key, value) -> KeyValue.pair(value, key)).to("out"));
        all.put("map_values", b -> text(b).mapValues(value -> value == null ? "none" : value.toUpperCase(Locale.ROOT)).to("out"));
        all.put("map_values_with_key", b -> text(b).mapValues((key, value) -> key + value).to("out"));
        all.put("flat_map", b -> text(b).flatMap((key, value) ->
            List.of(KeyValue.pair(key, value), KeyValue.pair(value, key))).to("out"));
        all.put("flat_map_values", b -> text(b).flatMapValues(value -> Arrays.asList(value.split("-"))).to("out"));
        all.put("select_key", b -> text(b).selectKey((key, value) -> value).to("out"));
        all.put("merge", b -> text(b).merge(b.<String, String>stream("in2")).to("out"));
        all.put("merge_diamond", b -> {
            KStream<String, String> in = text(b);
            KStream<String, String> doubled = in.mapValues(value -> value + value);
            in.filter((key, value) -> value.length() < 3).merge(doubled).mapValues(value -> value + "!").to("out");
        });
        all.put("merge_of_branches", b -> {
            KStream<String, String> in = text(b);
            KStream<String, String> one = in.flatMapValues(value -> Arrays.asList(value.split("-")));
            one.filter((key, value) -> value.startsWith("x")).mapValues(value -> "1" + value)
                .merge(one.filterNot((key, value) -> value.startsWith("xx")).mapValues(value -> "2" + value))
                .to("out");
        });
        all.put("branches", b -> {
            Map<String, KStream<String, String>> branches = text(b).split(Named.as("by-"))
                .branch((key, value) -> value.startsWith("a"), Branched.as("a"))
                .branch((key, value) -> value.startsWith("b"))
                .defaultBranch(Branched.as("rest"));
            branches.get("by-a").to("out-a");
            branches.get("by-2").to("out-b");
            branches.get("by-rest").to("out-rest");
        });
        all.put("branches_without_default", b -> {
            Map<String, KStream<String, String>> branches = text(b).split()
                .branch((key, value) -> value.startsWith("a"))
                .branch((key, value) -> value.startsWith("ab"), Branched.as("ab"))
                .noDefaultBranch();
            branches.values().forEach(branch -> branch.to("out"));
        });
        all.put("repartition", b -> text(b).selectKey((key, value) -> value)
            .repartition(Repartitioned.<String, String>as("by-value").withNumberOfPartitions(2))
            .mapValues((key, value) -> key + "/" + value).to("out"));
        all.put("repartition_unnamed", b -> text(b).repartition().to("out"));
        all.put("to_table", b -> text(b).toTable(Materialized.as("latest")).toStream().to("out"));
        all.put("to_table_of_new_keys", b -> text(b).selectKey((key, value) -> value).toTable().toStream().to("out"));
        all.put("topics_by_record", b -> text(b).to((key, value, context) -> "out-" + key));
        all.put("two_outputs", b -> {
            KStream<String, String> in = text(b);
            in.to("out");
            in.mapValues(value -> (long) value.length()).to("out2", Produced.with(Serdes.String(), Serdes.Long()));
        });
        all.put("named", b -> b.<String, String>stream("in", Consumed.as("source"))
            .filter((key, value) -> value != null, Named.as("present"))
            .mapValues(value -> value + "!", Named.as("loud"))
            .to("out", Produced.as("sink")));
        all.put("several_topics", b -> b.<String, String>stream(List.of("in", "in2")).to("out"));
        all.put("json_filter", b -> json(b).filter((key, value) -> value != null && value.path("amount").isNumber()
            && value.get("amount").asDouble() > 50).to("out", Produced.with(Serdes.String(), Golden.json())));
        all.put("json_projection", b -> json(b).filter((key, value) -> value != null).mapValues(value -> {
            ObjectNode row = JsonNodeFactory.instance.objectNode();
            row.put("double", value.get("amount").asLong() * 2);
            row.set("user", value.get("user"));
            return (JsonNode) row;
        }).to("out", Produced.with(Serdes.String(), Golden.json())));
        all.put("json_select_key", b -> json(b).selectKey((key, value) -> value.get("user").asText())
            .to("out", Produced.with(Serdes.String(), Golden.json())));
    }

    static KStream<String, String> text(StreamsBuilder builder) {
        return builder.stream("in");
    }

    static KStream<String, String> text(StreamsBuilder builder, String topic) {
        return builder.stream(topic);
    }

    static KStream<String, JsonNode> json(StreamsBuilder builder) {
        return builder.stream("in", Consumed.with(Serdes.String(), Golden.json()));
    }
}
