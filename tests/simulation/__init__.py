"""The real broker in virtual time: whole machines, with all that goes wrong with them, from one seed.

    python -m tests.simulation --seeds 1000         many seeds, from --start on
    python -m tests.simulation --seed 7 --trace     one again, with each event and what brokers log
    python -m tests.simulation --cluster --seed 7 --shrink
                                                    the least of a cluster's seed that still fails
    python -m tests.simulation --seeds 20 --no-flush    with losses that are to be found
    python -m tests.simulation --transactions --seeds 2000 --state FILE --save FOLDER
                                                    transactions; goes on where it was stopped
    python -m tests.simulation --cluster --seeds 1000
                                                    clusters: replication and elections (`replicated.py`)
    python -m tests.simulation --cluster --transactions --seeds 1000
                                                    clusters whose clients use them (`coordinated.py`)
    python -m tests.simulation.planted              seeds that find each of the planted bugs

Nothing of the broker is replaced but its `ottla.broker.host.Host`, what it takes from the machine it runs on:

| real | here |
| --- | --- |
| the event loop | asyncio's own, whose clock jumps to the next timer (`loop.py`) |
| sockets | ends in memory: ordered, delayed, in pieces, with back-pressure; cut when told to (`network.py`) |
| threads | work that is done some time after it was asked for, and noticed some time later (`machine.py`) |
| the disk | `tests/unit/storage/simulated_disk.py`: forgets what was not synced, tears writes, runs full |
| the store | in memory, as durable as a machine (`machine.py`) |
| clocks, chance, ids | the loop's time, and `random.Random` from the seed |

A machine (`Machine`) has several lives. When its power goes, at any step of its disk or at any time, all that
runs on it stops where it is: the loop holds its callbacks back, so that not even a `finally` runs. A context
variable says which code is whose. What was not synced is gone; then the machine may be switched on again.

Clients (`client.py`) speak the wire in typed messages. What they do and see goes into a `History`, which
says what must not be in it. A request without an answer is unknown, never failed. Beside that nothing may
hang, and no broker may log a traceback. Those that use transactions (`transactional.py`, `lives.py`)
write the history of `tests.checker`, in `world.operations`; `--save` keeps it where something is wrong.

To write a scenario, take a `World` and be done when all is said:

    async def scenario(world: World) -> None:
        machine = world.machine("broker", {"ottla.acks.all.flush": "true"})
        await machine.switch_on()
        topic = Topic("events", partitions=1)
        await create_topics(world.client("admin", machine), [topic])
        producer = Producer(world, "producer", machine, topic, is_idempotent=True)
        until = world.loop.time() + 10
        faults = Faults(world, machine, ["producer"])
        await asyncio.gather(producer.run(until, pause_s=0.1), faults.run(until, pause_s=2))
        await Consumer(world, "reader", machine, topic).drain()
        world.history.check()

    outcome = simulate(seed=7, scenario=scenario)
    assert not outcome.violations

Take chance from `world.random("what for")` alone, time from `world.loop`, and iterate no sets: then two runs
of one seed are one, in whatever process, and `outcome.digest` says so.
"""
