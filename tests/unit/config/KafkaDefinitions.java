import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.DynamicConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.storage.internals.log.LogConfig;

/** Prints Kafka's configuration keys, one a line: what they are, and which of the arguments they take as a value. */
public class KafkaDefinitions {
    public static void main(String[] samples) {
        Map<String, ConfigDef.ConfigKey> broker = new HashMap<>(DynamicConfig.Broker.configKeys());
        broker.putAll(AbstractKafkaConfig.CONFIG_DEF.configKeys());
        print("broker", broker, samples);
        print("topic", LogConfig.configKeys(), samples);
        print("group", GroupConfig.CONFIG_DEF.configKeys(), samples);
    }

    private static void print(String resource, Map<String, ConfigDef.ConfigKey> keys, String[] samples) {
        for (ConfigDef.ConfigKey key : new TreeMap<>(keys).values()) {
            StringBuilder taken = new StringBuilder();
            for (String sample : samples)
                taken.append(takes(key, sample) ? '+' : '-');
            String value = key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null;
            System.out.println(String.join("\t",
                resource,
                key.name,
                key.type.name(),
                value == null ? "null" : '"' + value + '"',
                resource.equals("broker")
                    ? DynamicBrokerConfig.dynamicConfigUpdateModes().getOrDefault(key.name, "read-only") : "read-only",
                key.internalConfig || resource.equals("broker") && !AbstractKafkaConfig.CONFIG_DEF.names().contains(key.name)
                    ? "internal" : "",
                synonyms(resource, key.name),
                taken.toString()));
        }
    }

    private static boolean takes(ConfigDef.ConfigKey key, String sample) {
        try {
            new ConfigDef().define(key).parse(Map.of(key.name, sample));
            return true;
        } catch (ConfigException error) {
            return false;
        }
    }

    private static String synonyms(String resource, String name) {
        if (resource.equals("topic"))
            return ServerTopicConfigSynonyms.TOPIC_CONFIG_SYNONYMS.getOrDefault(name, "");
        if (resource.equals("group"))
            return GroupConfig.brokerSynonym(name).orElse("");
        return DynamicBrokerConfig.brokerConfigSynonyms(name, false).stream().collect(Collectors.joining(","));
    }
}
