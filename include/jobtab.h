/* jobtab.h - a job table that many processes share.
 *
 * A job is submitted by one process, worked by another, and any process reads its state,
 * progress, message and result: through crashes, restarts and upgrades. The table is a
 * directory; every process that opens it has the same view of it.
 *
 * What holds for every function here:
 *
 * - Return: JOBTAB_OK (0) or one of enum jobtab_error. jobtab_why() tells the rest: what
 *   failed, on what, and why. Outputs are untouched on any error unless said otherwise.
 * - Ownership: structs are the caller's and own no memory, unless a comment says to free.
 * - Durability: a call that changes the table returns after its commit is on disk. Calls that
 *   wait at the same time, in whatever process, share one commit: one of them leads and applies
 *   what all have queued, each with its own result. If the leader is killed, at any instruction,
 *   each operation is done once or not at all, and the next one goes on. The operation of a
 *   caller that is killed while it waits may still be done.
 * - Disks fail: when a commit fails (an I/O error, a disk that is full beyond all reserve) its
 *   callers get JOBTAB_BROKEN, in whatever process; each operation is done once or not at all, and
 *   nobody was told. Such a handle is of no use but to be closed; the process may open the table
 *   again at once. Reads of other handles go on. The next change, of whoever, undoes what the
 *   commit left in the file, makes sure that all of the file is on disk and can be read, and
 *   verifies it; until the disk lets it, changes get JOBTAB_SYSTEM (JOBTAB_FULL) and change
 *   nothing. If faults are found all changes get JOBTAB_DAMAGED, until nobody has the table open
 *   and it was repaired or replaced. The file is read through a map: a page of it that cannot be
 *   read ends the process with SIGBUS. A disk without room refuses submits with JOBTAB_FULL while a
 *   reserve of 1 MiB (less, where the map is small) is left for what ends jobs. Ignore SIGXFSZ
 *   where file sizes are limited.
 * - Stopping: a process that is stopped (SIGSTOP, a debugger) while it leads holds all writers up.
 *   Those that wait look after half a second, and end it with SIGKILL if it stays stopped; those
 *   that wait to open do so with one that is stopped while it opens. One that is stopped inside a
 *   read keeps what becomes free from being used again, and the file grows: see jobtab_holders;
 *   jobtabd ends such a process.
 * - Blocking: reads (get, find, read, list, stat, claimable) never wait for a writer. Calls that
 *   change the table wait for other writers and for the disk; no bound is promised.
 * - Threads: a handle may be used by any number of threads. A process opens a table once.
 * - Fork: a handle belongs to the process that opened it. In a child every call on it
 *   returns JOBTAB_FORKED and touches nothing; jobtab_close there frees the child's copy
 *   and leaves the parent's handle sound. A child opens the table for itself.
 * - Exec: no descriptor of the table survives it.
 * - Times are milliseconds: instants since 1970 UTC, 0 meaning none; durations as such.
 * - Clocks: leases and time-outs are counted on the boot clock, which nobody steps. When jobs are
 *   due or expire is told by the wall clock. Stepped forward, it makes due at once what it passes,
 *   and no finished job is deleted early; stepped back, no job waits longer for that once somebody
 *   sweeps, and finished jobs are kept longer. Versions and ids grow whatever it does.
 * - Strings are UTF-8, NUL-terminated; a length limit is in bytes without the NUL.
 * - JSON is one value of RFC 8259 in UTF-8, at most 512 levels deep. It is checked when it comes
 *   in, and kept as the bytes that came; jobtab_why() names the byte where it is none.
 */
#ifndef JOBTAB_H
#define JOBTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JOBTAB_ID_TEXT 37     /* "01935b7e-0000-7000-8000-000000000000" and NUL */
#define JOBTAB_TIME_TEXT 25   /* "2026-11-23T06:00:00.000Z" and NUL */
#define JOBTAB_TOKEN_TEXT 28  /* "attempt-random" and NUL */
#define JOBTAB_KIND_MAX 32    /* letters, digits, '.', '_' and '-' */
#define JOBTAB_MESSAGE_MAX 255
#define JOBTAB_KEY_MAX 128
#define JOBTAB_WHY_MAX 160
#define JOBTAB_PRIORITY_MAX 100 /* priorities run from -100 to 100; higher goes first */
#define JOBTAB_APPLY_MAX 4096   /* operations in one transaction */
#define JOBTAB_DURATION_MAX INT64_C(3155760000000) /* a hundred years: of delays, time-outs, ... */

struct jobtab;

/* ------------------------------------------------------------------ errors */

enum jobtab_error {
    JOBTAB_OK = 0,
    JOBTAB_NOTFOUND,   /* there is no such job */
    JOBTAB_EMPTY,      /* no job of that kind can be claimed now */
    JOBTAB_FORBIDDEN,  /* the job's state does not allow it; why names both states */
    JOBTAB_STALE,      /* the token is not the current one: another attempt has the job */
    JOBTAB_STOP,       /* done as asked, but the job is to be cancelled: stop working on it */
    JOBTAB_CONFLICT,   /* the idempotency key belongs to a different request, or the id is taken */
    JOBTAB_FULL,       /* the table is at its limit and holds no finished job to evict, or its disk is full */
    JOBTAB_INVALID,    /* an argument is out of its range; why names it */
    JOBTAB_TOOBIG,     /* params, result or message over the table's limit; why names it */
    JOBTAB_TIMEOUT,    /* the wait ended before the event */
    JOBTAB_FORKED,     /* the handle belongs to another process */
    JOBTAB_BUSY,       /* this process has the table open already */
    JOBTAB_NOTABLE,    /* there is no table in that directory, and none was to be made */
    JOBTAB_SCHEMA,     /* the table was written by an incompatible version */
    JOBTAB_DAMAGED,    /* a record, or what opening reads, is not sound, or verify found faults */
    JOBTAB_SYSTEM,     /* the system refused: open, memory, disk; why has the reason */
    JOBTAB_BROKEN,     /* an earlier commit failed with its outcome unknown: close, open again */
};

/* One line for a code; never NULL. */
const char *jobtab_strerror(int error);

/* What failed in this thread's last call, on what, and why: "priority: 700 is above 100".
 * Valid until the thread's next call; never NULL, "" after success. */
const char *jobtab_why(void);

/* ---------------------------------------------------------------- identity */

/* UUIDv7. Ids grow in the order of commits. Knowing one grants nothing. */
struct jobtab_id {
    uint8_t bytes[16];
};

/* Write the id as text. */
void jobtab_id_format(const struct jobtab_id *id, char text[JOBTAB_ID_TEXT]);
/* Read 36 characters of text, either case. JOBTAB_INVALID when it is no UUID. */
int jobtab_id_parse(const char *text, struct jobtab_id *id);

/* RFC 3339, UTC, milliseconds. */
void jobtab_time_format(int64_t time_ms, char text[JOBTAB_TIME_TEXT]);
/* The wall clock, as the table stamps its records. */
int64_t jobtab_now(void);

/* Who may speak for a running job: a claim makes it, report, renew, release, finish and log
 * need it. A later claim of the same job makes this one stale. */
struct jobtab_token {
    uint32_t attempt;
    uint64_t secret;
};

void jobtab_token_format(const struct jobtab_token *token, char text[JOBTAB_TOKEN_TEXT]);
/* JOBTAB_INVALID when the text is no token. */
int jobtab_token_parse(const char *text, struct jobtab_token *token);

/* ----------------------------------------------------------------- the job */

enum jobtab_state {
    JOBTAB_SCHEDULED,  /* waits for run_at: delayed, or between two attempts */
    JOBTAB_PENDING,    /* can be claimed */
    JOBTAB_RUNNING,    /* has an owner */
    JOBTAB_CANCELLING, /* has an owner who is told to stop */
    JOBTAB_COMPLETED,
    JOBTAB_FAILED,
    JOBTAB_CANCELLED,
};
#define JOBTAB_STATES 7
#define JOBTAB_STATE_BIT(state) (1u << (state))

/* Why a job is in its state, where that is not plain. */
enum jobtab_reason {
    JOBTAB_NO_REASON,
    JOBTAB_BY_EXIT,       /* the child ended with a code other than 0 */
    JOBTAB_BY_SIGNAL,     /* the child was killed by a signal */
    JOBTAB_BY_TIMEOUT,    /* it ran longer than its kind allows */
    JOBTAB_BY_OOM,        /* the kernel killed it for memory, or there was none for its result */
    JOBTAB_BY_SPAWN,      /* the child could not be started */
    JOBTAB_BY_OWNER_LOST, /* the process that had it died, or its lease lapsed */
    JOBTAB_BY_EXPIRED,    /* it waited longer than it may */
    JOBTAB_BY_CANCEL,     /* somebody cancelled it */
    JOBTAB_BY_INVALID,    /* its parameters or input can never work: not tried again */
};
#define JOBTAB_REASONS 10

/* "pending", "owner_lost", ...; NULL for a number that is none. "" for JOBTAB_NO_REASON. */
const char *jobtab_state_name(enum jobtab_state state);
const char *jobtab_reason_name(enum jobtab_reason reason);
/* JOBTAB_INVALID when no state has that name. */
int jobtab_state_parse(const char *name, enum jobtab_state *state);
/* Completed, failed or cancelled: nothing more happens unless an operator asks. */
bool jobtab_state_done(enum jobtab_state state);

enum jobtab_format { /* what a result's bytes are */
    JOBTAB_NONE,
    JOBTAB_JSON, /* checked when it was stored */
    JOBTAB_TEXT, /* UTF-8 */
    JOBTAB_BYTES,
};

/* Who works on a job. The kernel vouches for a local owner (pid, start time, boot id);
 * for a remote one (pid 0) only its lease does. */
struct jobtab_owner {
    int32_t pid;
    uint64_t start_time; /* field 22 of /proc/PID/stat */
    uint64_t instance;   /* random, one per jobtab_open */
};

/* One job as one snapshot has it. Its params, result and log are read with jobtab_read. */
struct jobtab_job {
    struct jobtab_id id;
    char kind[JOBTAB_KIND_MAX + 1];
    char key[JOBTAB_KEY_MAX + 1];         /* idempotency key, or "" */
    char message[JOBTAB_MESSAGE_MAX + 1]; /* the last report's */
    char error[JOBTAB_MESSAGE_MAX + 1];   /* what the last attempt failed with */
    enum jobtab_state state;
    enum jobtab_reason reason;
    int32_t priority;
    uint32_t progress; /* 0 to 100 */
    uint32_t attempt;  /* claims that count: hand-backs and lost owners do not */
    uint32_t max_attempts;
    uint32_t crashes; /* owners lost */
    uint32_t max_crashes;
    uint64_t version; /* of the job's last change; one sequence for the whole table */
    int64_t backoff;  /* before the second attempt; doubles for each one after */
    int64_t timeout;  /* of one attempt; 0 is none */
    int64_t created_at, run_at, started_at, updated_at, finished_at, expires_at;
    uint64_t params_size, result_size;
    uint64_t log_begin, log_end; /* offsets of what is kept; begin grows when old log is dropped */
    enum jobtab_format result_format;
    struct jobtab_owner owner; /* while running or cancelling; otherwise zero */
};

/* The job as the JSON object of the HTTP interface. `params` and `result` are the bytes of
 * those parts, NULL to leave the member out (a listing does). Writes at most `size` bytes and a
 * NUL, no newline; returns the length needed, as snprintf does. Never fails. */
size_t jobtab_job_json(const struct jobtab_job *job, const char *params, const char *result,
                       char *text, size_t size);

/* ------------------------------------------------------------ open and close */

/* What jobs of a kind get unless their submit says otherwise. 0 in a field: the default. */
struct jobtab_policy {
    const char *kind;
    uint32_t max_attempts; /* 1 */
    uint32_t max_crashes;  /* 3 */
    int64_t backoff;       /* 1 s */
    int64_t timeout;       /* none */
};

/* Bounds of the table. They are kept in the table, so that all who open it obey the same;
 * 0 in a field: leave what the table has, or the default if it is new. */
struct jobtab_options {
    uint64_t map_size;    /* bytes of address space and at most of disk; 1 GiB */
    uint64_t max_jobs;    /* 100,000 */
    int64_t retention;    /* of finished jobs; 24 h */
    uint64_t params_max;  /* bytes; 64 KiB */
    uint64_t result_max;  /* bytes; 1 MiB */
    uint64_t log_max;     /* bytes; 256 KiB; older log is dropped beyond it */
    uint32_t high_water;  /* percent of the map beyond which a submit is refused; 80 */
    uint32_t max_readers; /* processes x threads that read at once; 1022; fixed by the first to open */
    const struct jobtab_policy *policies; /* read during the call only */
    size_t n_policies;
    bool must_exist; /* do not make a table where none is: JOBTAB_NOTABLE */
};

/* Open the table in directory `dir`, making both if need be. `options` may be NULL: all as the
 * table has it. Waits for other openers and once for the disk. Close with jobtab_close. */
int jobtab_open(const char *dir, const struct jobtab_options *options, struct jobtab **table);

/* NULL is fine. No other thread may be inside a call. */
void jobtab_close(struct jobtab *table);

/* For a child of the daemon: open the table that the environment names (JOBTAB_TABLE). When the
 * child was started for one job, *id and *token are that job's and true goes into *has_job;
 * a warm child gets false and claims for itself, jobs of kind JOBTAB_KIND. */
int jobtab_attach(struct jobtab **table, bool *has_job, struct jobtab_id *id,
                  struct jobtab_token *token);

/* --------------------------------------------------------------- operations */

enum jobtab_verb {
    JOBTAB_SUBMIT,  /* in: submit; out: id, job, and the token if it was to be taken */
    JOBTAB_CLAIM,   /* in: claim; out: id, token, job */
    JOBTAB_REPORT,  /* in: id, token, report */
    JOBTAB_RENEW,   /* in: id, token, renew: a remote owner's lease from now on */
    JOBTAB_LOG,     /* in: id, token, log: append to the job's log */
    JOBTAB_FINISH,  /* in: id, token, finish */
    JOBTAB_RELEASE, /* in: id, token: hand it back, no attempt counted */
    JOBTAB_CANCEL,  /* in: id */
    JOBTAB_RETRY,   /* in: id: a failed or cancelled job starts over, attempts from 0 */
    JOBTAB_DELETE,  /* in: id: not while running */
    JOBTAB_TAKE,    /* in: id, lease as in claim: that very job, if it is pending; out: token, job */
    JOBTAB_RESTORE, /* in: restore; out: id, job */
};
#define JOBTAB_VERBS 12

struct jobtab_submit {
    const char *kind;
    const char *params; /* JSON text, or NULL for {} */
    size_t params_size;
    int32_t priority;
    bool take;              /* this process works on it, from the same commit on. The token is all
                               zero when the key gave a job that is not pending any more. With
                               jobtab_apply only, and without a delay */
    int64_t delay;          /* from now; 0 is at once */
    const char *key;        /* idempotency: the same key again gives the same job, or NULL */
    uint32_t max_attempts;  /* 0 in these: as the kind's policy has it */
    uint32_t max_crashes;
    int64_t backoff, timeout;
};

struct jobtab_claim {
    const char *kind;
    int64_t lease; /* 0: this process is the owner. Else the owner is remote and has this long */
};

struct jobtab_report {
    uint32_t progress;   /* 0 to 100 */
    const char *message; /* NULL keeps the last one */
};

enum jobtab_outcome {
    JOBTAB_SUCCEEDED,
    JOBTAB_TRY_AGAIN, /* failed; scheduled again if attempts are left, else failed */
    JOBTAB_GIVE_UP,   /* failed, whatever attempts are left */
    JOBTAB_STOPPED,   /* it was told to stop and did. A cancelling job is cancelled; one over
                         its time-out counts as timed out; any other is handed back */
};

struct jobtab_finish {
    enum jobtab_outcome outcome;
    enum jobtab_reason reason; /* of a failure */
    const char *error;         /* its text, or NULL; cut at JOBTAB_MESSAGE_MAX */
    const char *message;       /* NULL keeps the last report's */
    const void *result;        /* or NULL */
    size_t result_size;
    enum jobtab_format format; /* JOBTAB_JSON is checked and refused if it is none */
};

struct jobtab_bytes {
    const void *data;
    size_t size;
};

/* A job as it was, in another table or in another system. Of `job` these are not looked at:
 * version, owner, log_begin, log_end, params_size and result_size. */
struct jobtab_restore {
    const struct jobtab_job *job;
    const char *params; /* JSON text, or NULL for {} */
    size_t params_size;
    const void *result; /* of a job that has finished; job->result_format says what it is */
    size_t result_size;
    const void *log;
    size_t log_size;
    bool check_only; /* say what would become of it, and write nothing: no id, no job come out */
};

struct jobtab_op {
    enum jobtab_verb verb;
    struct jobtab_id id;
    struct jobtab_token token;
    union {
        struct jobtab_submit submit;
        struct jobtab_claim claim;
        struct jobtab_report report;
        int64_t lease; /* of JOBTAB_RENEW and JOBTAB_TAKE */
        struct jobtab_finish finish;
        struct jobtab_bytes log;
        struct jobtab_restore restore;
    };
    struct jobtab_job *job;      /* where to put the job as the operation left it, or NULL. If the
                                    leader of a shared commit died, as it is by then; of one that is
                                    deleted by then, its id alone (version 0) */
    int result;                  /* out: this operation's own JOBTAB_... */
    bool repeated;               /* out: a submit whose key had been used for the same request; a
                                    restore of a job that is in the table already */
    char why[JOBTAB_WHY_MAX];    /* out: as jobtab_why, for this operation */
};

/* Apply n operations, in order, in one durable transaction; each has its own result, and one
 * that is refused changes nothing. When the transaction itself fails, its code is returned
 * and stands in every operation: nothing was done (JOBTAB_BROKEN: nothing that anyone was
 * told of). Pointers inside the operations are read during the call only.
 *
 * A child that works on one job after another ends one and takes the next in a single call, with
 * JOBTAB_FINISH and JOBTAB_CLAIM: half the commits, and half the waiting for them. */
int jobtab_apply(struct jobtab *table, struct jobtab_op *ops, size_t n);

/* Each of these applies one operation and returns its result. `job` may be NULL. */
int jobtab_submit(struct jobtab *table, const struct jobtab_submit *submit, struct jobtab_job *job);
/* The longest-waiting job of the highest priority, or JOBTAB_EMPTY. A job that is damaged is passed
 * over, as are at most 1,000 of a kind: verify and list name them, and so does jobtab_swept. */
int jobtab_claim(struct jobtab *table, const char *kind, struct jobtab_token *token,
                 struct jobtab_job *job);
/* As jobtab_claim, of one job. JOBTAB_FORBIDDEN when it is not pending. */
int jobtab_take(struct jobtab *table, const struct jobtab_id *id, struct jobtab_token *token,
                struct jobtab_job *job);
int jobtab_report(struct jobtab *table, const struct jobtab_id *id,
                  const struct jobtab_token *token, uint32_t progress, const char *message);
int jobtab_renew(struct jobtab *table, const struct jobtab_id *id,
                 const struct jobtab_token *token, int64_t lease);
int jobtab_log(struct jobtab *table, const struct jobtab_id *id, const struct jobtab_token *token,
               const void *data, size_t size);
int jobtab_finish(struct jobtab *table, const struct jobtab_id *id,
                  const struct jobtab_token *token, const struct jobtab_finish *finish);
int jobtab_release(struct jobtab *table, const struct jobtab_id *id,
                   const struct jobtab_token *token);
int jobtab_cancel(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job);
int jobtab_retry(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job);
int jobtab_delete(struct jobtab *table, const struct jobtab_id *id);

/* Put a job into the table as it was: state, reason, times, attempts, texts, parts.
 *
 * - Its id is kept; it must be a UUIDv7 of at most a day ahead. All zero: it gets one, made from
 *   its created_at, so that it stands among the others by its age.
 * - Version and place in the queue are new, as if it had been submitted now. A running job comes
 *   back as pending and that attempt does not count: whoever worked on it is not here. A cancelling
 *   one comes back as cancelled.
 * - created_at 0 is now; so is finished_at of a finished job, unless updated_at is known;
 *   expires_at 0 is the table's retention from now. A scheduled job needs its run_at. 0 in
 *   max_attempts, max_crashes, backoff and timeout: as the kind's policy has it. What other systems
 *   do not know of a job in its state is filled in: a completed one has 100 percent, one attempt
 *   and no reason, and began, as a failed one did, when it was created; one that waits has an
 *   attempt left.
 * - Its key is kept, and gives this job to every submit that comes with it: what the first request
 *   was is not known here.
 * - No finished job is evicted for it, and it counts in no total of jobtab_stat: it happened
 *   elsewhere.
 *
 * JOBTAB_CONFLICT: the table has a job of that id (or, when the id is all zero, of that key), and
 * op.repeated is set; or another job has the key. JOBTAB_FULL, JOBTAB_TOOBIG, JOBTAB_INVALID. */
int jobtab_restore(struct jobtab *table, const struct jobtab_restore *restore,
                   struct jobtab_job *job);

/* ------------------------------------------------------------------ reading */

int jobtab_get(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job);

/* The id of the job that was submitted with this idempotency key. JOBTAB_NOTFOUND when there is
 * none: never was, or is deleted, which frees the key. */
int jobtab_find(struct jobtab *table, const char *key, struct jobtab_id *id);

/* Let this thread's reads share one snapshot, from the first of them until jobtab_rest. Each looks
 * whether it is still the newest, and takes another if not: what it shows is as new as ever, for
 * a quarter less. Meant for reads that follow each other, as in one turn of an event loop. While a
 * snapshot is held, space that changes free is not used again: rest before you wait for anything
 * else. Calls that change the table or wait for it let go by themselves. A thread that ends, or
 * a handle that is closed, must hold nothing. JOBTAB_BUSY: the thread holds another table. */
int jobtab_hold(struct jobtab *table);
void jobtab_rest(struct jobtab *table);

enum jobtab_part { JOBTAB_PARAMS = 1, JOBTAB_RESULT, JOBTAB_LOGTEXT };

/* Bytes of a part, from `offset` (for a log: since its beginning, dropped bytes counted; what
 * lies before log_begin is skipped) and at most `max` of them. *bytes is the caller's to free(),
 * NUL-terminated beyond *size, and never NULL on success; a part that is not there has size 0.
 * *offset becomes that of the first byte returned. */
int jobtab_read(struct jobtab *table, const struct jobtab_id *id, enum jobtab_part part,
                uint64_t *offset, size_t max, char **bytes, size_t *size);

/* The job, its params and its result as one snapshot has them. Free both with free(). NULL for what
 * is not wanted: it is not read. */
int jobtab_get_whole(struct jobtab *table, const struct jobtab_id *id, struct jobtab_job *job,
                     char **params, char **result);

/* The job's version alone: has it changed since it was last read? */
int jobtab_version(struct jobtab *table, const struct jobtab_id *id, uint64_t *version);

/* The same as JSON, written from the table straight into `text` as jobtab_job_json does: at most
 * `size` bytes and a NUL. *length is what is needed; when that is not below `size`, try again with
 * more. *version is the job's as it is written. Parts of up to 4,064 bytes are copied once. */
int jobtab_get_json(struct jobtab *table, const struct jobtab_id *id, char *text, size_t size,
                    size_t *length, uint64_t *version);

struct jobtab_filter {
    uint32_t states;         /* JOBTAB_STATE_BITs; 0 is all */
    const char *kind;        /* or NULL for all */
    bool oldest_first;       /* default is newest first */
    bool after_set;          /* go on behind `after`, a cursor from an earlier page */
    struct jobtab_id after;
    /* Told of each record that cannot be read, with jobtab_why() saying why; or NULL. It may not
     * change the table. */
    void (*damaged)(const struct jobtab_id *id, void *context);
    void *context;
};

/* One page of one snapshot into jobs[0..*n): at most *n of them, fewer when the table ends or when
 * 20,000 records were looked at. *more says whether another page may follow; *cursor is
 * where it begins. A record that cannot be read is left out of every page, whatever is asked for:
 * one damaged job does not hide the others. JOBTAB_DAMAGED where the file itself cannot be gone
 * through any further. */
int jobtab_list(struct jobtab *table, const struct jobtab_filter *filter, struct jobtab_job *jobs,
                size_t *n, struct jobtab_id *cursor, bool *more);

struct jobtab_kind_count {
    char kind[JOBTAB_KIND_MAX + 1];
    uint64_t states[JOBTAB_STATES];
};

struct jobtab_stat {
    uint64_t jobs, states[JOBTAB_STATES];
    uint64_t version;     /* of the newest change */
    int64_t oldest_pending; /* since when the longest-waiting pending job waits; 0: none that can be
                               read does */
    uint64_t submitted, claimed, completed, failed, cancelled, retried, owners_lost, expired,
        evicted; /* since the table was made */
    uint64_t map_size, map_used; /* bytes; free pages do not count as used */
    uint32_t readers, max_readers;
    uint32_t owners; /* processes that own a running job */
    struct jobtab_options options; /* the bounds in force; policies NULL */
    size_t n_kinds;                /* kinds with at least one job; all of them, whatever `max` */
};

/* The table at a glance, of one snapshot. At most `max` kinds go into `kinds` (may be NULL). */
int jobtab_stat(struct jobtab *table, struct jobtab_stat *stat, struct jobtab_kind_count *kinds,
                size_t max);

/* -------------------------------------------------------------- wait and keep */

/* Wait until the table has changed since version *seen, at most `timeout` ms (-1: for ever), then
 * set *seen to the newest version. A job's deletion is a change. JOBTAB_TIMEOUT leaves it. Start
 * with the version of the last read job, or 0. A signal does not end the wait. */
int jobtab_wait(struct jobtab *table, uint64_t *seen, int64_t timeout);

/* Wait until a job of `kind` can be claimed, at most `timeout` ms (-1: for ever). As many waiters
 * wake as there are new jobs; claim may still find that another was faster. Returns
 * JOBTAB_TIMEOUT early, before its time, when a signal handler ran, so that the caller can
 * look at its flags. */
int jobtab_wait_work(struct jobtab *table, const char *kind, int64_t timeout);

/* True when a job of `kind` could be claimed at this moment: as a claim has it. A read. */
int jobtab_claimable(struct jobtab *table, const char *kind, bool *claimable);

struct jobtab_swept {
    uint32_t due, expired, lost, timed_out, cancelled, readers;
    int64_t next;  /* when there will be something to do again, as far as known now; 0: unknown */
    bool more;     /* the budget ran out: call again */
    char passed_over[JOBTAB_WHY_MAX]; /* a job that is passed over, since it is damaged, and what
                                         is: by claims, at the head of a queue, or by this sweep,
                                         though its time has come; "": none was met */
};

/* Do what time asks for, in one bounded transaction of at most `budget` jobs: due jobs become
 * pending, finished ones whose retention is over are deleted, jobs whose owner is gone or
 * whose lease lapsed go back, slots of dead readers are cleared. Writes nothing when there is
 * nothing to do. Any process may call it at any time; the daemon's keeper does. */
int jobtab_sweep(struct jobtab *table, uint32_t budget, struct jobtab_swept *swept);

/* What a process has of the table that others need. */
enum jobtab_holds {
    JOBTAB_HOLDS_SNAPSHOT, /* older than the newest: space that became free since is not used again */
    JOBTAB_HOLDS_WRITER,   /* the store's own writer lock: nobody else writes */
    JOBTAB_HOLDS_READERS,  /* the lock of the list of readers: nobody else begins to read, or opens */
    JOBTAB_HOLDS_OPEN,     /* the open lock: nobody else opens */
};

struct jobtab_holder {
    enum jobtab_holds what;
    int32_t pid;
    uint64_t start_time; /* field 22 of /proc/PID/stat */
    uint64_t number;     /* which: the commit that the snapshot shows, or the thread with the lock */
    uint64_t behind;     /* a snapshot's: commits made since */
    uint64_t cpu;        /* ms of processor time that the process has had */
    bool stopped;        /* by a signal or a debugger, every thread of it */
    bool busy;           /* a thread of it runs, or waits for a disk */
};

/* Who holds what at this moment, at most *n of them; *n becomes how many there are in holders. A
 * process with several snapshots is told once, with the oldest. Waits for nobody, whoever may be
 * stopped, and takes nothing itself. One that is asked about twice, has the same what and number
 * both times, and is stopped, or neither was busy nor used the processor meanwhile, is in the
 * others' way. */
int jobtab_holders(struct jobtab *table, struct jobtab_holder *holders, size_t *n);

/* --------------------------------------------------------------- maintenance */

/* Would changes be taken now, as far as can be told without trying? JOBTAB_OK; JOBTAB_SYSTEM after
 * a commit failed and until the table has been verified; JOBTAB_DAMAGED when that found faults;
 * JOBTAB_BROKEN when this handle is to be closed and opened again. Waits for nothing, reads
 * nothing. */
int jobtab_writable(struct jobtab *table);

/* A compacted copy into directory `dir` (made; must not hold a table): written, synced, then
 * named. Writers go on meanwhile. Readers of `dir` see all of it or nothing. */
int jobtab_backup(struct jobtab *table, const char *dir);

/* Told of each fault that is found: one line, no newline. */
typedef void jobtab_fault_fn(const char *fault, void *context);

/* For who saves what can be read of a damaged table. From here on no read by this handle believes
 * what a page of the file says: what stands on a damaged one is missed, all else is found, and
 * nobody dies of it. `fault` is told of each such page once, when it is met. It reads every page
 * first; when one is damaged, reads are some times slower. Nothing can be changed:
 * JOBTAB_FORBIDDEN. */
int jobtab_careful(struct jobtab *table, jobtab_fault_fn *fault, void *context);

/* Read the whole table in one snapshot and hold every page, record, index, chunk and total against
 * the others. *faults is their number, *records what was looked at. JOBTAB_OK when it could be
 * read to its end, whatever was found. JOBTAB_DAMAGED when pages of its file are not sound: each is
 * told, and no record is looked at, since the store believes what a page says, and who reads a
 * damaged one with any other function here may die of a signal. Needs 24 bytes of memory a job.
 * `fault` and `progress` may be NULL; progress is called now and then with the records done and
 * the records there are. On any other error *records and *faults are what came before it. */
int jobtab_verify(struct jobtab *table, jobtab_fault_fn *fault,
                  void (*progress)(uint64_t done, uint64_t all, void *context), void *context,
                  uint64_t *records, uint64_t *faults);

#ifdef __cplusplus
}
#endif

#endif
