"use strict";

// Comes to a broker in each way of a list on stdin, writes and reads; prints what it is told.

const { readFileSync } = require("node:fs");
const { Kafka, logLevel } = require("kafkajs");

const WAIT_MS = 60_000;

function settings(way) {
  const found = { clientId: "secured", brokers: [way.servers], logLevel: logLevel.NOTHING, retry: { retries: 0 } };
  if (way.protocol.endsWith("SSL")) {
    found.ssl = { ca: [readFileSync(way.ca)] };
    if (way.certificate) {
      const pem = readFileSync(way.certificate);
      Object.assign(found.ssl, { cert: pem, key: pem });
    }
  }
  if (way.mechanism === "OAUTHBEARER") {
    const value = readFileSync(new URL(way.token_file)).toString();
    found.sasl = { mechanism: "oauthbearer", oauthBearerProvider: async () => ({ value }) };
  } else if (way.mechanism) {
    found.sasl = { mechanism: way.mechanism.toLowerCase(), username: "ann", password: way.password };
  }
  return found;
}

async function written(kafka, topic, value) {
  const producer = kafka.producer({ retry: { retries: 0 } });
  try {
    await producer.connect();
    await producer.send({ topic, messages: [{ partition: 0, value }] });
  } finally {
    await producer.disconnect();
  }
}

async function read(kafka, topic, value) {
  const consumer = kafka.consumer({ groupId: `group-${value}`, maxWaitTimeInMs: 100 });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("what was written is not read")), WAIT_MS).unref();
      const eachMessage = async ({ message }) => message.value?.toString() === value && resolve();
      consumer.run({ eachMessage }).catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
}

async function main() {
  const told = [];
  for (const way of JSON.parse(readFileSync(0))) {
    const { name, topic } = way;
    try {
      const kafka = new Kafka(settings(way));
      await written(kafka, topic, name);
      await read(kafka, topic, name);
      told.push({ name });
    } catch (error) {
      told.push({ name, error: `${error.name}: ${error.message}` });
    }
  }
  process.stdout.write(JSON.stringify(told));
}

main();
