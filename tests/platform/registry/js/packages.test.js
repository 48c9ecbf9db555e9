// The packages of a machine, which other clients wrote as Avro: all of them out of the topic, and one more into it.
const { writeFileSync } = require('node:fs')
const { test } = require('node:test')
const { Kafka, logLevel } = require('kafkajs')
const { SchemaRegistry, SchemaType } = require('@kafkajs/confluent-schema-registry')

const { BOOTSTRAP, REGISTRY, TOPIC, COUNT, OUT, SCHEMA, VALUE } = process.env
const registry = new SchemaRegistry({ host: REGISTRY })
const kafka = new Kafka({ brokers: [BOOTSTRAP], logLevel: logLevel.NOTHING })

test('read', async () => {
  const consumer = kafka.consumer({ groupId: `${TOPIC}-js` })
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  const rows = []
  await new Promise((resolve, reject) => consumer.run({
    eachMessage: async ({ message }) => {
      try {
        rows.push({ key: message.key.toString(), ...await registry.decode(message.value) })
      } catch (error) {
        reject(error)
      }
      if (rows.length === Number(COUNT)) resolve()
    },
  }))
  await consumer.disconnect()
  writeFileSync(OUT, JSON.stringify(rows))
})

test('write', async () => {
  const { id } = await registry.register(
    { type: SchemaType.AVRO, schema: SCHEMA }, { subject: `${TOPIC}-value` })
  const producer = kafka.producer()
  await producer.connect()
  const value = JSON.parse(VALUE)
  await producer.send({ topic: TOPIC, messages: [{ key: 'js', value: await registry.encode(id, value) }] })
  await producer.disconnect()
})
