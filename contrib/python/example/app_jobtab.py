"""Price validation in the background, its jobs in a table: app_dict.py with a few lines changed.

Any number of workers, which may be killed and restarted. See README.md.
"""

import threading
import time
import uuid

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel

import prices
from jobtab import JobStore

app = FastAPI()
jobs = JobStore("var/table")
KEEP = 3600  # seconds that a job is kept


class Run(BaseModel):
    source: str = "exchange.csv"
    label: str = ""


def validate(job_id):
    def report(progress, message):
        jobs.update(job_id, progress=progress, message=message)

    jobs.update(job_id, status="running")
    try:
        result = prices.validate(jobs[job_id]["source"], report)
        jobs.update(job_id, status="completed", progress=100, message="Done.", result=result)
    except Exception as error:
        jobs.update(job_id, status="failed", error=str(error))


def clean_up():
    while True:
        for job_id, job in list(jobs.items()):
            if job["status"] in ("completed", "failed") and job["created"] < time.time() - KEEP:
                jobs.pop(job_id, None)
        time.sleep(60)


@app.on_event("startup")
def start():
    threading.Thread(target=clean_up, daemon=True).start()
    jobs.resume(validate)


@app.post("/run", status_code=202)
def run(request: Run, tasks: BackgroundTasks):
    job_id = str(uuid.uuid4())
    jobs[job_id] = {
        "job_id": job_id, "status": "pending", "progress": 0, "message": "Waiting...",
        "result": None, "error": None, "created": time.time(), **request.dict(),
    }  # fmt: skip
    tasks.add_task(validate, job_id)
    return {"job_id": job_id}


@app.get("/status/{job_id}")
def status(job_id: str):
    if job_id not in jobs:
        raise HTTPException(404, f"there is no job {job_id}")
    return jobs[job_id]
