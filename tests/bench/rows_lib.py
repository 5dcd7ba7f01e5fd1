"""libjobtab itself, without a server: reports by many processes, reads of one job among many."""
import rows_http
from harness import Goal, Row, Sample, Side

LMDB = "MDB_NOTLS, default mode: durable when a commit returns"
TURN = 16    # reads that share a snapshot, as in a turn of an event loop


def reports(which, processes):
    def measure(bench, folder):
        fresh = bench.fresh(folder, f"{which}-{processes}")
        run = bench.run([bench.program("tests/bench/lib_reports"), which, fresh, str(processes),
                         str(bench.seconds)])
        said = run.json
        return Sample(said["rate"], "reports/s",
                      note=f"{said['fewest']} to {said['most']} a process, the slowest "
                           f"{said['slowest_ms']:.0f} ms")
    return measure


def reporters(processes):
    return Side(f"{processes} processes" if processes > 1 else "1 process",
                reports("jobtab", processes),
                "256 running jobs; each process reports on its own by jobtab_report")


def get(which, table_of, reads=1):
    def measure(bench, _):
        run = bench.run([bench.program("tests/bench/lib_get"), which, table_of(bench), str(reads),
                         str(bench.seconds)])
        return Sample(run.json["ns"], "ns")
    return measure


def many(bench):
    """The table that the rows over HTTP read, too."""
    return rows_http.hundred_thousand(bench)["table"]


def get_while_written(bench, folder):
    with rows_http.reports_written(bench, rows_http.busy_table(bench)) as said:
        sample = get("jobtab", rows_http.busy_table)(bench, folder)
    sample.note = f"{said['rate']:.0f} reports/s meanwhile"
    return sample


ROWS = [
    Row("lib-reports", "durable reports, each process with one in flight",
        sides=[reporters(1), reporters(4), reporters(16), reporters(64),
               Side("raw LMDB", reports("mdb", 1),
                    f"{LMDB}; one process, one put a commit of the same value into one database "
                    "of the same 256 values"),
               Side("raw LMDB, with a feed", reports("mdb-feed", 1),
                    "the same, and one put that appends the change to a second database")],
        goals=[Goal("64 processes", "1 process", at_least=20),
               Goal("1 process", "raw LMDB", at_least=0.95)]),
    Row("lib-get", f"one job of {rows_http.JOBS:,} at random, in one process",
        sides=[Side("jobtab_get", get("jobtab", many), "snapshot, every field usable, released"),
               Side("mdb_get", get("mdb", many),
                    "MDB_RDONLY|MDB_NOTLS on the same file: renew, mdb_get of the same record, its "
                    "bytes copied, reset"),
               Side("jobtab_get while written", get_while_written,
                    f"another process writes {rows_http.REPORTS:,} reports a second meanwhile")],
        goals=[Goal("jobtab_get", "mdb_get", at_most=1.5),
               Goal("jobtab_get while written", "jobtab_get", at_most=1.25)],
        better="lower"),
    Row("lib-get-turn", f"the same, {TURN} reads a snapshot",
        sides=[Side("jobtab_get", get("jobtab", many, TURN), "between jobtab_hold and jobtab_rest"),
               Side("mdb_get", get("mdb", many, TURN), "one renew and reset")],
        goals=[Goal("jobtab_get", "mdb_get", at_most=1.5)],
        better="lower"),
]
