"use strict";

const { test } = require("node:test");
const { assert, kafka, makeTopic, produce, read, unique, until, withAdmin } = require("./common");

/** A member of a group that reads until it leaves. */
async function join(groupId, topic, settings = {}) {
  const consumer = kafka.consumer({
    groupId,
    maxWaitTimeInMs: 50,
    heartbeatInterval: 200,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    ...settings,
  });
  const member = { consumer, assigned: [], seen: new Set(), leave: () => consumer.disconnect() };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.assigned = payload.memberAssignment[topic] || [];
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ eachMessage: async ({ message }) => member.seen.add(Number(message.value)) });
  return member;
}

const send = (topic, from, to) =>
  produce(topic, Array.from({ length: to - from }, (_, n) => ({ partition: (from + n) % 4, value: String(from + n) })));

test("every record is read while members come and go", async () => {
  const topic = await makeTopic(4);
  const groupId = unique("group");
  await send(topic, 0, 100);
  const first = await join(groupId, topic);
  await until(() => first.assigned.length === 4, "the first member has all partitions");
  const second = await join(groupId, topic);
  await until(() => first.assigned.length === 2 && second.assigned.length === 2, "they share");
  await send(topic, 100, 200);
  await until(() => new Set([...first.seen, ...second.seen]).size === 200, "200 records seen");
  await first.leave();
  await until(() => second.assigned.length === 4, "the second member has all partitions");
  await send(topic, 200, 300);
  await until(() => new Set([...first.seen, ...second.seen]).size === 300, "300 records seen");
  await second.leave();
  const [{ partitions }] = await withAdmin((admin) => admin.fetchOffsets({ groupId, topics: [topic] }));
  assert.deepEqual(partitions.map(({ offset }) => offset), ["75", "75", "75", "75"]);
});

test("a group resumes where it committed", async () => {
  const topic = await makeTopic();
  const groupId = unique("group");
  await produce(topic, Array.from({ length: 10 }, (_, n) => ({ value: String(n) })));
  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ autoCommit: false, eachMessage: async () => {} });
  await until(async () => (await withAdmin((admin) => admin.describeGroups([groupId]))).groups[0].state === "Stable", "stable");
  await consumer.commitOffsets([{ topic, partition: 0, offset: "4", metadata: "why" }]);
  await consumer.disconnect();
  const [{ partitions }] = await withAdmin((admin) => admin.fetchOffsets({ groupId, topics: [topic] }));
  assert.deepEqual(partitions, [{ partition: 0, offset: "4", metadata: "why" }]);
  assert.deepEqual((await read(topic, 6, { groupId })).map(({ offset }) => offset), ["4", "5", "6", "7", "8", "9"]);
});
