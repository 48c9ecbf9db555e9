"use strict";

const { describe, test } = require("node:test");
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, ResourcePatternTypes } = require("kafkajs");
const { assert, makeTopic, produce, unique, until, withAdmin } = require("./common");

const numbered = (count) => Array.from({ length: count }, (_, n) => ({ value: String(n), timestamp: String(1_000 + n) }));

async function committedGroup(admin, topic, offset) {
  const groupId = unique("group");
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset }] });
  return groupId;
}

// Each with its own client: one client's metadata is not made for several topics at once.
const check = (name, work) => test(name, () => withAdmin(work));

// At once, because KafkaJS waits for a fetch of five seconds whenever it sets an offset.
describe("admin", { concurrency: true }, () => {
  check("topics are created, listed, described, grown and deleted", async (admin) => {
    const topic = unique("created");
    const topics = [{ topic, numPartitions: 2, replicationFactor: 1, configEntries: [{ name: "retention.ms", value: "12345" }] }];
    assert.equal(await admin.createTopics({ topics, validateOnly: true, waitForLeaders: false }), true);
    assert.equal(await admin.createTopics({ topics }), true);
    assert.equal(await admin.createTopics({ topics }), false);
    assert.ok((await admin.listTopics()).includes(topic));
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
    await until(async () => {
      const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
      return metadata.topics[0].partitions.length === 5;
    }, "five partitions");
    await assert.rejects(admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }), { type: "INVALID_PARTITIONS" });
    await admin.deleteTopics({ topics: [topic] });
    await until(async () => !(await admin.listTopics()).includes(topic), "it is gone");
  });

  check("replicas may be placed by hand", async (admin) => {
    const topic = unique("placed");
    const { controller } = await admin.describeCluster();
    await admin.createTopics({ topics: [{ topic, replicaAssignment: [{ partition: 0, replicas: [controller] }] }] });
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    assert.deepEqual(topics[0].partitions[0].replicas, [controller]);
  });

  check("an unknown topic", async (admin) => {
    await assert.rejects(admin.fetchTopicMetadata({ topics: ["ottla-unknown"] }), { type: "UNKNOWN_TOPIC_OR_PARTITION" });
  });

  check("configs are altered and described", async (admin) => {
    const topic = await makeTopic();
    const type = ConfigResourceTypes.TOPIC;
    const alter = (value) =>
      admin.alterConfigs({ validateOnly: false, resources: [{ type, name: topic, configEntries: [{ name: "retention.ms", value }] }] });
    await alter("777");
    await assert.rejects(alter("soon"), { type: "INVALID_CONFIG" });
    const { resources } = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type, name: topic, configNames: ["retention.ms"] }] });
    assert.deepEqual(resources[0].configEntries.map((entry) => [entry.configName, entry.configValue]), [["retention.ms", "777"]]);
  });

  check("offsets of a topic", async (admin) => {
    const topic = await makeTopic();
    await produce(topic, numbered(10));
    assert.deepEqual(await admin.fetchTopicOffsets(topic), [{ partition: 0, offset: "10", high: "10", low: "0" }]);
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(topic, 1_004), [{ partition: 0, offset: "4" }]);
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(topic, 9_999), [{ partition: 0, offset: "10" }]);
  });

  check("records are deleted up to an offset", async (admin) => {
    const topic = await makeTopic();
    await produce(topic, numbered(10));
    await admin.fetchTopicOffsets(topic); // KafkaJS only deletes from topics that it has heard of
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "6" }] });
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, "6");
  });

  check("offsets of a group are set, reset and fetched", async (admin) => {
    const topic = await makeTopic();
    await produce(topic, numbered(10));
    const groupId = await committedGroup(admin, topic, "3");
    const fetched = async (options) => (await admin.fetchOffsets({ groupId, topics: [topic], ...options }))[0].partitions[0].offset;
    assert.equal(await fetched(), "3");
    await admin.resetOffsets({ groupId, topic, earliest: true });
    assert.equal(await fetched({ resolveOffsets: true }), "0");
  });

  check("groups are listed, described and deleted", async (admin) => {
    const topic = await makeTopic();
    const groupId = await committedGroup(admin, topic, "3");
    assert.ok((await admin.listGroups()).groups.some((group) => group.groupId === groupId));
    const { groups } = await admin.describeGroups([groupId]);
    assert.deepEqual([groups[0].groupId, groups[0].state, groups[0].members], [groupId, "Empty", []]);
    assert.deepEqual(await admin.deleteGroups([groupId]), [{ groupId, errorCode: 0 }]);
    await assert.rejects(admin.deleteGroups([groupId]), (error) => error.groups[0].error.type === "GROUP_ID_NOT_FOUND");
  });

  check("the cluster is described", async (admin) => {
    const cluster = await admin.describeCluster();
    assert.ok(cluster.brokers.map(({ host, port }) => `${host}:${port}`).includes(process.env.BOOTSTRAP));
    assert.ok(cluster.brokers.map(({ nodeId }) => nodeId).includes(cluster.controller));
    assert.ok(cluster.clusterId);
  });

  check("reassignments", async (admin) => {
    const topic = await makeTopic();
    const { controller } = await admin.describeCluster();
    await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [controller] }] }] });
    assert.deepEqual(await admin.listPartitionReassignments({}), { topics: [] });
  });

  check("ACLs are off", async (admin) => {
    const resource = { resourceType: AclResourceTypes.TOPIC, resourceName: "t", resourcePatternType: ResourcePatternTypes.LITERAL };
    const rule = { principal: "User:u", host: "*", operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.ALLOW };
    await assert.rejects(admin.describeAcls({ ...resource, ...rule }), { type: "SECURITY_DISABLED" });
    await assert.rejects(admin.createAcls({ acl: [{ ...resource, ...rule }] }), { type: "SECURITY_DISABLED" });
    await assert.rejects(admin.deleteAcls({ filters: [{ ...resource, ...rule }] }), { type: "SECURITY_DISABLED" });
  });
});
