"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { Kafka, logLevel } = require("kafkajs");

const kafka = new Kafka({
  clientId: "kafkajs-tests",
  brokers: [process.env.BOOTSTRAP],
  logLevel: process.env.KAFKAJS_LOG === "1" ? logLevel.INFO : logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 8 },
});

const unique = (prefix) => `${prefix}-${randomBytes(5).toString("hex")}`;

async function until(condition, what) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    assert.ok(Date.now() < deadline, `in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function withAdmin(work) {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function makeTopic(numPartitions = 1, configEntries = []) {
  const topic = unique("kafkajs");
  await withAdmin((admin) =>
    admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] }),
  );
  return topic;
}

async function produce(topic, messages, settings = {}, options = {}) {
  const producer = kafka.producer({ allowAutoTopicCreation: false, ...settings });
  await producer.connect();
  try {
    return await producer.send({ topic, messages, ...options });
  } finally {
    await producer.disconnect();
  }
}

/** Reads `count` messages of a topic in a group of its own, from the start or from where `begin` seeks to. */
async function read(topic, count, { groupId = unique("group"), begin = () => {}, settings = {} } = {}) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, ...settings });
  await consumer.connect();
  const messages = [];
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ partition, message }) => {
        messages.push({ partition, ...message });
      },
    });
    begin(consumer);
    await until(() => messages.length >= count, `${count} messages`);
  } finally {
    await consumer.disconnect();
  }
  return messages;
}

module.exports = { assert, kafka, unique, until, withAdmin, makeTopic, produce, read };
