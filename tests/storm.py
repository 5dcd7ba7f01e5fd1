"""Many clients at once (tests/system/storm.c), each logging what it asked and what was answered."""

import subprocess
from signal import SIGUSR1

from conftest import BUILD, seconds


def patience(requests):
    return int(seconds(40 + requests / 500))


def storm_command(
    table, events, *, program="storm", port=0, clients=64, requests, seed=1, at_most=None,
    kinds="warm", empty=False,
):  # fmt: skip
    bound = int(seconds(at_most)) if at_most else patience(requests)
    return [
        str(BUILD / "tests/system" / program),
        *("-d", str(table), "-e", str(events), "-p", str(port), "-c", str(clients)),
        *("-n", str(requests), "-t", str(bound), "-s", str(seed), "-k", kinds),
        *(["-x"] if empty else []),
    ]


def storm(table, events, *, requests=4000, **more):
    """The clients' exit code and what they printed."""
    ran = subprocess.run(
        storm_command(table, events, requests=requests, **more),
        capture_output=True,
        text=True,
        timeout=patience(requests) + seconds(30),
    )
    return ran.returncode, ran.stdout + ran.stderr


class Storm:
    """Clients that go on until they are told to end: what happens to them meanwhile meets them at
    work, however fast the machine is."""

    def __init__(self, table, events, *, at_most=90, **more):
        self.bound = at_most + 30
        self.process = subprocess.Popen(
            storm_command(table, events, requests=10**8, at_most=at_most, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def running(self):
        return self.process.poll() is None

    def end(self):
        """The exit code and what they printed, after the rest of the jobs is worked off."""
        if self.running():
            self.process.send_signal(SIGUSR1)
        text, _ = self.process.communicate(timeout=seconds(self.bound))
        return self.process.returncode, text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
