import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Comes to a broker in each way of a list on stdin, writes and reads; prints what it is told. */
public final class Secured {
    private static final Duration WAIT = Duration.ofSeconds(60);

    public static void main(String[] arguments) throws Exception {
        ObjectMapper json = new ObjectMapper();
        List<Map<String, Object>> told = new ArrayList<>();
        for (JsonNode way : json.readTree(System.in)) {
            String error = null;
            try {
                writeAndRead(settings(way), way.get("topic").asText(), way.get("name").asText());
            } catch (Exception failure) {
                error = failure.toString();
                for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
                    error += " / " + cause;
                }
            }
            told.add(error == null ? Map.of("name", way.get("name")) : Map.of("name", way.get("name"), "error", error));
        }
        json.writeValue(System.out, told);
    }

    private static Properties settings(JsonNode way) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", way.get("servers").asText());
        settings.put("security.protocol", way.get("protocol").asText());
        settings.put("max.block.ms", "60000");
        settings.put("reconnect.backoff.ms", "1000");
        if (way.has("ca")) {
            settings.put("ssl.truststore.type", "PEM");
            settings.put("ssl.truststore.location", way.get("ca").asText());
        }
        if (way.has("certificate")) {
            settings.put("ssl.keystore.type", "PEM");
            settings.put("ssl.keystore.location", way.get("certificate").asText());
        }
        if (way.has("mechanism")) {
            String mechanism = way.get("mechanism").asText();
            settings.put("sasl.mechanism", mechanism);
            settings.put("sasl.jaas.config", jaas(mechanism, way));
            if (mechanism.equals("OAUTHBEARER")) {
                System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", way.get("token_file").asText());
                settings.put("sasl.oauthbearer.token.endpoint.url", way.get("token_file").asText());
                settings.put("sasl.oauthbearer.jwt.retriever.class",
                    "org.apache.kafka.common.security.oauthbearer.FileJwtRetriever");
                settings.put("sasl.login.callback.handler.class",
                    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler");
            }
        }
        return settings;
    }

    private static String jaas(String mechanism, JsonNode way) {
        String modules = "org.apache.kafka.common.security.";
        String user = way.has("password")
            ? " required username=\"ann\" password=\"" + way.get("password").asText() + "\";"
            : " required;";
        return switch (mechanism) {
            case "PLAIN" -> modules + "plain.PlainLoginModule" + user;
            case "OAUTHBEARER" -> modules + "oauthbearer.OAuthBearerLoginModule" + user;
            default -> modules + "scram.ScramLoginModule" + user;
        };
    }

    private static void writeAndRead(Properties settings, String topic, String value) throws Exception {
        var partition = new TopicPartition(topic, 0);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
        }
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = System.nanoTime() + WAIT.toNanos();
            while (System.nanoTime() < end) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    if (value.equals(record.value())) {
                        return;
                    }
                }
            }
            throw new IllegalStateException("what was written is not read");
        }
    }
}
