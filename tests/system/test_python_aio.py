"""jobs.aio: the same by coroutines, and the loop goes on meanwhile."""

import asyncio
import threading
import time

import pytest

from conftest import count, seconds, wait_until
from python_support import in_child, jobs, jobtab  # noqa: F401
from test_python_store import verify
from writer_lock import WriterLock


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, seconds(30)))


def test_the_same_names_do_the_same(jobs):
    async def main():
        aio = jobs.aio
        assert await aio.create("a", {"status": "running", "n": 1}) == "a"
        assert (await aio.get("a"))["n"] == 1 and await aio.get("no") is None and await aio.exists("a")
        assert (await aio.update("a", progress=20))["progress"] == 20
        assert (await aio.update("a", status="completed", result=5))["result"] == 5
        other = await aio.submit("report", {"n": 2}, priority=1)
        assert [row["job_id"] for row in await aio.list(kind="report")] == [other]
        assert (await aio.cancel(other))["status"] == "cancelled"
        assert (await aio.retry(other))["status"] == "pending"
        await aio.delete(other)
        assert not await aio.exists(other) and await aio.log("a") == ""
        with pytest.raises(jobtab.NotFound):
            await aio.update("no", progress=1)

    run(main())


def test_claim_finishes_fails_and_hands_back(jobs):
    async def main():
        ids = [await jobs.aio.submit("report", n) for n in range(4)]
        async with jobs.aio.claim("report", timeout=5) as job:
            await job.report(50, "half")
            await job.log("line\n")
            await job.check()
            job.result = job.params
        assert jobs[ids[0]]["result"] == 0 and await jobs.aio.log(ids[0]) == "line\n"
        with pytest.raises(ValueError):
            async with jobs.aio.claim("report", timeout=5):
                raise ValueError("bad")
        assert jobs[ids[1]]["error"] == "bad"
        async with jobs.aio.claim("report", timeout=5) as job:
            await jobs.aio.cancel(job.job_id)
            await job.check()
        assert jobs[ids[2]]["status"] == "cancelled"

        async def worker():
            async with jobs.aio.claim("report"):
                await asyncio.sleep(60)

        task = asyncio.create_task(worker())
        while jobs[ids[3]]["status"] != "running":
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert jobs[ids[3]]["status"] == "pending"
        with pytest.raises(jobtab.Empty):
            async with jobs.aio.claim("nothing", timeout=0.1):
                raise AssertionError("not reached")

    run(main())
    verify(jobs)


def test_a_task_that_is_cancelled_while_it_claims_keeps_no_job(jobs):
    """Whatever the moment: the job is pending again, or was never taken."""

    async def main():
        job_id = await jobs.aio.submit("report")

        async def worker():
            async with jobs.aio.claim("report"):
                await asyncio.sleep(60)

        for turns in range(count(30, 300)):
            task = asyncio.create_task(worker())
            for _ in range(turns % 30):
                await asyncio.sleep(0.0002)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert jobs[job_id]["status"] == "pending", turns

    run(main())


def test_a_claim_waits_for_a_job_of_another_process(jobs):
    async def main():
        async def worker():
            async with jobs.aio.claim("report") as job:
                job.result = job.params

        tasks = [asyncio.create_task(worker()) for _ in range(3)]
        await asyncio.sleep(0)
        for n in range(3):
            assert in_child(lambda: jobs.submit("report", n)) == 0  # noqa: B023
        await asyncio.gather(*tasks)

    run(main())
    assert sorted(row["result"] for row in jobs.list(kind="report")) == [0, 1, 2]


def test_many_wait_and_watch_at_once_on_one_thread(jobs):
    async def main():
        ids = [await jobs.aio.create(None, {"status": "running"}) for _ in range(5)]
        seen = {}

        async def watch(n):
            seen[n] = [row["progress"] async for row in jobs.aio.watch(ids[n % 5], 20)]

        tasks = [asyncio.create_task(watch(n)) for n in range(100)]
        tasks += [asyncio.create_task(jobs.aio.wait(ids[n % 5], 20)) for n in range(100)]
        await asyncio.sleep(0.05)
        threads = threading.active_count()
        for job_id in ids:
            await jobs.aio.update(job_id, progress=50)
            await jobs.aio.update(job_id, status="completed")
        rows = await asyncio.gather(*tasks)
        assert {row["status"] for row in rows[100:]} == {"completed"}
        assert all(steps[0] == 0 and steps[-1] == 100 and steps == sorted(steps) for steps in seen.values())
        assert threads < 40

    run(main())
    wait_until(lambda: not jobs._table.bell.running, what="the bell's thread ends with its waiters")


def test_wait_times_out_and_sees_a_deletion(jobs):
    async def main():
        jobs["a"] = {}
        with pytest.raises(jobtab.Timeout):
            await jobs.aio.wait("a", 0.1)
        task = asyncio.create_task(jobs.aio.wait("a"))
        await asyncio.sleep(0.05)
        await jobs.aio.delete("a")
        with pytest.raises(jobtab.NotFound, match="deleted"):
            await task

    run(main())


def test_the_loop_goes_on_while_a_writer_is_held_up(jobs):
    """Another process holds the one writer's lock: changes wait, and nothing else does."""

    async def main():
        jobs["a"] = {"status": "running"}
        with WriterLock(jobs.path):
            write = asyncio.create_task(jobs.aio.update("a", progress=50))
            wait = asyncio.create_task(jobs.aio.wait("a", 20))
            claim = asyncio.create_task(jobs.aio.submit("report"))
            turns, longest, last = 0, 0.0, time.monotonic()
            while turns < 200:
                assert (await jobs.aio.get("a"))["progress"] == 0
                await asyncio.sleep(0)
                now = time.monotonic()
                turns, longest, last = turns + 1, max(longest, now - last), now
            assert not write.done() and not wait.done() and not claim.done()
        assert (await write)["progress"] == 50
        await claim
        await jobs.aio.update("a", status="completed")
        await wait
        assert longest < seconds(0.25), longest

    run(main())


def test_a_child_has_an_executor_and_a_bell_of_its_own(jobs):
    async def use(name):
        await jobs.aio.create(name, {"status": "running"})
        wait = asyncio.create_task(jobs.aio.wait(name, 20))
        await asyncio.sleep(0)
        await jobs.aio.update(name, status="completed")
        await wait

    run(use("parent"))
    assert in_child(lambda: run(use("child"))) == 0
    run(use("parent again"))
    assert [row["status"] for row in jobs.values()] == ["completed"] * 3
