"""README's section "The same job": what it shows in four languages runs as it stands there."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import BUILD, TOP, seconds

LIBRARY = BUILD / ".libs/libjobtab.so.0"


def blocks():
    """[(language, text)] of the section; only the place of table and daemon is this test's."""
    text = (TOP / "README.md").read_text()
    section = re.search(r"^## The same job$(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not section:
        pytest.skip("README.md has no section \"The same job\"")
    return re.findall(r"^```(\w+)\n(.*?)^```$", section.group(1), re.M | re.S)


@pytest.fixture
def here(daemon, private):
    """Runs a block against a daemon that validates the sample prices; what it printed."""
    d = daemon(
        kinds={
            "validate": {
                "command": [str(BUILD / "jobtab-validate")],
                "table": True,
                "children": 1,
                "input_root": str(TOP / "conf/prices"),
            }
        }
    )

    def run(words, text, suffix):
        text = text.replace("localhost:8080", f"127.0.0.1:{d.port}")
        file = private / f"job{suffix}"
        file.write_text(text.replace("var/table", str(d.table)))
        done = subprocess.run(
            [*words, file],
            capture_output=True,
            text=True,
            timeout=seconds(30),
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("JOBTAB_")},
                "PATH": f"{BUILD}:{os.environ['PATH']}",
                "JOBTAB_TABLE": str(d.table),
                "JOBTAB_LIBRARY": str(LIBRARY),
                "PYTHONPATH": str(TOP / "contrib/python"),
            },
        )
        assert done.returncode == 0, done
        return done.stdout

    run.daemon = d
    return run


def one_job(daemon):
    """The only job that there is: submitted by the block, and completed."""
    (job,) = daemon.http.get("/jobs").json()["jobs"]
    assert (job["kind"], job["status"]) == ("validate", "completed")
    return daemon.job(job["job_id"])


@pytest.mark.parametrize("which", range(4), ids=["curl", "python", "c", "shell"])
def test_a_block_submits_follows_and_prints_the_result(here, private, which):
    found = blocks()
    assert [language for language, _ in found] == ["sh", "python", "c", "sh"]
    text = found[which][1]
    if which in (1, 2) and not LIBRARY.exists():
        pytest.skip("this build has no shared library")
    if which == 0:
        for tool in ("curl", "jq"):
            shutil.which(tool) or pytest.skip(f"{tool} is missing: apt-get install {tool}")
    if which == 1:
        printed = here([sys.executable], text, ".py")
    elif which == 2:
        shutil.which("cc") or pytest.skip("cc is missing: apt-get install gcc")
        script = private / "build-and-run"
        script.write_text(
            "#!/bin/sh\nset -e\n"
            f'cc -Wall -Werror -I{TOP}/include -o {private}/job "$1" -L{BUILD}/.libs -ljobtab '
            f"-Wl,-rpath,{BUILD}/.libs\nexec {private}/job\n"
        )
        printed = here(["sh", str(script)], text, ".c")
    else:
        printed = here(["sh"], text, ".sh")
    job = one_job(here.daemon)
    assert job["result"]["verdict"] in ("passed", "failed")
    last = printed.strip().splitlines()[-1]
    shown = ast.literal_eval(last) if which == 1 else json.loads(last)  # Python prints a dictionary
    assert shown == job["result"]
    assert len(printed.strip().splitlines()) > 1  # it was followed
