"""The page of nomem.so (nomem.h), from the outside: which process's allocations fail, and what came of it."""

import mmap
import struct

from conftest import BUILD

SO = BUILD / "tests/crash/limit/nomem.so"
FORM = struct.Struct("=iiqqqq16s600s")
COUNT = -1


class NoMem:
    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def environment(self):
        return {"LD_PRELOAD": str(SO), "JOBTAB_NOMEM": str(self.path)}

    def wrapper(self):
        """Words before a command."""
        return ["/usr/bin/env", *(f"{k}={v}" for k, v in self.environment().items())]

    def arm(self, at, forever=False, pid=0, comm=""):
        """The allocation number `at` of that process fails, or of all whose name begins so."""
        values = (0, forever, 0, 0, 0, 0, comm.encode(), b"")
        self.page[: FORM.size] = FORM.pack(*values)
        struct.pack_into("=i", self.page, 0, pid)
        struct.pack_into("=q", self.page, 8, at)  # last: now it counts

    def disarm(self):
        struct.pack_into("=q", self.page, 8, 0)

    @property
    def seen(self):
        return FORM.unpack_from(self.page)[3]

    @property
    def failed(self):
        return FORM.unpack_from(self.page)[4]

    @property
    def where(self):
        return FORM.unpack_from(self.page)[7].split(b"\0")[0].decode()
