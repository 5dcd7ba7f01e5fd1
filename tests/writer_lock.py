"""The table's writer lock, held by another process for as long as a test wants."""

import subprocess
import sys

from conftest import seconds

# A process of its own that takes the table's writer lock and keeps it: begins a write transaction.
HOLDER = """
import ctypes, sys
lmdb = ctypes.CDLL("liblmdb.so.0")
env, txn = ctypes.c_void_p(), ctypes.c_void_p()
NOTLS, RDWR = 0x200000, 0
def must(rc):
    if rc:
        lmdb.mdb_strerror.restype = ctypes.c_char_p
        sys.exit(lmdb.mdb_strerror(rc).decode())
must(lmdb.mdb_env_create(ctypes.byref(env)))
must(lmdb.mdb_env_set_maxdbs(env, 32))
must(lmdb.mdb_env_open(env, sys.argv[1].encode(), NOTLS, 0o600))
must(lmdb.mdb_txn_begin(env, None, RDWR, ctypes.byref(txn)))
print("held", flush=True)
sys.stdin.readline()
lmdb.mdb_txn_abort(txn)
lmdb.mdb_env_close(env)
"""


class WriterLock:
    """with WriterLock(table): no process can write to the table."""

    def __init__(self, table):
        self.table = table

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.table)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "held\n"
        return self

    def __exit__(self, *_):
        self.process.communicate("\n", timeout=seconds(10))
        assert self.process.returncode == 0
