import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.source.ExactlyOnceSupport;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;

/** A connector of Kafka Connect: each line of `file` is a record of `topic`. */
public class LinesSource extends SourceConnector {
    private Map<String, String> config;

    @Override public void start(Map<String, String> config) { this.config = config; }

    @Override public void stop() { }

    @Override public Class<? extends Task> taskClass() { return Reading.class; }

    @Override public List<Map<String, String>> taskConfigs(int maxTasks) { return List.of(config); }

    @Override public ConfigDef config() {
        return new ConfigDef()
            .define("file", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, "")
            .define("topic", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, "");
    }

    @Override public ExactlyOnceSupport exactlyOnceSupport(Map<String, String> config) {
        return ExactlyOnceSupport.SUPPORTED;
    }

    @Override public String version() { return "1"; }

    /** A poll gives up to ten lines; its offset is the number of lines that have been given. */
    public static class Reading extends SourceTask {
        private static final int LINES_OF_A_POLL = 10;
        private Map<String, String> file;
        private String topic;
        private List<String> lines;
        private int next;

        @Override public void start(Map<String, String> config) {
            file = Map.of("file", config.get("file"));
            topic = config.get("topic");
            try {
                lines = Files.readAllLines(Path.of(config.get("file")));
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
            Map<String, Object> reached = context.offsetStorageReader().offset(file);
            next = reached == null ? 0 : ((Number) reached.get("lines")).intValue();
        }

        @Override public List<SourceRecord> poll() throws InterruptedException {
            List<SourceRecord> records = new ArrayList<>();
            for (; next < lines.size() && records.size() < LINES_OF_A_POLL; next++) {
                Map<String, Long> reached = Map.of("lines", next + 1L);
                records.add(new SourceRecord(file, reached, topic, 0, Schema.STRING_SCHEMA, lines.get(next)));
            }
            if (records.isEmpty()) {
                Thread.sleep(100);
            }
            return records;
        }

        @Override public void stop() { }

        @Override public String version() { return "1"; }
    }
}
