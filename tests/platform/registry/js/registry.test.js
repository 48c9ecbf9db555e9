// KafkaJS' registry client: schemas of all three formats out and back, through a topic and across versions.
const assert = require('node:assert')
const { test } = require('node:test')
const { Kafka, logLevel } = require('kafkajs')
const { COMPATIBILITY, SchemaRegistry, SchemaType } = require('@kafkajs/confluent-schema-registry')

const registry = new SchemaRegistry({ host: process.env.REGISTRY }, { [SchemaType.PROTOBUF]: {} })
const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING })
const unique = Date.now()

const person = (...fields) => JSON.stringify({
  type: 'record', name: 'Person', namespace: 'test', fields: [{ name: 'name', type: 'string' }, ...fields],
})

test('avro values go through a topic', async () => {
  const topic = `people-${unique}`
  const { id } = await registry.register(
    { type: SchemaType.AVRO, schema: person() }, { subject: `${topic}-value` })
  const producer = kafka.producer()
  const consumer = kafka.consumer({ groupId: `g-${unique}` })
  await producer.connect()
  await producer.send({ topic, messages: [{ value: await registry.encode(id, { name: 'Ada' }) }] })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const value = await new Promise((resolve, reject) => consumer.run({
    eachMessage: ({ message }) => registry.decode(message.value).then(resolve, reject),
  }))
  assert.strictEqual(value.name, 'Ada')
  await consumer.disconnect()
  await producer.disconnect()
})

test('a schema has one id, and evolves', async () => {
  const subject = `evolving-${unique}`
  const compatibility = COMPATIBILITY.BACKWARD
  const first = await registry.register(
    { type: SchemaType.AVRO, schema: person() }, { subject, compatibility })
  const again = await registry.register(
    { type: SchemaType.AVRO, schema: person() }, { subject, compatibility })
  assert.strictEqual(again.id, first.id)
  const wider = person({ name: 'age', type: ['null', 'int'], default: null })
  const second = await registry.register({ type: SchemaType.AVRO, schema: wider }, { subject, compatibility })
  assert.notStrictEqual(second.id, first.id)
  assert.strictEqual(await registry.getLatestSchemaId(subject), second.id)
  assert.strictEqual(await registry.getRegistryId(subject, 1), first.id)
  const found = await registry.getRegistryIdBySchema(subject, { type: SchemaType.AVRO, schema: wider })
  assert.strictEqual(found, second.id)
  const reader = await registry.getSchema(second.id)
  const decoded = await registry.decode(await registry.encode(first.id, { name: 'Ada' }), {
    [SchemaType.AVRO]: { readerSchema: reader },
  })
  assert.strictEqual(decoded.age, null)
  await assert.rejects(
    registry.register({ type: SchemaType.AVRO, schema: person({ name: 'must', type: 'string' }) }, { subject }),
    /incompatible/)
})

test('references', async () => {
  const inner = `inner-${unique}`
  await registry.register({
    type: SchemaType.AVRO,
    schema: JSON.stringify({ type: 'record', name: 'Inner', namespace: 'test', fields: [{ name: 'x', type: 'int' }] }),
  }, { subject: inner })
  const { id } = await registry.register({
    type: SchemaType.AVRO,
    schema: JSON.stringify({ type: 'record', name: 'Outer', namespace: 'test', fields: [{ name: 'i', type: 'test.Inner' }] }),
    references: [{ name: 'test.Inner', subject: inner, version: 1 }],
  }, { subject: `outer-${unique}` })
  registry.cache.clear()
  const decoded = await registry.decode(await registry.encode(id, { i: { x: 7 } }))
  assert.strictEqual(decoded.i.x, 7)
})

test('json schema', async () => {
  const schema = JSON.stringify({
    $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', title: 'Person', properties: { name: { type: 'string' } },
  })
  const { id } = await registry.register({ type: SchemaType.JSON, schema }, { subject: `json-${unique}` })
  registry.cache.clear()
  assert.deepStrictEqual(await registry.decode(await registry.encode(id, { name: 'Ada' })), { name: 'Ada' })
  await assert.rejects(registry.encode(id, { name: 3 }))
})

test('protobuf', async () => {
  const schema = 'syntax = "proto3";\npackage test;\nmessage Person { string name = 1; repeated int64 numbers = 2; }'
  const { id } = await registry.register({ type: SchemaType.PROTOBUF, schema }, { subject: `proto-${unique}` })
  registry.cache.clear()
  const decoded = await registry.decode(await registry.encode(id, { name: 'Ada', numbers: [1, 2] }))
  assert.strictEqual(decoded.name, 'Ada')
})
