"""A stream thread: one member of the group, one consumer, one producer, and the tasks that it was given.

It is one event loop: the client's work and the tasks' take turns, each turn of the tasks being short.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from ottla.client.connecting import AsyncClient
from ottla.client.core.groups.subscription import MemberSubscription, decode_assignment_with_data
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError
from ottla.client.producer.producer import AsyncProducer
from ottla.streams.errors import StreamsError
from ottla.streams.runtime.application import Application
from ottla.streams.runtime.calls import called_in
from ottla.streams.runtime.committing import Committing, passes
from ottla.streams.runtime.leader import Leader
from ottla.streams.runtime.member import GroupMember, group_settings
from ottla.streams.runtime.metrics import ThreadMetrics
from ottla.streams.runtime.protocol import (
    INCOMPLETE_SOURCE_TOPICS,
    NO_REBALANCE,
    SHUTDOWN_REQUESTED,
    Assignment,
    Subscription,
    TaskId,
    decode_assignment,
    encode_subscription,
)
from ottla.streams.runtime.reading import Reading
from ottla.streams.runtime.restoring import Restoring
from ottla.streams.runtime.state_directory import ThreadEnvironment
from ottla.streams.runtime.topics import Hosts, Layout, MissingSourceTopicsError
from ottla.streams.runtime.work import TURN_S, Phase, Wanted, Work
from ottla.streams.task.task import Task

T = TypeVar("T")

_CALLS_OF_A_TASK: Final = 50
"""Before the next task gets its turn."""
_PAUSE_S: Final = 0.2
_log: Final = logging.getLogger("ottla.streams")


class ShutdownRequestedError(StreamsError):
    """All instances of the application end, since one asked for that."""


class StreamThread:
    """`run` it in a thread of its own; other threads may call `stop`, `submit`."""

    def __init__(self, application: Application, name: str, number: int) -> None:
        self.name = name
        self.metrics = ThreadMetrics()
        self.is_running = False
        """Whether all that was assigned runs."""
        self._application = application
        self._settings = application.config.streams
        self._number = number
        self._works: dict[TaskId, Work] = {}
        self._wanted: dict[TaskId, Wanted] = {}
        """What was assigned, whether it could be begun already or not."""
        self._layout: Layout | None = None
        """As of that assignment, once a task of it is begun."""
        self._hosts: tuple[Hosts, Hosts] = {}, {}
        """Who has what and who follows what, as of that assignment."""
        self._environment = ThreadEnvironment(application.directory, application.cache_bytes_for_thread)
        self._stopping = False
        self._turns = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unique = 0
        self._fails_since_ms: int | None = None
        """Since when nothing could be committed, for errors that may pass."""
        self._next_rebalance_ms = NO_REBALANCE

    # Called from other threads.

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._woken.set)

    def submit(self, function: Callable[[Mapping[TaskId, Work]], T]) -> T:
        """What `function` makes of the thread's tasks, called between two turns. StreamsError where it is not
        running, TimeoutError where it takes too long."""
        loop = self._loop
        if loop is None or loop.is_closed():
            raise StreamsError("the thread is not running")

        return called_in(loop, lambda: function(self._works))

    def run(self) -> None:
        """Until `stop`, or an error, which is raised. What passes is no such error: a broker that is away, a
        rebalance that gave the tasks to others. Then the thread begins anew, as of the last commit."""
        while not self._stopping:
            try:
                asyncio.run(self._run())
            except ClientError as error:
                self.is_running = False
                if not passes(error):
                    raise
                self._check_timeout(error)
                _log.warning("%s begins anew: %s", self.name, error)
                asyncio.run(asyncio.sleep(_PAUSE_S))

    def _check_timeout(self, error: ClientError) -> None:
        """StreamsError where what could pass has not passed in time (KIP-572)."""
        if not error.retriable:
            return  # others have the tasks now
        now_ms = self._application.now_ms()
        self._fails_since_ms = now_ms if self._fails_since_ms is None else self._fails_since_ms
        if now_ms - self._fails_since_ms >= self._settings.task_timeout_ms:
            raise StreamsError(
                f"{self.name} has got nowhere for task.timeout.ms={self._settings.task_timeout_ms}: {error}"
            ) from error

    # The loop.

    async def _run(self) -> None:
        application = self._application
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        async with AsyncClient(application.config.client) as client:
            self._client = client
            self._leader = Leader(
                client, application.topology, self._settings, application.config.topic, application.now_ms
            )
            self._member = GroupMember(
                client.cluster,
                group_settings(application.config, self._number),
                self._subscription,
                self._leader.assign,
                self._woken,
            )
            self._open_clients(client)
            self._next_commit_s = self._loop.time() + self._settings.commit_interval_ms / 1000
            self._next_purge_s = self._loop.time() + self._settings.repartition_purge_interval_ms / 1000
            self._next_look_s = self._loop.time()
            try:
                await self._producer.start()
                self._task_settings = application.task_settings(self._environment)
                self._member.start()
                while not self._stopping:
                    await self._turn()
                await self._close_some(list(self._works.values()))
            except BaseException:
                await self._close_dirty()
                raise
            finally:
                self._loop = None
                await self._committing.offsets.close()
                await self._member.close()

    def _open_clients(self, client: AsyncClient) -> None:
        config, exactly_once = self._application.config, self._settings.is_exactly_once
        isolation = "read_committed" if exactly_once else "read_uncommitted"
        reading = {
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "isolation.level": isolation,
        }
        self._reading = Reading(
            client.consumer(settings={**config.consumer, **reading}),
            self._application.reset_of,
            self._settings.buffered_records_per_partition,
            self._settings.ottla_streams_columnar_records,
        )
        restorer = client.consumer(settings={**config.restore_consumer, **reading})
        self._restoring = Restoring(client.cluster, restorer, self._application.directory.folder)
        producing: dict[str, object] = {"linger.ms": 100, "transaction.timeout.ms": 10_000, **config.producer}
        if exactly_once:
            process = self._application.directory.process_id
            producing["transactional.id"] = f"{self._settings.application_id}-{process}-{self._number}"
        self._producer: AsyncProducer = client.producer(producing)
        member = self._member
        self._committing = Committing(
            client,
            self._producer,
            self._settings,
            self._application.topology,
            member.identity,
            member.between_joins,
        )

    async def _turn(self) -> None:
        if self._member.error is not None:
            raise self._member.error
        if self._member.was_lost:
            await self._close_dirty()
            self._member.lost_was_seen()
        assignment = self._member.take_assignment()
        if assignment is not None:
            await self._rebalance(assignment)
        await self._begin_wanted()
        is_restoring = await self._restore()
        if not self._application.is_paused:
            await self._poll(is_restoring)
            self._process()
            self._punctuate()
            await self._committing.collector.drain()
        else:
            await self._wait(0.1)
        await self._commit_if_due()
        await self._purge_if_due()
        await self._look_for_topics_if_due()
        self._look_around()

    async def _wait(self, seconds: float) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    def _active(self) -> list[Work]:
        return [work for work in self._works.values() if work.phase is Phase.running]

    def _held(self) -> list[TopicPartition]:
        """What active tasks read, once they have their state."""
        return [
            each
            for work in self._works.values()
            if work.phase is not Phase.standby
            for each in work.partitions
        ]

    # The group.

    def _owned(self) -> list[TopicPartition]:
        """What was assigned, whether it is begun or not, and what is not given up yet. While this thread may
        still begin to read something, or commits it, nobody else may: commits are judged by generation alone.
        """
        assigned = (
            each
            for phase, partitions in self._wanted.values()
            if phase is Phase.running
            for each in partitions
        )
        return list(dict.fromkeys((*self._held(), *assigned)))

    def _subscription(self) -> MemberSubscription:
        application = self._application
        sums = {task: total for task, total in application.dormant_sums().items() if task not in self._works}
        sums |= {task: work.offset_sum for task, work in self._works.items()}
        info = Subscription(
            application.directory.process_id,
            sums,
            application.endpoint,
            self._unique,
            application.config.tags,
            SHUTDOWN_REQUESTED if application.shall_all_end else 0,
        )
        topics = sorted(self._leader.counts or self._application.source_topics())
        generation = self._member.generation
        return MemberSubscription(topics, self._owned(), generation, None, encode_subscription(info))

    async def _rebalance(self, data: bytes) -> None:
        partitions, user_data = decode_assignment_with_data(data)
        info = decode_assignment(user_data) if user_data else Assignment()
        if info.error == INCOMPLETE_SOURCE_TOPICS:
            await self._leader.layout()  # which says what is missing
            raise MissingSourceTopicsError("topics that are to be read were not there")
        if info.error == SHUTDOWN_REQUESTED:
            raise ShutdownRequestedError("an instance asked for the whole application to end")
        self.metrics.rebalances += 1
        self._next_rebalance_ms = info.next_rebalance_ms
        wanted: dict[TaskId, Wanted] = {}
        by_task: dict[TaskId, list[TopicPartition]] = {}
        for task, partition in zip(info.active, sorted(partitions), strict=True):
            by_task.setdefault(task, []).append(partition)
        for task, owned in by_task.items():
            wanted[task] = (Phase.running, tuple(owned))
        for task in info.standby:
            wanted.setdefault(task, (Phase.standby, ()))
        gone = [work for work in self._works.values() if not work.goes_on_as(wanted.get(work.task_id))]
        has_given_up = not set(partitions).issuperset(self._owned())
        # Before anything is waited for: a join that goes out meanwhile has to say that this is owned.
        self._wanted, self._layout, self._hosts = wanted, None, (info.hosts, info.standby_hosts)
        await self._close_some(gone)
        _log.info("%s: %d active and %d standby tasks", self.name, len(by_task), len(info.standby))
        if has_given_up:
            self._member.rejoin("partitions were given up for others")

    async def _begin_wanted(self) -> None:
        """Tasks that were assigned and are not here yet: some wait until another thread has closed them."""
        new = [task for task in self._wanted if task not in self._works]
        promoted = [
            task
            for task, (phase, _) in self._wanted.items()
            if phase is Phase.running and task in self._works and self._works[task].phase is Phase.standby
        ]
        if self._layout is None and (new or promoted or self._application.endpoint):
            self._layout = await self._leader.layout()
            self._application.routes = self._layout.routes(*self._hosts)
        if self._layout is None or not (new or promoted):
            return
        for task in new:
            if self._application.directory.take(task, self.name):
                self._works[task] = self._new_work(task, self._layout)
        activated = []
        for task in (*new, *promoted):
            phase, partitions = self._wanted[task]
            work = self._works.get(task)
            if work is not None and phase is Phase.running:
                work.phase = Phase.restoring
                work.partitions = partitions
                activated.append(work)
        if activated:
            await self._committing.collector.find_topics()
            await self._reading.begin(activated, self._held(), self._committing.offsets)
            await self._restoring.find_targets(activated)
        self._restoring.assign(self._works)

    def _new_work(self, task_id: TaskId, layout: Layout) -> Work:
        application = self._application
        sub = layout.sub_topologies[task_id.group]
        partitions = layout.tasks.get(task_id, ())
        task = Task(
            application.topology,
            sub.nodes,
            str(task_id),
            partitions,
            self._task_settings,
            self._committing.collector,
            application.global_stores,
        )
        changelogs = {
            store: TopicPartition(*each) for store, each in layout.changelog_partitions(task_id).items()
        }
        return Work(task_id, task, changelogs, sub.source_changelogs)

    # Restoring.

    async def _restore(self) -> bool:
        """Whether some task still waits for its state."""
        if all(work.phase is Phase.running for work in self._works.values()):
            return False
        done = await self._restoring.step(self._works)
        for work in done:
            work.task.initialize()
            work.phase = Phase.running
            self._reading.resume(work.partitions)
        if done:
            self._restoring.assign(self._works)
        return any(work.phase is Phase.restoring for work in self._works.values())

    # Processing.

    async def _poll(self, is_restoring: bool) -> None:
        if self._reading.is_empty:
            await self._wait(0 if is_restoring else 0.1)
            return
        active = self._active()
        busy = is_restoring or any(work.task.is_processable() for work in active)
        timeout_s = 0.0 if busy else min(self._settings.poll_ms / 1000, self._until_due_s())
        await self._reading.poll(active, max(timeout_s, 0.0))

    def _process(self) -> None:
        """Until nothing can be processed, or others must have their turn."""
        active = self._active()
        self._turns += 1
        first = self._turns % max(len(active), 1)  # whoever it is that uses up the turn
        now_s = self._now_s()
        until_s = now_s + TURN_S
        going = True
        while going and now_s < until_s:
            going = False
            for work in (*active[first:], *active[:first]):
                task = work.task
                for _ in range(_CALLS_OF_A_TASK):
                    if now_s >= until_s or not task.is_processable():
                        break
                    count, began_s = task.process(work.pace.records), now_s
                    now_s = self._now_s()
                    work.pace.took(count, now_s - began_s)
                    self.metrics.processed += count
                    going = True
                task.punctuate_stream_time()
        self._reading.go_on(active)

    def _punctuate(self) -> None:
        for work in self._active():
            work.task.punctuate_wall_clock_time()

    def _until_due_s(self) -> float:
        due = self._next_commit_s - self._now_s()
        now_ms = self._application.now_ms()
        for work in self._active():
            next_ms = work.task.next_wall_clock_punctuation()
            if next_ms is not None:
                due = min(due, (next_ms - now_ms) / 1000)
        return due

    # Committing.

    async def _commit_if_due(self) -> None:
        active = self._active()
        is_due = self._now_s() >= self._next_commit_s
        if is_due or any(work.task.commit_requested for work in active):
            await self._committing.commit(active)
            self._next_commit_s = self._now_s() + self._settings.commit_interval_ms / 1000
            self._fails_since_ms = None

    async def _purge_if_due(self) -> None:
        if self._now_s() >= self._next_purge_s:
            self._next_purge_s = self._now_s() + self._settings.repartition_purge_interval_ms / 1000
            await self._committing.purge()

    async def _look_for_topics_if_due(self) -> None:
        if self._member.is_leader and self._now_s() >= self._next_look_s:
            self._next_look_s = self._now_s() + self._client.cluster.settings.metadata_max_age_ms / 1000
            await self._leader.look_for_topics()

    # Ending.

    async def _close_some(self, works: list[Work]) -> None:
        """Commit what they did, and give them up. A transaction has all of the thread's tasks in it."""
        running = [work for work in works if work.phase is Phase.running]
        if running:
            await self._committing.commit(self._active() if self._settings.is_exactly_once else running)
        for work in works:
            if work.phase is not Phase.running:
                work.commit_restored()
        failures = self._drop(works)
        if failures:
            raise failures[0]

    async def _close_dirty(self) -> None:
        """Give all tasks up as of their last commit, until they are assigned anew."""
        self._wanted = {}
        await self._committing.give_up()
        self._drop(list(self._works.values()))

    def _drop(self, works: list[Work]) -> list[Exception]:
        """All of them, whatever closing one raises, which is given."""
        failures: list[Exception] = []
        gone = dict.fromkeys(partition for work in works for partition in work.partitions)
        for work in works:
            del self._works[work.task_id]
            try:
                work.task.close()
            except Exception as error:  # noqa: BLE001 # a processor may raise anything
                _log.error("task %s was not closed well: %s", work.task_id, error, exc_info=error)
                failures.append(error)
            self._application.note_dormant(work.task_id, sum(work.positions.values()))
            self._application.directory.give_back(work.task_id, self.name)
        if works:
            self._reading.end(gone)
            self._restoring.assign(self._works)
        return failures

    def _look_around(self) -> None:
        """What others may want to know, and what a rebalance is asked for."""
        metrics = self.metrics
        metrics.active_tasks = sum(work.phase is not Phase.standby for work in self._works.values())
        metrics.standby_tasks = len(self._works) - metrics.active_tasks
        metrics.sent = self._committing.collector.sent
        metrics.commits = self._committing.commits
        metrics.restored = self._restoring.restored
        metrics.dropped = sum(work.task.context.dropped for work in self._works.values())
        self.is_running = (
            self._member.generation >= 0
            and all(
                task in self._works and self._works[task].phase is phase
                for task, (phase, _) in self._wanted.items()
            )
            and self.metrics.rebalances > 0
        )
        if self._application.now_ms() >= self._next_rebalance_ms:
            self._next_rebalance_ms = NO_REBALANCE
            self._unique = (self._unique + 1) % 100
            self._member.rejoin("the state of tasks that shall move may be warm now")
        if self._member.is_leader and self._leader.changed(self._client.cluster.metadata):
            self._member.rejoin("the topics' partitions changed")

    def _now_s(self) -> float:
        assert self._loop is not None
        return self._loop.time()
