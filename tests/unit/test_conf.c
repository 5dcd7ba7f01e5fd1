/* test_conf.c - a configuration file: what it yields, what is wrong with it and on which line. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "../../src/jobtabd/conf.h"
#include "../../src/jobtabd/conf_apart.h"

#define DIRECTORY "/tmp/jobtab-test-conf-XXXXXX"

static conf_read *reader; /* what holds for one holds for the other */
static char directory[] = DIRECTORY;
static char file[64];
static char faults[4096];

static void note(const char *text, void *context)
{
    (void)context;
    const char *slash = strrchr(file, '/');
    /* Without the directory, which is another one each time. */
    text = strncmp(text, file, strlen(file)) == 0 ? text + (slash + 1 - file) : text;
    snprintf(faults + strlen(faults), sizeof faults - strlen(faults), "%s\n", text);
}

static struct conf *load_bytes(const char *text, size_t size)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    faults[0] = '\0';
    return conf_load_by(reader, file, note, NULL);
}

static struct conf *load(const char *text)
{
    return load_bytes(text, strlen(text));
}

/* The linker puts these in front of the real ones (--wrap, see local.mk). */
static int refuse_after = -1; /* so many allocations; -1: never */

static bool refused(void)
{
    return refuse_after >= 0 && refuse_after-- == 0;
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return refused() ? NULL : __real_strdup(text);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

#define KIND "kind \"k\" { command = {\"/bin/true\"} }\n"

static void an_empty_file_is_all_defaults(void **state)
{
    struct conf *conf = load("");

    (void)state;
    assert_string_equal(faults, "");
    assert_non_null(conf);
    assert_true(conf->worker_processes >= 1);
    assert_int_equal(conf->runner_processes, 1);
    assert_string_equal(conf->user, "");
    assert_string_equal(conf->error_log, "stderr");
    assert_int_equal(conf->shutdown_timeout, 30000);
    assert_int_equal(conf->body_max, 1 << 20);
    assert_int_equal(conf->n_listens, 1);
    assert_string_equal(conf->listens[0].address, "127.0.0.1:8080");
    assert_int_equal(conf->table.max_jobs, 100000);
    assert_int_equal(conf->table.retention, 86400000);
    assert_true(conf->table.dir[0] == '/');
    assert_int_equal(conf->n_kinds, 0);
    conf_free(conf);
}

static void values_reach_their_fields(void **state)
{
    struct conf *conf = load(
        "worker_processes = 3  error_log = 'off'  hosts = {\"a.example\", \"b.example\"}\n"
        "listen \"[::1]:0\" { http2 = true }\nlisten \"unix:/tmp/x.sock\" { }\n"
        "table \"/tmp/t\" { map_size = 2g max_jobs = 7 high_water = 50 }\n"
        "kind \"a.b-c_9\" {\n command = {\"/bin/sh\", \"-c\", \"exit 0\"} table = true children = 2\n"
        " timeout = 1.5s kill_after = 0 max_attempts = 4 backoff = 250ms input_root = \"/tmp\" }\n");

    (void)state;
    assert_string_equal(faults, "");
    assert_int_equal(conf->worker_processes, 3);
    assert_string_equal(conf->error_log, "off");
    assert_string_equal(conf->hosts[1], "b.example");
    assert_null(conf->hosts[2]);
    assert_int_equal(conf->n_listens, 2);
    assert_true(conf->listens[0].http2);
    assert_false(conf->listens[1].http2);
    assert_string_equal(conf->listens[1].address, "unix:/tmp/x.sock");
    assert_true(conf->table.map_size == 2147483648);
    assert_int_equal(conf->table.max_jobs, 7);
    assert_int_equal(conf->table.high_water, 50);
    assert_string_equal(conf->table.dir, "/tmp/t");
    const struct conf_kind *kind = conf_kind(conf, "a.b-c_9");
    assert_non_null(kind);
    assert_string_equal(kind->command[2], "exit 0");
    assert_null(kind->command[3]);
    assert_string_equal(kind->program, "/bin/sh");
    assert_int_equal(kind->children, 2);
    assert_int_equal(kind->timeout, 1500);
    assert_int_equal(kind->kill_after, 0);
    assert_int_equal(kind->backoff, 250);
    assert_int_equal(kind->max_crashes, 3);
    assert_string_equal(kind->input_root, "/tmp");
    assert_null(conf_kind(conf, "other"));
    conf_free(conf);
}

static void every_fault_has_its_line_and_reason(void **state)
{
    static const struct {
        const char *text, *fault;
    } bad[] = {
        {"\nwrong = 1\n", "c:2: no such option 'wrong'\n"},
        {KIND "kind \"j\" {\n command = {\"/bin/true\"}\n wrong = 1 }", "c:4: no such option 'wrong'\n"},
        {"runner_processes = 1\nrunner_processes = 2\n",
         "c:2: runner_processes: given before, on line 1\n"},
        {"hosts = {\"a\"}\nhosts = {\"b\"}\n", "c:2: hosts: given before, on line 1\n"},
        {"runner_processes = many\n", "c:1: runner_processes: \"many\" is no number\n"},
        {"runner_processes = -1\n", "c:1: runner_processes: \"-1\" is no number\n"},
        {"\n\nrunner_processes = 65\n", "c:3: runner_processes: 65 is above 64\n"},
        {"worker_processes = 0\n", "c:1: worker_processes: 0 is below 1\n"},
        {"shutdown_timeout = 2d\n", "c:1: shutdown_timeout: 2d is above 1d\n"},
        {"shutdown_timeout = soon\n", "c:1: shutdown_timeout: \"soon\" is no time\n"},
        {"body_max = 1x\n", "c:1: body_max: \"1x\" is no size\n"},
        {"table \"t\" {\n map_size = 1k }\n", "c:2: map_size: 1k is below 1m\n"},
        {"table \"t\" {\n durability = \"none\" }\n",
         "c:2: durability: \"none\" is not supported: only \"sync\" is\n"},
        {"table \"t\" { }\ntable \"u\" { }\n", "c:2: a second table: there can be but one\n"},
        {"\nkind \"k\" {\n}\n", "c:2: command: missing: a kind needs a program\n"},
        {"kind \"k\" {\n command = {\"/nowhere/x\"} }\n",
         "c:2: command: there is no program \"/nowhere/x\"\n"},
        {"kind \"k\" {\n command = {\"no-such-program-here\"} }\n",
         "c:2: command: there is no program \"no-such-program-here\"\n"},
        {"kind \"k\" {\n command = {\"/tmp\"} }\n", "c:2: command: there is no program \"/tmp\"\n"},
        {KIND "\n" KIND, "c:3: found duplicate title 'k'\n"},
        {"kind \"a b\" {\n command = {\"/bin/true\"} }\n",
         "c:1: kind \"a b\": a name is 1 to 32 letters, digits, '.', '_' and '-'\n"},
        {"kind \"k\" { command = {\"/bin/true\"}\n children = 1 }\n",
         "c:2: children: children claim jobs themselves: they need table = true\n"},
        {"kind \"k\" { command = {\"/bin/true\"}\n table = maybe }\n",
         "c:2: table: \"maybe\" is no boolean\n"},
        {"kind \"k\" { command = {\"/bin/true\"}\n input_root = \"/nowhere\" }\n",
         "c:2: input_root: /nowhere: No such file or directory\n"},
        {"kind \"k\" { command = {\"/bin/true\"}\n input_root = \"/dev/null\" }\n",
         "c:2: input_root: /dev/null: no directory\n"},
        {"pid_file = \"\"\n", "c:1: pid_file: a path must not be empty\n"},
        {KIND "default_kind = \"j\"\n", "c:2: default_kind: there is no kind \"j\"\n"},
        {"listen \"localhost:80\" { }\n",
         "c:1: listen \"localhost:80\": localhost is no address (IPv6 stands in brackets)\n"},
        {"\n\nlisten \"80\"\n{\n}\n", "c:4: listen \"80\": no ADDRESS:PORT and no unix:PATH\n"},
        {"listen \"127.0.0.1:65536\" { }\n",
         "c:1: listen \"127.0.0.1:65536\": no ADDRESS:PORT and no unix:PATH\n"},
        {"listen \"127.0.0.1:\" { }\n",
         "c:1: listen \"127.0.0.1:\": no ADDRESS:PORT and no unix:PATH\n"},
        {"listen \"unix:\" { }\n",
         "c:1: listen \"unix:\": a Unix socket's path has 1 to 107 bytes\n"},
        {"listen \"127.0.0.1:80\" { }\nlisten \"127.0.0.1:080\" { }\n",
         "c:2: listen \"127.0.0.1:080\": the same address as \"127.0.0.1:80\"\n"},
        {"listen \"127.0.0.1:80\" { }\nlisten \"127.0.0.1:80\" { }\n",
         "c:2: found duplicate title '127.0.0.1:80'\n"},
        {"listen \"127.0.0.1:80\" {\n tls_certificate = \"/nowhere.pem\" tls_key = \"/dev/null\" }\n",
         "c:2: tls_certificate: /nowhere.pem: No such file or directory\n"},
        {"listen \"127.0.0.1:80\" {\n tls_certificate = \"/dev/null\"\n tls_key = \"/nowhere\" }\n",
         "c:3: tls_key: /nowhere: No such file or directory\n"},
        {"listen \"127.0.0.1:80\" {\n tls_certificate = \"/dev/null\" }\n",
         "c:2: tls_certificate: tls_key is missing\n"},
        {"listen \"127.0.0.1:80\" {\n tls_key = \"/dev/null\" }\n",
         "c:2: tls_key: tls_certificate is missing\n"},
        {"runner_processes 1\n", "c:1: missing equal sign after option 'runner_processes'\n"},
        {KIND "kind \"j\" {\n command = {\"/bin/true\"}\n",
         "c:4: premature end of file: a section is not closed\n"},
        {"user = \"abc\n", "c:2: premature end of file\n"},
        {"}\n", "c:1: unexpected closing brace\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct conf *conf = load(bad[i].text);
        if (conf) {
            fail_msg("this was taken:\n%s", bad[i].text);
        }
        assert_string_equal(faults, bad[i].fault);
    }
}

static FILE *open_file(const char *name)
{
    char path[80];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    return out;
}

/* A new key, and a certificate that it has signed itself. */
static void write_pair(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = X509_new();
    FILE *out = open_file("cert");

    assert_non_null(key);
    assert_non_null(certificate);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(out, certificate), 1);
    fclose(out);
    out = open_file("key");
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static struct conf *load_tls(void)
{
    char text[256];

    snprintf(text, sizeof text,
             "listen \"127.0.0.1:443\" { tls_certificate = \"%s/cert\"\n tls_key = \"%s/key\" }\n",
             directory, directory);
    return load(text);
}

static void a_certificate_and_its_key_are_held_together(void **state)
{
    char path[80], other[80];

    (void)state;
    write_pair();
    struct conf *conf = load_tls();
    assert_string_equal(faults, "");
    assert_non_null(conf);
    conf_free(conf);
    snprintf(path, sizeof path, "%s/cert", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    assert_int_equal(rename(path, other), 0);
    write_pair();
    assert_int_equal(rename(other, path), 0);
    assert_null(load_tls());
    assert_ptr_equal(strstr(faults, "c:2: tls_key: "), faults);
    assert_non_null(strstr(faults, "key values mismatch"));
    fclose(open_file("key"));
    assert_null(load_tls());
    assert_ptr_equal(strstr(faults, "c:2: tls_key: "), faults);
}

static void an_account_that_is_not_there_matters_to_root(void **state)
{
    struct conf *conf = load("\nuser = \"no-such-account\"\n");

    (void)state;
    if (geteuid() == 0) {
        assert_null(conf);
        assert_string_equal(faults, "c:2: user: there is no account \"no-such-account\"\n");
    } else {
        assert_string_equal(conf->user, "no-such-account");
    }
    conf_free(conf);
}

static void all_faults_of_values_are_told_at_once(void **state)
{
    (void)state;
    assert_null(load("runner_processes = 99\nkind \"k\" { }\n\ndefault_kind = \"j\"\n"));
    assert_string_equal(faults, "c:1: runner_processes: 99 is above 64\n"
                                "c:2: command: missing: a kind needs a program\n"
                                "c:4: default_kind: there is no kind \"j\"\n");
}

/* libconfuse's scanner would take the next file for the rest of the string: a daemon that was sent
 * HUP on such a file once could never be reloaded again. */
static void a_file_that_ends_inside_a_string_spoils_no_later_one(void **state)
{
    static const char *const open[] = {"user = \"abc\n", "user = 'abc\n", "/* abc\n"};

    (void)state;
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        struct conf *conf = load(open[i]);
        conf_free(conf);
        conf = load("runner_processes = 5\n");
        assert_string_equal(faults, "");
        assert_int_equal(conf->runner_processes, 5);
        conf_free(conf);
    }
}

static void what_is_no_text_file_is_refused(void **state)
{
    (void)state;
    faults[0] = '\0';
    assert_null(conf_load_by(reader, "/nowhere/c", note, NULL));
    assert_string_equal(faults, "/nowhere/c: No such file or directory\n");
    faults[0] = '\0';
    assert_null(conf_load_by(reader, "/tmp", note, NULL));
    assert_string_equal(faults, "/tmp: not a file of at most 1 MiB\n");
    assert_null(load_bytes("user = \"a\0b\"\n", 12));
    assert_string_equal(faults, "c: not a text file: it has a byte of value 0\n");
}

static char *print(const struct conf *conf)
{
    char name[80];
    char *text = calloc(1, 16384);
    FILE *out;

    snprintf(name, sizeof name, "%s/printed", directory);
    out = fopen(name, "w+");
    assert_non_null(out);
    unlink(name);
    conf_print(conf, fileno(out));
    rewind(out);
    assert_non_null(text);
    assert_true(fread(text, 1, 16383, out) > 0);
    fclose(out);
    return text;
}

static void what_is_printed_loads_and_prints_the_same(void **state)
{
    struct conf *conf = load(
        "hosts = {\"a\", \"b\"} shutdown_timeout = 1.5s user = \"root\" access_log = \"x\\\"y\"\n"
        "listen \"127.0.0.1:0\" { http2 = true }\n"
        "table \"a b\" { log_max = 5k }\n"
        "kind \"k\" { command = {\"/bin/sh\", \"-c\", \"echo \\\"\\${HOME}\\\" 'q' \\\\ \\t\\x01 é\"} }\n");

    (void)state;
    assert_string_equal(faults, "");
    assert_string_equal(conf->kinds[0].command[2], "echo \"${HOME}\" 'q' \\ \t\x01 é");
    char *first = print(conf);
    struct conf *again = load(first);
    assert_string_equal(faults, "");
    assert_string_equal(again->kinds[0].command[2], conf->kinds[0].command[2]);
    char *second = print(again);
    assert_string_equal(first, second);
    free(first);
    free(second);
    conf_free(conf);
    conf_free(again);
}

static void a_program_is_looked_for_beside_the_daemon_first(void **state)
{
    /* This test's own program stands for the daemon: beside it lies itself. */
    struct conf *conf = load("kind \"k\" { command = {\"test_conf\"} }\n");

    (void)state;
    assert_string_equal(faults, "");
    assert_non_null(strstr(conf->kinds[0].program, "/test_conf"));
    assert_int_equal(conf->kinds[0].program[0], '/');
    conf_free(conf);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, DIRECTORY);
    if (!mkdtemp(directory)) {
        return -1;
    }
    snprintf(file, sizeof file, "%s/c", directory);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"c", "cert", "key"};
    char path[80];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

static int read_here(void **state)
{
    (void)state;
    reader = conf_syntax_read;
    return 0;
}

static void without_memory_nothing_is_loaded_in_part(void **state)
{
    int loaded = 0;

    (void)state;
    for (int after = 0; after < 200; after++) {
        refuse_after = after;
        struct conf *conf = load("kind \"k\" { command = {\"/bin/sh\", \"-c\", \"true\"} }\n");
        refuse_after = -1;
        assert_true((conf == NULL) == (faults[0] != '\0'));
        if (!conf)
            continue;
        loaded++;
        assert_string_equal(conf->kinds[0].command[0], "/bin/sh");
        assert_string_equal(conf->kinds[0].command[1], "-c");
        assert_string_equal(conf->kinds[0].command[2], "true");
        assert_null(conf->kinds[0].command[3]);
        conf_free(conf);
    }
    assert_in_range(loaded, 1, 199);
}

static int read_apart(void **state)
{
    (void)state;
    reader = conf_apart_read;
    return 0;
}

int main(void)
{
    /* As the daemon reads at its start, and as the master does for a reload. */
#define BOTH(name) {#name, name, read_here, NULL, NULL}, {#name "_apart", name, read_apart, NULL, NULL}
    const struct CMUnitTest tests[] = {
        BOTH(an_empty_file_is_all_defaults),
        BOTH(values_reach_their_fields),
        BOTH(every_fault_has_its_line_and_reason),
        BOTH(a_certificate_and_its_key_are_held_together),
        BOTH(an_account_that_is_not_there_matters_to_root),
        BOTH(all_faults_of_values_are_told_at_once),
        BOTH(a_file_that_ends_inside_a_string_spoils_no_later_one),
        BOTH(what_is_no_text_file_is_refused),
        BOTH(what_is_printed_loads_and_prints_the_same),
        BOTH(a_program_is_looked_for_beside_the_daemon_first),
        /* libConfuse ends a process that has no memory for its defaults: that is what apart is for. */
        cmocka_unit_test_setup(without_memory_nothing_is_loaded_in_part, read_apart),
    };
    return cmocka_run_group_tests_name("conf", tests, set_up, tear_down);
}
