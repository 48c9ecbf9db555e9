"use strict";

const { test } = require("node:test");
const { assert, kafka, makeTopic, read, unique, until, withAdmin } = require("./common");

async function transactional(transactionalId) {
  const producer = kafka.producer({
    transactionalId,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionTimeout: 10_000,
    allowAutoTopicCreation: false,
  });
  await producer.connect();
  return producer;
}

/** A transaction of `values`, which ends by `commit` or `abort`. */
async function transact(producer, topic, values, end = "commit") {
  const transaction = await producer.transaction();
  await transaction.send({ topic, messages: values.map((value) => ({ value })) });
  await transaction[end]();
}

const values = (messages) => messages.map(({ value }) => value.toString());

test("what is committed is read, and what is aborted is not", async () => {
  const topic = await makeTopic();
  const producer = await transactional(unique("x"));
  try {
    await transact(producer, topic, ["a", "b"]);
    await transact(producer, topic, ["c"], "abort");
    await transact(producer, topic, ["d"]);
  } finally {
    await producer.disconnect();
  }
  assert.deepEqual(values(await read(topic, 3)), ["a", "b", "d"]);
  const uncommitted = { settings: { readUncommitted: true } };
  assert.deepEqual(values(await read(topic, 4, uncommitted)), ["a", "b", "c", "d"]);
});

test("a zombie is fenced", async () => {
  const topic = await makeTopic();
  const id = unique("x");
  const zombie = await transactional(id);
  const open = await zombie.transaction();
  await open.send({ topic, messages: [{ value: "lost" }] });
  const successor = await transactional(id);
  try {
    await transact(successor, topic, ["kept"]);
    await assert.rejects(open.commit());
  } finally {
    await successor.disconnect();
    await zombie.disconnect();
  }
  assert.deepEqual(values(await read(topic, 1)), ["kept"]);
});

test("offsets are committed with their transaction, or not", async () => {
  const topic = await makeTopic();
  const consumerGroupId = unique("group");
  const producer = await transactional(unique("x"));
  const fetched = async () => {
    const [{ partitions }] = await withAdmin((admin) => admin.fetchOffsets({ groupId: consumerGroupId, topics: [topic] }));
    return partitions[0].offset;
  };
  try {
    for (const [offset, end] of [["3", "commit"], ["5", "abort"], ["4", "commit"]]) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value: end }] });
      await transaction.sendOffsets({ consumerGroupId, topics: [{ topic, partitions: [{ partition: 0, offset }] }] });
      await transaction[end]();
      if (end === "commit") await until(async () => (await fetched()) === offset, `offset ${offset}`);
    }
  } finally {
    await producer.disconnect();
  }
  assert.equal(await fetched(), "4");
  assert.deepEqual(values(await read(topic, 2)), ["commit", "commit"]);
});
