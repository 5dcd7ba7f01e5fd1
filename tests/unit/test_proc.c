/* test_proc.c - what /proc has on a process: proc.c. */
#include "config.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/jobtabd/proc.h"

#define BOUND 60000 /* ms */

static const char ours[] = "JOBTAB_OWNER=0123456789abcdef";

static pid_t start(char *const words[], char *const environment[])
{
    pid_t pid = fork();

    if (pid == 0) {
        execve(words[0], words, environment);
        _exit(1);
    }
    assert_true(pid > 0);
    return pid;
}

/* A process that goes from one program to the next, all the time. */
static pid_t start_going(char *const environment[])
{
    char again[] = "exec /bin/sh -c \"$0\" \"$0\"";
    char *words[] = {"/bin/sh", "-c", again, again, NULL};

    return start(words, environment);
}

/* A process that rests, once it does: what was forked is still this program for a moment. */
static pid_t start_resting(char *const environment[])
{
    char *words[] = {"/bin/sleep", "600", NULL};
    struct process process = {.pid = 0};
    pid_t pid = start(words, environment);

    for (int tries = 0; strcmp(process.name, "sleep") != 0; tries++) {
        assert_true(tries < BOUND && proc_read(pid, &process));
        poll(NULL, 0, 1);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What is said of it once something can be. */
static enum proc_answer answer_of(pid_t pid)
{
    enum proc_answer answer;

    for (int tries = 0; (answer = proc_was_given(pid, ours)) == PROC_NOT_NOW; tries++) {
        assert_true(tries < BOUND);
        poll(NULL, 0, 1);
    }
    return answer;
}

static void await(pid_t pid, enum proc_answer answer)
{
    for (int tries = 0; proc_was_given(pid, ours) != answer; tries++) {
        assert_true(tries < BOUND);
        poll(NULL, 0, 1);
    }
}

/* How often each answer is given within two seconds, from the first that was as expected on. */
static void count_answers(pid_t pid, enum proc_answer expected, size_t counts[3])
{
    struct timespec now;

    await(pid, expected);
    memset(counts, 0, 3 * sizeof *counts);
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (time_t until = now.tv_sec + 2; now.tv_sec < until;) {
        counts[proc_was_given(pid, ours)]++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
}

static void what_a_process_was_given_is_told_or_cannot_be_told_now(void **state)
{
    char *environment[] = {"A=1", (char *)(uintptr_t)ours, NULL};
    pid_t pid = start_going(environment);
    size_t counts[3];

    (void)state;
    count_answers(pid, PROC_YES, counts);
    end(pid);
    assert_true(counts[PROC_YES] > 0);
    assert_int_equal(counts[PROC_NO], 0);
}

static void what_it_was_not_given_is_no(void **state)
{
    char *others[] = {"JOBTAB_OWNER=0123456789abcde", "JOBTAB_OWNER=0123456789abcdef0", NULL};
    pid_t pid = start_going(others);
    size_t counts[3];

    (void)state;
    count_answers(pid, PROC_NO, counts);
    end(pid);
    assert_int_equal(counts[PROC_YES], 0);
}

static void one_that_rests_without_any_is_no_and_so_is_one_that_is_gone(void **state)
{
    char *none[] = {NULL};
    pid_t pid = start_resting(none);
    siginfo_t info;

    (void)state;
    assert_int_equal(answer_of(pid), PROC_NO);
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(proc_was_given(pid, ours), PROC_NO); /* a zombie */
    end(pid);
    assert_int_equal(proc_was_given(pid, ours), PROC_NO);
}

static void an_environment_of_many_pages_is_searched_to_its_end(void **state)
{
    static char big[60000];
    char *environment[] = {big, (char *)(uintptr_t)ours, NULL};

    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[1] = '=';
    pid_t pid = start_resting(environment);
    await(pid, PROC_YES);
    end(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_process_was_given_is_told_or_cannot_be_told_now),
        cmocka_unit_test(what_it_was_not_given_is_no),
        cmocka_unit_test(one_that_rests_without_any_is_no_and_so_is_one_that_is_gone),
        cmocka_unit_test(an_environment_of_many_pages_is_searched_to_its_end),
    };
    return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
