"""The keys of Kafka 4.4 that change nothing in Ottla: a table, with the reason before each part.

They are known, checked and described, so that settings written for Kafka work here. A row has a name, a type,
a default, how it may change while brokers run (not at all unless said), whether it is internal, the broker
key behind it, and what is valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from ottla.config.definition import (
    BOOLEAN,
    DOUBLE,
    INT,
    LIST,
    LONG,
    SHORT,
    ConfigDef,
    ConfigType,
    ConfigValue,
    Effect,
    UpdateMode,
    Validator,
    at_least,
    between,
    list_of,
    matching,
    not_empty,
    one_of,
    one_of_ignoring_case,
)

_TABLE = """\
broker: Ottla has no KRaft controller quorum.
  controller.performance.always.log.threshold.ms long 2000 internal [0,...]
  controller.performance.sample.period.ms long 60000 internal [100,...]
  controller.quorum.append.linger.ms int 25 [0,...]
  controller.quorum.auto.join.enable boolean false
  controller.quorum.bootstrap.servers list ""
  controller.quorum.election.backoff.max.ms int 1000 [0,...]
  controller.quorum.election.timeout.ms int 1000 [0,...]
  controller.quorum.fetch.max.bytes int 1048576 [1,...]
  controller.quorum.fetch.snapshot.max.bytes int 1048576 [1,...]
  controller.quorum.fetch.timeout.ms int 2000 [0,...]
  controller.quorum.request.timeout.ms int 2000 [0,...]
  controller.quorum.retry.backoff.ms int 20 [0,...]
  controller.quorum.voters list ""
  controller.socket.timeout.ms int 30000
  internal.metadata.delete.delay.millis long 60000 internal
  internal.metadata.log.segment.bytes int null internal
  internal.metadata.max.batch.size.in.bytes int 8388608 internal
  metadata.log.max.record.bytes.between.snapshots long 20971520 [1,...]
  metadata.log.max.snapshot.interval.ms long 3600000 [0,...]
  metadata.log.segment.bytes int 1073741824 [8388608,...]
  metadata.log.segment.ms long 604800000
  metadata.max.idle.interval.ms int 500 [0,...]
  metadata.max.retention.bytes long 104857600
  metadata.max.retention.ms long 604800000
  process.roles list null non-empty [broker, controller]
  server.max.startup.time.ms long 9223372036854775807 internal [0,...]
broker: Kerberos, logins of this broker by OAUTHBEARER and plug-ins of TLS and SASL are not there.
  client.quota.callback.class class null
  sasl.client.callback.handler.class class null
  sasl.kerberos.kinit.cmd string /usr/bin/kinit per-broker
  sasl.kerberos.min.time.before.relogin long 60000 per-broker
  sasl.kerberos.principal.to.local.rules list DEFAULT per-broker distinct values
  sasl.kerberos.service.name string null per-broker
  sasl.kerberos.ticket.renew.jitter double 0.05 per-broker
  sasl.kerberos.ticket.renew.window.factor double 0.8 per-broker
  sasl.login.callback.handler.class class null
  sasl.login.class class null
  sasl.login.connect.timeout.ms int null
  sasl.login.read.timeout.ms int null
  sasl.login.refresh.buffer.seconds short 300 per-broker
  sasl.login.refresh.min.period.seconds short 60 per-broker
  sasl.login.refresh.window.factor double 0.8 per-broker
  sasl.login.refresh.window.jitter double 0.05 per-broker
  sasl.login.retry.backoff.max.ms long 10000
  sasl.login.retry.backoff.ms long 100
  sasl.mechanism.controller.protocol string GSSAPI
  sasl.oauthbearer.assertion.algorithm string RS256 (case insensitive) [ES256, RS256]
  sasl.oauthbearer.assertion.claim.aud string null
  sasl.oauthbearer.assertion.claim.exp.seconds int 300 [0,...,86400]
  sasl.oauthbearer.assertion.claim.iss string null
  sasl.oauthbearer.assertion.claim.jti.include boolean false
  sasl.oauthbearer.assertion.claim.nbf.seconds int 60 [0,...,3600]
  sasl.oauthbearer.assertion.claim.sub string null
  sasl.oauthbearer.assertion.file string null
  sasl.oauthbearer.assertion.private.key.file string null
  sasl.oauthbearer.assertion.private.key.passphrase password null
  sasl.oauthbearer.assertion.template.file string null
  sasl.oauthbearer.client.credentials.client.id string null
  sasl.oauthbearer.client.credentials.client.secret password null
  sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms long 10000
  sasl.oauthbearer.jwks.endpoint.retry.backoff.ms long 100
  sasl.oauthbearer.jwt.retriever.class class org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever
  sasl.oauthbearer.jwt.validator.class class org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator
  sasl.oauthbearer.scope string null
  sasl.oauthbearer.token.endpoint.url string null
  sasl.server.callback.handler.class class null
  security.providers string null
  ssl.allow.dn.changes boolean false
  ssl.allow.san.changes boolean false
  ssl.engine.factory.class class null per-broker
  ssl.keymanager.algorithm string SunX509 per-broker
  ssl.protocol string TLSv1.3 per-broker
  ssl.provider string null per-broker
  ssl.secure.random.implementation string null per-broker
  ssl.trustmanager.algorithm string PKIX per-broker
broker: what a store of keys and certificates is, is seen in its file.
  ssl.keystore.type string JKS per-broker
  ssl.truststore.type string JKS per-broker
broker: Ottla keeps all segments on local disk.
  remote.fetch.max.wait.ms int 500 cluster-wide [1,...]
  remote.list.offsets.request.timeout.ms long 30000 cluster-wide [1,...]
  remote.log.index.file.cache.total.size.bytes long 1073741824 cluster-wide [1,...]
  remote.log.index.file.cache.ttl.ms long 900000 internal [-1,...]
  remote.log.manager.copier.thread.pool.size int 10 cluster-wide [1,...]
  remote.log.manager.copy.max.bytes.per.second long 9223372036854775807 cluster-wide [1,...]
  remote.log.manager.copy.quota.window.num int 11 [1,...]
  remote.log.manager.copy.quota.window.size.seconds int 1 [1,...]
  remote.log.manager.expiration.thread.pool.size int 10 cluster-wide [1,...]
  remote.log.manager.fetch.max.bytes.per.second long 9223372036854775807 cluster-wide [1,...]
  remote.log.manager.fetch.quota.window.num int 11 [1,...]
  remote.log.manager.fetch.quota.window.size.seconds int 1 [1,...]
  remote.log.manager.follower.thread.pool.size int 2 cluster-wide [1,...]
  remote.log.manager.task.interval.ms long 30000 [1,...]
  remote.log.manager.task.retry.backoff.max.ms long 30000 internal [1,...]
  remote.log.manager.task.retry.backoff.ms long 500 internal [1,...]
  remote.log.manager.task.retry.jitter double 0.2 internal [0,...,0.5]
  remote.log.manager.thread.pool.size int 2 [1,...]
  remote.log.metadata.custom.metadata.max.bytes int 128 [0,...]
  remote.log.metadata.manager.class.name string org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager non-empty string
  remote.log.metadata.manager.class.path string null
  remote.log.metadata.manager.impl.prefix string rlmm.config. non-empty string
  remote.log.metadata.manager.listener.name string null non-empty string
  remote.log.reader.max.pending.tasks int 100 [1,...]
  remote.log.reader.threads int 10 cluster-wide [1,...]
  remote.log.storage.manager.class.name string null non-empty string
  remote.log.storage.manager.class.path string null
  remote.log.storage.manager.impl.prefix string rsm.config. non-empty string
  remote.log.storage.system.enable boolean false
topic: Ottla keeps all segments on local disk.
  local.retention.bytes long -2 <log.local.retention.bytes [-2,...]
  local.retention.ms long -2 <log.local.retention.ms [-2,...]
  remote.copy.lag.bytes long -1 <log.remote.copy.lag.bytes [-1,...]
  remote.copy.lag.ms long 0 <log.remote.copy.lag.ms [-1,...]
  remote.log.copy.disable boolean false
  remote.log.delete.on.disable boolean false
  remote.storage.enable boolean false
broker: Ottla serves no share groups yet.
  errors.deadletterqueue.auto.create.topics.enable boolean false cluster-wide
  errors.deadletterqueue.topic.name.prefix string dlq. cluster-wide
  group.share.assignment.interval.ms int 1000 cluster-wide [0,...]
  group.share.assignor.offload.enable boolean true cluster-wide internal
  group.share.assignors list simple non-empty distinct values
  group.share.delivery.count.limit int 5 [2,...,10]
  group.share.dlq.manager.class.name string org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager internal
  group.share.heartbeat.interval.ms int 5000 [1,...]
  group.share.initialize.retry.interval.ms int 30000 internal [1,...]
  group.share.max.assignment.interval.ms int 15000 [0,...]
  group.share.max.delivery.count.limit int 10 [5,...,25]
  group.share.max.heartbeat.interval.ms int 15000 [1,...]
  group.share.max.partition.max.record.locks int 4000 [2000,...,10000]
  group.share.max.record.lock.duration.ms int 60000 [30000,...,3600000]
  group.share.max.session.timeout.ms int 60000 [1,...]
  group.share.max.share.sessions int 2000 [1,...]
  group.share.max.size int 200 [1,...,1000]
  group.share.min.assignment.interval.ms int 0 [0,...]
  group.share.min.delivery.count.limit int 2 [2,...,5]
  group.share.min.heartbeat.interval.ms int 5000 [1,...]
  group.share.min.partition.max.record.locks int 100 [100,...,2000]
  group.share.min.record.lock.duration.ms int 15000 [1000,...,30000]
  group.share.min.session.timeout.ms int 45000 [1,...]
  group.share.partition.max.record.locks int 2000 [100,...,10000]
  group.share.persister.class.name string org.apache.kafka.server.share.persister.DefaultStatePersister internal
  group.share.record.lock.duration.ms int 30000 [1000,...,3600000]
  group.share.session.timeout.ms int 45000 [1,...]
  share.coordinator.append.linger.ms int -1 [-1,...]
  share.coordinator.cached.buffer.max.bytes int 1048588 cluster-wide [524288,...]
  share.coordinator.cold.partition.snapshot.interval.ms int 300000 internal [1,...]
  share.coordinator.load.buffer.size int 5242880 [1,...]
  share.coordinator.snapshot.update.records.per.snapshot int 500 [0,...,500]
  share.coordinator.state.topic.compression.codec int 0
  share.coordinator.state.topic.min.isr short 2 [1,...]
  share.coordinator.state.topic.num.partitions int 50 [1,...]
  share.coordinator.state.topic.prune.interval.ms int 300000 internal [1,...]
  share.coordinator.state.topic.replication.factor short 3 [1,...]
  share.coordinator.state.topic.segment.bytes int 104857600 [1,...]
  share.coordinator.threads int 1 [1,...]
  share.coordinator.write.timeout.ms int 5000 [1,...]
  share.fetch.purgatory.purge.interval.requests int 1000
topic: Ottla serves no share groups yet.
  errors.deadletterqueue.group.enable boolean false
group: Ottla serves no share groups yet.
  errors.deadletterqueue.copy.record.enable boolean false
  errors.deadletterqueue.topic.name string ""
  share.assignment.interval.ms int 1000 <group.share.assignment.interval.ms [0,...]
  share.assignor.offload.enable boolean true internal <group.share.assignor.offload.enable
  share.auto.offset.reset string latest [latest, earliest, by_duration:PnDTnHnMn.nS]
  share.delivery.count.limit int 5 <group.share.delivery.count.limit [2,...]
  share.heartbeat.interval.ms int 5000 <group.share.heartbeat.interval.ms [1,...]
  share.isolation.level string read_uncommitted [read_committed, read_uncommitted]
  share.partition.max.record.locks int 2000 <group.share.partition.max.record.locks [100,...]
  share.record.lock.duration.ms int 30000 <group.share.record.lock.duration.ms [1000,...]
  share.renew.acknowledge.enable boolean true
  share.session.timeout.ms int 45000 <group.share.session.timeout.ms [1,...]
broker: Ottla serves no streams groups yet.
  group.streams.acceptable.recovery.lag long 10000 internal [0,...]
  group.streams.assignment.interval.ms int 1000 cluster-wide [0,...]
  group.streams.assignor.offload.enable boolean true cluster-wide internal
  group.streams.assignors list sticky non-empty distinct values
  group.streams.heartbeat.interval.ms int 5000 [1,...]
  group.streams.initial.rebalance.delay.ms int 3000 [0,...]
  group.streams.max.assignment.interval.ms int 15000 [0,...]
  group.streams.max.heartbeat.interval.ms int 15000 [1,...]
  group.streams.max.session.timeout.ms int 60000 [1,...]
  group.streams.max.size int 2147483647 [1,...]
  group.streams.max.standby.replicas int 2 [0,...]
  group.streams.max.warmup.replicas int 20 internal [0,...]
  group.streams.min.assignment.interval.ms int 0 [0,...]
  group.streams.min.heartbeat.interval.ms int 5000 [1,...]
  group.streams.min.session.timeout.ms int 45000 [1,...]
  group.streams.min.task.offset.interval.ms int 15000 internal [1,...]
  group.streams.num.standby.replicas int 0 [0,...]
  group.streams.num.warmup.replicas int 2 internal [0,...]
  group.streams.rack.aware.assignment.tags list "" distinct values
  group.streams.session.timeout.ms int 45000 [1,...]
  group.streams.task.offset.interval.ms int 60000 internal [1,...]
  group.streams.topology.description.plugin.class class null
group: Ottla serves no streams groups yet.
  streams.acceptable.recovery.lag long 10000 internal <group.streams.acceptable.recovery.lag [0,...]
  streams.assignment.interval.ms int 1000 <group.streams.assignment.interval.ms [0,...]
  streams.assignor.name string null <group.streams.assignors
  streams.assignor.offload.enable boolean true internal <group.streams.assignor.offload.enable
  streams.heartbeat.interval.ms int 5000 <group.streams.heartbeat.interval.ms [1,...]
  streams.initial.rebalance.delay.ms int 3000 <group.streams.initial.rebalance.delay.ms [0,...]
  streams.num.standby.replicas int 0 <group.streams.num.standby.replicas [0,...]
  streams.num.warmup.replicas int 2 internal <group.streams.num.warmup.replicas [0,...]
  streams.rack.aware.assignment.tags list "" <group.streams.rack.aware.assignment.tags distinct values
  streams.session.timeout.ms int 45000 <group.streams.session.timeout.ms [1,...]
  streams.task.offset.interval.ms int 60000 internal <group.streams.task.offset.interval.ms [1,...]
broker: two-phase commit (KIP-939) is in no stable version of an API.
  transaction.two.phase.commit.enable boolean false
broker: there are no metric reporters.
  kafka.metrics.polling.interval.secs int 10 [1,...]
  kafka.metrics.reporters list "" distinct values
  metric.reporters list org.apache.kafka.common.metrics.JmxReporter cluster-wide distinct values
  metrics.num.samples int 2 [1,...]
  metrics.recording.level string INFO
  metrics.sample.window.ms long 30000 [1,...]
broker: a part of replication that there is not yet.
  follower.fetch.last.tiered.offset.enable boolean false cluster-wide
  replica.socket.receive.buffer.bytes int 65536
  socket.connection.setup.timeout.max.ms long 30000
  unclean.leader.election.interval.ms long 300000 internal [1,...]
broker: Ottla has no such thread, buffer, cache or plug-in to tune.
  alter.config.policy.class.name class null
  background.threads int 10 cluster-wide [1,...]
  config.providers list "" cluster-wide distinct values
  create.topic.policy.class.name class null
  delete.records.purgatory.purge.interval.requests int 1
  fetch.purgatory.purge.interval.requests int 1000
  group.consumer.assignor.offload.enable boolean true cluster-wide internal
  group.consumer.max.assignment.interval.ms int 15000 [0,...]
  group.consumer.min.assignment.interval.ms int 0 [0,...]
  group.coordinator.append.linger.ms int -1 [-1,...]
  group.coordinator.background.threads int 2 [1,...]
  group.coordinator.cached.buffer.max.bytes int 1048588 cluster-wide [524288,...]
  group.coordinator.threads int 4 [1,...]
  log.cleaner.threads int 1 cluster-wide [0,...]
  log.dir.failure.timeout.ms long 30000 [1,...]
  num.io.threads int 8 cluster-wide [1,...]
  num.network.threads int 3 cluster-wide [1,...]
  num.recovery.threads.per.data.dir int 2 cluster-wide [1,...]
  num.replica.alter.log.dirs.threads int null
  offsets.load.buffer.size int 5242880 [1,...]
  producer.purgatory.purge.interval.requests int 1000
  queued.max.requests int 500 [1,...]
  transaction.state.log.load.buffer.size int 5242880 [1,...]
  unstable.api.versions.enable boolean false internal
  unstable.feature.versions.enable boolean false internal
group: Ottla has no such thread, buffer, cache or plug-in to tune.
  consumer.assignor.offload.enable boolean true internal <group.consumer.assignor.offload.enable
topic: files grow as they are written.
  preallocate boolean false <log.preallocate
"""  # noqa: E501 -- a row is a row

_RANGE = re.compile(r"\[(-?[0-9.]+),\.\.\.(?:,([0-9.]+))?\]")
_NAMES = re.compile(r"(?P<how>non-empty |\(case insensitive\) )?\[(?P<names>[\w, ]+)\]")
_NAMED: dict[str, Callable[[], Validator]] = {
    "distinct values": list_of,
    "non-empty distinct values": lambda: list_of(empty_allowed=False),
    "non-empty string": not_empty,
    "[latest, earliest, by_duration:PnDTnHnMn.nS]": lambda: matching(
        r"latest|earliest|by_duration:P(?!$)([0-9]+D)?(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+(\.[0-9]+)?S)?)?",
        "earliest, latest or by_duration:PnDTnHnMn.nS",
    ),
}


_MODES = {"cluster-wide": UpdateMode.CLUSTER_WIDE, "per-broker": UpdateMode.PER_BROKER}


def inert_keys(resource: str) -> Iterator[ConfigDef]:
    """The keys of `resource`: broker, topic or group."""
    doc = ""
    wanted = False
    for line in _TABLE.splitlines():
        if line[0] != " ":
            title, _, reason = line.partition(": ")
            wanted, doc = title == resource, f"Without effect: {reason}"
        elif wanted:
            yield _definition(line.split(), doc)


def _definition(cells: list[str], doc: str) -> ConfigDef:
    # Plain code, for it runs some 300 times at each start.
    name, kind_name, default = cells[:3]
    kind = ConfigType[kind_name.upper()]
    at, mode = 3, UpdateMode.READ_ONLY
    synonyms: tuple[str, ...] = ()
    if cells[at:] and cells[at] in _MODES:
        mode, at = _MODES[cells[at]], at + 1
    if internal := cells[at : at + 1] == ["internal"]:
        at += 1
    if cells[at:] and cells[at][0] == "<":
        synonyms, at = (cells[at][1:],), at + 1
    validator = _validator(" ".join(cells[at:]), kind) if cells[at:] else None
    return ConfigDef(
        name, kind, _default(default, kind), doc, validator, mode, synonyms, Effect.NONE, internal
    )


def _default(text: str, kind: ConfigType) -> ConfigValue:
    if text == "null":
        return None
    if kind in (INT, LONG, SHORT):
        return int(text)
    if kind is BOOLEAN:
        return text == "true"
    if kind is DOUBLE:
        return float(text)
    text = text.strip('"')
    return (tuple(text.split(",")) if text else ()) if kind is LIST else text


@cache
def _validator(text: str, kind: ConfigType) -> Validator:
    if text in _NAMED:
        return _NAMED[text]()
    if found := _RANGE.fullmatch(text):
        low, high = (float(end) if end and "." in end else int(end or 0) for end in found.groups())
        return between(low, high) if found[2] else at_least(low)
    names = _NAMES.fullmatch(text)
    assert names is not None, text
    values = names["names"].split(", ")
    if kind is LIST:
        return list_of(*values, empty_allowed=not names["how"])
    return one_of_ignoring_case(*values) if names["how"] else one_of(*values)
