"use strict";

const { test } = require("node:test");
const { CompressionTypes } = require("kafkajs");
const { randomBytes } = require("node:crypto");
const { assert, kafka, makeTopic, produce, read, unique, withAdmin } = require("./common");

const byOffset = (a, b) => a.partition - b.partition || Number(a.offset) - Number(b.offset);

for (const [name, compression] of [["none", CompressionTypes.None], ["gzip", CompressionTypes.GZIP]]) {
  for (const idempotent of [false, true]) {
    test(`records come back as they were sent (${name}, ${idempotent ? "idempotent" : "plain"})`, async () => {
      const topic = await makeTopic(2);
      const sent = Array.from({ length: 200 }, (_, n) => ({
        partition: n % 2,
        key: n % 5 === 0 ? null : `key-${n}`,
        value: n % 7 === 0 ? null : `value-${n}`.repeat((n % 40) + 1),
        headers: { n: String(n), empty: "" },
        timestamp: String(1_600_000_000_000 + n),
      }));
      const reports = await produce(topic, sent, { idempotent, maxInFlightRequests: 1 }, { compression });
      assert.deepEqual(reports.map((r) => [r.partition, r.errorCode, r.baseOffset]).sort(), [[0, 0, "0"], [1, 0, "0"]]);
      const received = (await read(topic, 200)).sort(byOffset);
      for (const partition of [0, 1]) {
        const expected = sent.filter((message) => message.partition === partition);
        const got = received.filter((message) => message.partition === partition);
        got.forEach((message, n) => {
          assert.equal(message.offset, String(n));
          assert.equal(message.key === null ? null : message.key.toString(), expected[n].key);
          assert.equal(message.value === null ? null : message.value.toString(), expected[n].value);
          assert.equal(message.timestamp, expected[n].timestamp);
          assert.deepEqual(Object.entries(message.headers).map(([k, v]) => [k, v.toString()]), Object.entries(expected[n].headers));
        });
        assert.equal(got.length, 100);
      }
    });
  }
}

test("records from one byte to 900 KB", async () => {
  const topic = await makeTopic();
  const values = [1, 100, 10_000, 900_000].map((size) => randomBytes(size));
  for (const value of values) await produce(topic, [{ value }]);
  const received = await read(topic, values.length);
  received.forEach((message, n) => assert.ok(message.value.equals(values[n])));
});

test("every level of acknowledgement", async () => {
  const topic = await makeTopic();
  for (const acks of [0, 1, -1]) await produce(topic, [{ value: `acks ${acks}` }], {}, { acks });
  assert.equal((await read(topic, 3)).length, 3);
});

test("a batch larger than the topic allows is refused", async () => {
  const topic = await makeTopic(1, [{ name: "max.message.bytes", value: "1000" }]);
  await assert.rejects(produce(topic, [{ value: randomBytes(5_000) }]), { type: "MESSAGE_TOO_LARGE" });
});

test("reading starts in the middle of a batch", async () => {
  const topic = await makeTopic();
  await produce(topic, Array.from({ length: 100 }, (_, n) => ({ value: String(n) })), {}, { compression: CompressionTypes.GZIP });
  const groupId = unique("group");
  await withAdmin((admin) => admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "57" }] }));
  const received = await read(topic, 43, { groupId });
  assert.deepEqual(received.map((message) => Number(message.value)), Array.from({ length: 43 }, (_, n) => n + 57));
});

test("seek", async () => {
  const topic = await makeTopic();
  await produce(topic, Array.from({ length: 10 }, (_, n) => ({ value: String(n) })));
  const begin = (consumer) => consumer.seek({ topic, partition: 0, offset: "7" });
  const received = await read(topic, 3, { begin });
  assert.deepEqual(received.slice(-3).map((message) => message.offset), ["7", "8", "9"]);
});

test("a topic springs up when it is first produced to", async () => {
  const topic = unique("sprung");
  await produce(topic, [{ value: "first" }], { allowAutoTopicCreation: true });
  assert.equal((await read(topic, 1))[0].value.toString(), "first");
});

test("several topics in one request", async () => {
  const topics = [await makeTopic(), await makeTopic()];
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.sendBatch({ topicMessages: topics.map((topic) => ({ topic, messages: [{ value: topic }] })) });
  await producer.disconnect();
  for (const topic of topics) assert.equal((await read(topic, 1))[0].value.toString(), topic);
});
