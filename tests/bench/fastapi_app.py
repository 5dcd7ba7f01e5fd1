"""Jobs in a dictionary of one process, behind a lock: what jobtab began as. uvicorn runs it.

JOBTAB_BENCH_IDS is a file of ids, JOBTAB_BENCH_BODY one job's JSON. A job is kept as what the
application changes, a dictionary, and rendered for each answer by FastAPI's own way.
"""
import asyncio
import json
import os

from fastapi import FastAPI, HTTPException

app = FastAPI()
lock = asyncio.Lock()
jobs = {}


def fill():
    with open(os.environ["JOBTAB_BENCH_BODY"]) as body:
        one = json.load(body)
    with open(os.environ["JOBTAB_BENCH_IDS"]) as ids:
        for line in ids:
            job_id = line.split()[0]
            jobs[job_id] = {**one, "job_id": job_id}


fill()


@app.get("/status/{job_id}")
async def status(job_id: str):
    async with lock:
        job = jobs.get(job_id)
    if job is None:
        raise HTTPException(404)
    return job
