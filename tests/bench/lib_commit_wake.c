/* lib_commit_wake.c - what a job's first instruction can at best wait for: one durable commit and
 * one futex wake.
 *
 *   lib_commit_wake DIR SECONDS PAUSE_MS
 *
 * One process puts a value of 300 bytes into a plain LMDB database in DIR (made), commits, and
 * wakes another that waits on a futex; from before the commit to the other's first instruction
 * after its wait is one sample. Between two samples there is a pause, in which all are asleep as in
 * an idle daemon. Prints one line of JSON. */
#include "config.h"

#include "lib.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 100000
#define VALUE   300

struct shared {
    _Atomic uint32_t rung;  /* futex: counts */
    _Atomic uint32_t heard; /* futex: the last ring that was heard */
    _Atomic uint64_t heard_ns;
};

static void wait_while(_Atomic uint32_t *word, uint32_t value)
{
    while (*word == value)
        syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void listen_to(struct shared *shared)
{
    for (uint32_t seen = 0;; seen++) {
        wait_while(&shared->rung, seen);
        shared->heard_ns = now_ns();
        shared->heard = seen + 1;
        wake(&shared->heard);
    }
}

static void commit(MDB_env *env, MDB_dbi db, uint64_t number)
{
    static char bytes[VALUE];
    uint64_t big_endian = __builtin_bswap64(number);
    MDB_val key = {sizeof big_endian, &big_endian}, value = {sizeof bytes, bytes};
    MDB_txn *txn;

    memcpy(bytes, &number, sizeof number);
    must_mdb(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    must_mdb(mdb_put(txn, db, &key, &value, MDB_APPEND), "put");
    must_mdb(mdb_txn_commit(txn), "commit");
}

int main(int argc, char **argv)
{
    static uint64_t samples[SAMPLES];
    struct timespec pause = {0};
    MDB_txn *txn;
    MDB_dbi db;
    size_t n = 0;

    if (argc != 4)
        die("usage: lib_commit_wake DIR SECONDS PAUSE_MS");
    double seconds = seconds_of(argv[2]);
    pause.tv_nsec = strtol(argv[3], NULL, 10) * 1000000;
    if (pause.tv_nsec < 0 || pause.tv_nsec > 999000000)
        die("PAUSE_MS: 0 to 999");
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    pid_t listener = fork();
    if (listener < 0)
        die("fork: %s", strerror(errno));
    if (listener == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        listen_to(shared);
    }
    MDB_env *env = open_mdb(argv[1], 0);
    must_mdb(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    must_mdb(mdb_dbi_open(txn, "values", MDB_CREATE, &db), "values");
    must_mdb(mdb_drop(txn, db, 0), "values");
    must_mdb(mdb_txn_commit(txn), "commit");

    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && n < SAMPLES) {
        nanosleep(&pause, NULL);
        uint64_t before = now_ns();
        commit(env, db, n);
        uint32_t ring = ++shared->rung;
        wake(&shared->rung);
        wait_while(&shared->heard, ring - 1);
        samples[n++] = shared->heard_ns - before;
    }
    kill(listener, SIGKILL);
    waitpid(listener, NULL, 0);
    mdb_env_close(env);
    if (n == 0)
        die("no sample");
    double p50 = (double)percentile(samples, n, 50) / 1e3;
    printf("{\"samples\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", n, p50,
           (double)percentile(samples, n, 99) / 1e3);
    return 0;
}
