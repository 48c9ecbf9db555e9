"""The fork server: what it makes outlives neither it nor who asked for it, and another takes its place."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ottla.connect.worker.frames import Message
from ottla.connect.worker.processes import Process, ProcessError, Processes


async def _answer(name: str, message: Message) -> object:
    raise AssertionError(name, message)


def _process() -> Process:
    return Process(_answer, lambda *_: None)


INSPECTOR = {"role": "inspector"}


@pytest.mark.timeout(60)
def test_a_server_that_ended_and_a_spawn_that_was_cancelled() -> None:
    async def test() -> None:
        processes = Processes()
        await processes.start()
        first = await processes.spawn(INSPECTOR, _process())
        # Nobody waits for this one any more: it ends, and the next answer is the next process's.
        unwanted = _process()
        cancelled = asyncio.ensure_future(processes.spawn(INSPECTOR, unwanted))
        while not processes._spawning.locked():
            await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        second = await processes.spawn(INSPECTOR, _process())
        await asyncio.wait_for(unwanted.ended, 20)
        assert len({first.pid, unwanted.pid, second.pid}) == 3
        kind = await second.call("kind", name="FileStreamSource", timeout_s=30)
        assert kind == "source"

        assert processes._server is not None
        os.kill(processes._server.pid, signal.SIGKILL)
        for each in (first, second):
            assert await asyncio.wait_for(each.ended, 20) == -signal.SIGKILL
            while (
                Path(f"/proc/{each.pid}/cmdline").exists() and Path(f"/proc/{each.pid}/cmdline").read_bytes()
            ):
                await asyncio.sleep(0.01)  # it is dying
            with pytest.raises(ProcessError):
                await each.call("kind", name="FileStreamSource")
        third = await processes.spawn(INSPECTOR, _process())
        assert await third.call("kind", name="FileStreamSource", timeout_s=30) == "source"
        await processes.close()
        assert await asyncio.wait_for(third.ended, 20) is not None

    asyncio.run(test())
