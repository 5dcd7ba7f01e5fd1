"""What the tests of contrib/python share: the module, with this build's library."""

import os
import pathlib
import sys

import pytest

from conftest import BUILD, TOP

MODULE = TOP / "contrib" / "python"
EXAMPLE = MODULE / "example"
LIBRARY = pathlib.Path(os.environ.get("JOBTAB_LIBRARY") or BUILD / ".libs/libjobtab.so.0")

if not LIBRARY.exists():
    pytest.skip(f"there is no {LIBRARY}: no shared library in this build", allow_module_level=True)
if b"__asan_init" in LIBRARY.read_bytes() or b"__gcov_" in LIBRARY.read_bytes():
    pytest.skip("an instrumented library cannot be loaded into Python", allow_module_level=True)

os.environ["JOBTAB_LIBRARY"] = str(LIBRARY)
sys.dont_write_bytecode = True
if str(MODULE) not in sys.path:
    sys.path.insert(0, str(MODULE))

import jobtab  # noqa: E402


@pytest.fixture
def jobs(private):
    """A store of this test's own, of kind "job"."""
    with jobtab.JobStore(private / "table", map_size=1 << 26, sweep=0.1) as store:
        yield store


def in_child(body):
    """Run body() in a forked child: its exit code, 0 when it returned, 9 when it raised."""
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            body()
            code = 0
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"child: {type(error).__name__}: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
