/* fixture.h - what the library's unit tests share: a table in a directory of its own. */
#ifndef FIXTURE_H
#define FIXTURE_H

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobtab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    struct jobtab *table;
};

/* cmocka's setup and teardown: a new table with the default bounds, removed at the end. */
int fixture_open(void **state);
int fixture_close(void **state);
/* A directory only; close with fixture_close. */
int fixture_directory(void **state);

/* Open the fixture's table with `options`, NULL for the defaults. */
void fixture_reopen(struct fixture *f, const struct jobtab_options *options);

/* Submit a job of `kind`; returns it. */
struct jobtab_job submit(struct fixture *f, const char *kind);
/* Claim the next one of `kind`. */
struct jobtab_job claim(struct fixture *f, const char *kind, struct jobtab_token *token);
struct jobtab_job get(struct fixture *f, const struct jobtab_id *id);
int finish(struct fixture *f, const struct jobtab_id *id, const struct jobtab_token *token,
           enum jobtab_outcome outcome);

/* verify finds nothing; every test that writes ends with it. */
void assert_sound(struct fixture *f);
void assert_ok(int rc);

/* A duration that is long enough on this run's machine: `ms` times JOBTAB_TEST_SLOW. */
int64_t slowed(int64_t ms);

/* Run `body` in a forked child; its return value is the exit code. */
int in_child(int (*body)(void *context), void *context);

#endif
