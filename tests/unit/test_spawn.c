/* test_spawn.c - a spawned program has what it is given and nothing of ours. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/jobtabd/spawn.h"

/* Runs a shell script with its output in `output`; returns its exit code. */
static int run(const char *script, char *output, size_t size)
{
    char *argv[] = {"sh", "-c", (char *)script, NULL}, *envp[] = {"A=b", NULL};
    struct spawn spawn = {.program = "/bin/sh", .argv = argv, .envp = envp};
    const char *step = "";
    int ends[2], null = open("/dev/null", O_RDWR), status;
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    memcpy(spawn.fds, (int[4]){null, ends[1], null, -1}, sizeof spawn.fds);
    if (spawn_program(&spawn, &pid, &step) < 0)
        fail_msg("%s: %s", step, strerror(errno));
    close(ends[1]);
    close(null);
    while (used < size - 1 && (n = read(ends[0], output + used, size - 1 - used)) > 0)
        used += (size_t)n;
    output[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void exit_code_and_environment_arrive(void **state)
{
    char output[4096];

    (void)state;
    assert_int_equal(run("exit 7", output, sizeof output), 7);
    /* PWD is the shell's own doing. */
    assert_int_equal(run("env | grep -v ^PWD=", output, sizeof output), 0);
    assert_string_equal(output, "A=b\n");
}

static void only_the_given_descriptors_are_open(void **state)
{
    char output[4096];
    int leaks[] = {open("/dev/null", O_RDONLY), fcntl(0, F_DUPFD, 200)};

    (void)state;
    /* ls has one open itself: the folder that it lists, the lowest that is free. */
    assert_int_equal(run("ls /proc/self/fd", output, sizeof output), 0);
    assert_string_equal(output, "0\n1\n2\n3\n");
    for (size_t i = 0; i < sizeof leaks / sizeof *leaks; i++)
        close(leaks[i]);
}

static void signals_are_as_if_nobody_had_touched_them(void **state)
{
    char output[4096];
    sigset_t some, before;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &some, &before);
    int code = run("cat /proc/self/status | grep -E '^Sig(Blk|Ign|Cgt)' | tr -d '\\t\\n '",
                   output, sizeof output);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    assert_int_equal(code, 0);
    /* 32 and 33 are the C library's own; make(1) starts its children with them ignored. */
    char *internal = strstr(output, "SigIgn:0000000180000000");
    if (internal)
        memset(internal + strlen("SigIgn:"), '0', 16);
    assert_string_equal(output, "SigBlk:0000000000000000SigIgn:0000000000000000"
                                "SigCgt:0000000000000000");
}

static void child_leads_a_group_of_its_own(void **state)
{
    char output[4096];

    (void)state;
    assert_int_equal(run("set -- $(cat /proc/$$/stat); test $$ = $5 && test $6 != $$", output,
                         sizeof output), 0);
}

static void failing_exec_is_told_and_leaves_nothing(void **state)
{
    static const struct {
        const char *program;
        int error;
    } rows[] = {{"/nonexistent/program", ENOENT}, {"/dev/null", EACCES}, {"/", EACCES}};
    char *argv[] = {"x", NULL}, *envp[] = {NULL};
    int null = open("/dev/null", O_RDWR), next = dup(null), after;

    (void)state;
    close(next);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct spawn spawn = {.program = rows[i].program, .argv = argv, .envp = envp,
                              .fds = {null, null, null, null}};
        const char *step = "";
        pid_t pid = -1;
        errno = 0;
        assert_int_equal(spawn_program(&spawn, &pid, &step), -1);
        assert_int_equal(errno, rows[i].error);
        assert_string_equal(step, "exec");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        after = dup(null); /* no descriptor was left open */
        assert_int_equal(after, next);
        close(after);
    }
    close(null);
}

/* Descriptors 0 to 3 handed over crosswise: each must land where it is asked for. */
static void descriptors_may_be_given_in_any_order(void **state)
{
    char *argv[] = {"sh", "-c", "echo one; echo two >&2; echo three >&3", NULL}, *envp[] = {NULL};
    struct spawn spawn = {.program = "/bin/sh", .argv = argv, .envp = envp};
    char folder[] = "/tmp/jobtab-spawn-XXXXXX", path[64], text[16];
    static const char *const wanted[] = {NULL, "one\n", "two\n", "three\n"};
    int files[4], saved[4];
    const char *step = "";
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%d", folder, i);
        files[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(files[i] >= 0);
    }
    for (int i = 0; i < 4; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 20);
        dup2(files[3 - i], i);
        spawn.fds[3 - i] = i;
    }
    int started = spawn_program(&spawn, &pid, &step);
    for (int i = 0; i < 4; i++) {
        if (saved[i] < 0) {
            close(i);
        } else {
            dup2(saved[i], i);
            close(saved[i]);
        }
    }
    assert_int_equal(started, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (int i = 1; i < 4; i++) {
        ssize_t n = pread(files[i], text, sizeof text - 1, 0);
        assert_true(n >= 0);
        text[n] = '\0';
        assert_string_equal(text, wanted[i]);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%d", folder, i);
        unlink(path);
        if (files[i] > 3)
            close(files[i]);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_code_and_environment_arrive),
        cmocka_unit_test(only_the_given_descriptors_are_open),
        cmocka_unit_test(signals_are_as_if_nobody_had_touched_them),
        cmocka_unit_test(child_leads_a_group_of_its_own),
        cmocka_unit_test(failing_exec_is_told_and_leaves_nothing),
        cmocka_unit_test(descriptors_may_be_given_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
