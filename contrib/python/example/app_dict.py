"""Price validation in the background, as it is often written: jobs in a global dictionary.

Works with one worker that never restarts. See README.md for what breaks, and app_jobtab.py.
"""

import threading
import time
import uuid

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel

import prices

app = FastAPI()
jobs: dict[str, dict] = {}
KEEP = 3600  # seconds that a job is kept


class Run(BaseModel):
    source: str = "exchange.csv"
    label: str = ""


def validate(job_id):
    def report(progress, message):
        jobs[job_id].update(progress=progress, message=message)

    jobs[job_id].update(status="running")
    try:
        result = prices.validate(jobs[job_id]["source"], report)
        jobs[job_id].update(status="completed", progress=100, message="Done.", result=result)
    except Exception as error:
        jobs[job_id].update(status="failed", error=str(error))


def clean_up():
    while True:
        for job_id, job in list(jobs.items()):
            if job["status"] in ("completed", "failed") and job["created"] < time.time() - KEEP:
                jobs.pop(job_id, None)
        time.sleep(60)


@app.on_event("startup")
def start():
    threading.Thread(target=clean_up, daemon=True).start()


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
