"""Every server of the benchmark: how it is set up, started and stopped.

All settings stand here. Each server is on loopback TCP, writes its data into the folder it is
given, logs no requests, and has as many processes as it can use of WORKERS.
"""
import contextlib
import http.client
import io
import os
import pwd
import re
import subprocess

from harness import CannotRun, Failed, answers, cpu_seconds, free_port, running

WORKERS = 2
VALUE_SIZE = 300  # bytes of a value or a message: about as many as a job's record and parameters

JOBTABD = """worker_processes = {workers}
runner_processes = {runners}
user = "{user}"
pid_file = "{folder}/jobtabd.pid"
error_log = "stderr"
access_log = "off"
default_kind = "noop"
listen "127.0.0.1:{port}" {{ }}
table "{table}" {{ map_size = {map_size}  max_jobs = {max_jobs} }}
{kinds}
"""
ROOM = {"map_size": "8g", "max_jobs": 20_000_000}
NOOP = 'kind "noop" { command = {"/bin/true"} }'

REDIS = {"save": "", "appendonly": "yes", "appendfsync": "always",
         "auto-aof-rewrite-percentage": "0"}
REDIS_MEMORY = {"save": "", "appendonly": "no"}

NGINX = (f"worker_processes {WORKERS}, lua_shared_dict 256m, access_log off: "
         "tests/bench/nginx.conf.in")

BEANSTALKD = ["-b", "{folder}", "-f0"]

# Of npm, fetched at the first run into the cache; scripts of packages are not run.
BULLMQ = ["bullmq@6.7.0", "ioredis@5.11.1"]

DEBIAN_PYTHON = "/usr/bin/python3"  # the one that Debian's python3-fastapi is for
UVICORN = ["--workers", "1", "--no-access-log", "--log-level", "warning"]
UVICORN_LOOPS = {  # what apt-get install uvicorn brings; what it can be given besides
    "plain": ["--loop", "asyncio", "--http", "h11"],
    "fast": ["--loop", "uvloop", "--http", "httptools"],
}


def user():
    return pwd.getpwuid(os.getuid()).pw_name


def words(settings):
    """Settings of redis as its command line has them."""
    return [word for key, value in settings.items() for word in (f"--{key}", value)]


def told(settings):
    return "redis-server " + " ".join(word or '""' for word in words(settings))


def jobtabd_told(runners=0):
    room = " ".join(f"{key}={value}" for key, value in ROOM.items())
    return (f"worker_processes={WORKERS} runner_processes={runners} access_log=off {room}; all "
            "else as by default, answered after the commit is on disk")


def ready(port):
    """jobtabd's listeners are open before the workers are: ask until one says it is ready."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        client.request("GET", "/readyz")
        return client.getresponse().status == 200
    return False


@contextlib.contextmanager
def jobtabd(bench, folder, table, runners=0, kinds=NOOP):
    """jobtabd on `table`; its files go to `folder`. Yields port, process."""
    port = free_port()
    conf = os.path.join(folder, "jobtabd.conf")
    with open(conf, "w") as out:
        out.write(JOBTABD.format(workers=WORKERS, runners=runners, folder=folder, port=port,
                                 table=table, kinds=kinds, user=user(), **ROOM))
    argv = [bench.program("jobtabd"), "-c", conf]
    with running("jobtabd", argv, folder, lambda: ready(port)) as process:
        yield port, process


@contextlib.contextmanager
def redis(bench, folder, settings):
    """redis-server with its data in `folder`. Yields port, process."""
    port = free_port()
    argv = [bench.tool("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1",
            "--dir", folder, *words(settings)]
    with running("redis", argv, folder, lambda: answers(port)) as process:
        yield port, process


def fill_redis(bench, port, keys, value):
    """redis-benchmark's own keys, `keys` of them."""
    commands = io.BytesIO()
    for i in range(keys):
        commands.write(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n"
                       % (i, len(value), value))
    done = subprocess.run([bench.tool("redis-cli", "redis-tools"), "-p", str(port), "--pipe"],
                          input=commands.getvalue(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0 or b"errors: 0" not in done.stdout:
        raise Failed(f"redis-cli --pipe: {done.stdout.decode()[-500:]}")


def redis_misses(bench, port):
    """GETs that found nothing."""
    done = subprocess.run([bench.tool("redis-cli", "redis-tools"), "-p", str(port), "info",
                           "stats"], stdout=subprocess.PIPE, check=True, text=True)
    return int(re.search(r"keyspace_misses:(\d+)", done.stdout)[1])


@contextlib.contextmanager
def nginx(bench, folder, ids, body):
    """nginx that answers /status/{id} with the bytes of `body` for every id of the file `ids`."""
    program = bench.tool("nginx", "nginx")
    port = free_port()
    values = {"user": user(), "workers": WORKERS, "folder": folder, "port": port, "ids": ids,
              "body": body}
    with open(os.path.join(bench.source, "nginx.conf.in")) as text:
        conf = re.sub("@([a-z]+)@", lambda name: str(values[name[1]]), text.read())
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w") as out:
        out.write(conf)
    argv = [program, "-c", path, "-p", folder]
    with running("nginx", argv, folder, lambda: answers(port)) as process:
        yield port, process


def fastapi_told(loop):
    return (f"{DEBIAN_PYTHON} -m uvicorn {' '.join(UVICORN + UVICORN_LOOPS[loop])}; a dictionary "
            "behind asyncio.Lock: tests/bench/fastapi_app.py")


@contextlib.contextmanager
def fastapi(bench, folder, loop, ids, body):
    """The application of fastapi_app.py, with every id of the file `ids`."""
    port = free_port()
    argv = [DEBIAN_PYTHON, "-m", "uvicorn", "--app-dir", bench.source, "--host", "127.0.0.1",
            "--port", str(port), *UVICORN, *UVICORN_LOOPS[loop], "fastapi_app:app"]
    env = {"JOBTAB_BENCH_IDS": ids, "JOBTAB_BENCH_BODY": body, "PYTHONDONTWRITEBYTECODE": "1"}
    with running("uvicorn", argv, folder, lambda: answers(port), env) as process:
        yield port, process


def beanstalkd_told():
    return "beanstalkd " + " ".join(BEANSTALKD).format(folder="DIR")


@contextlib.contextmanager
def beanstalkd(bench, folder):
    """beanstalkd with its log in `folder`. Yields port, process."""
    port = free_port()
    argv = [bench.tool("beanstalkd", "beanstalkd"), "-l", "127.0.0.1", "-p", str(port),
            *(word.format(folder=folder) for word in BEANSTALKD)]
    with running("beanstalkd", argv, os.path.dirname(folder), lambda: answers(port)) as process:
        yield port, process


def bullmq_told():
    return (f"{told(REDIS)}; {' '.join(BULLMQ)}, one Queue, 64 adds in flight, jobs are kept: "
            "tests/bench/bullmq.js")


def bullmq_modules(bench):
    """Where npm put bullmq."""
    folder = bench.cache("-".join(["npm", *BULLMQ]))
    modules = os.path.join(folder, "node_modules")
    if not os.path.exists(os.path.join(folder, "complete")):
        npm = bench.tool("npm", "npm")
        argv = [npm, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund",
                "--loglevel=error", *BULLMQ]
        try:
            bench.run(argv, cwd=folder)
        except Failed as reason:
            raise CannotRun(f"npm cannot fetch {' '.join(BULLMQ)}: {reason}") from None
        open(os.path.join(folder, "complete"), "w").close()
    return modules


@contextlib.contextmanager
def bare_h2o(bench, status, answer):
    """libh2o alone: every request is answered with `status` and what the file `answer` has.
    Yields port, process."""
    argv = [bench.program("tests/bench/bare_h2o"), str(WORKERS), str(status), answer]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield int(process.stdout.readline()), process
        process.stdin.close()  # it ends with its input


def spent(process, before, operations):
    """Microseconds of the server's processor time an operation, since cpu_seconds was `before`."""
    return (cpu_seconds(process.pid) - before) / max(operations, 1) * 1e6
