# tests/system/local.mk - included by Makefile.am
#
#   make check-system     all of it, short forms (make check does that, too)
#   make acceptance-long  the storm of 200,000 requests, two workers, four children

EXTRA_DIST += tests/conftest.py tests/oracle.py tests/storm.py tests/writer_lock.py \
	tests/system/test_oracle.py \
	tests/system/test_acceptance.py tests/system/test_jobs.py tests/system/test_kill.py \
	tests/system/test_harness.py tests/system/test_quiet.py tests/system/test_restart.py \
	tests/system/test_runner.py tests/system/test_story.py

# the master, with roles that do what a test tells them
EXTRA_DIST += tests/system/test_master.py
fake_daemon = tests/system/fake/jobtabd
EXTRA_PROGRAMS += $(fake_daemon)
CLEANFILES += $(fake_daemon)
check_DATA += $(fake_daemon)
tests_system_fake_jobtabd_SOURCES = tests/system/fake_roles.c src/jobtabd/main.c
tests_system_fake_jobtabd_CPPFLAGS = $(jobtabd_CPPFLAGS) -I$(top_srcdir)/src/jobtabd
tests_system_fake_jobtabd_LDADD = libdaemon.la libjobtab.la

# the command line
EXTRA_DIST += tests/system/test_cli.py tests/system/test_cli_daemon.py

# export and import; redis-server, hiredis and sqlite3 where they are
EXTRA_DIST += tests/system/test_move.py tests/system/test_same_job.py

# contrib/python
EXTRA_DIST += tests/system/python_support.py tests/system/python_events.py \
	tests/system/python_storm_app.py tests/system/test_python_layout.py \
	tests/system/test_python_store.py tests/system/test_python_aio.py \
	tests/system/test_python_daemon.py tests/system/test_python_package.py \
	tests/system/test_python_servers.py

# the benchmark's report
EXTRA_DIST += tests/system/test_bench.py

# HTTP
EXTRA_DIST += tests/system/test_http_bad_input.py tests/system/test_http_broken.py \
	tests/system/test_http_connections.py tests/system/test_http_jobs.py \
	tests/system/test_http_latency.py tests/system/test_no_table.py

# A child that does what it is told, and many clients at once; with deliberate faults (src/lib/mutant.h) for
# the controls.
system_helpers = tests/system/actor tests/system/storm tests/system/storm-mutant
EXTRA_PROGRAMS += $(system_helpers)
CLEANFILES += $(system_helpers)
check_DATA += $(system_helpers)

tests_system_actor_SOURCES = tests/system/actor.c tests/system/event.c tests/system/event.h
tests_system_actor_LDADD = libjobtab.la

storm_sources = tests/system/storm.c tests/system/event.c tests/system/event.h
tests_system_storm_SOURCES = $(storm_sources)
tests_system_storm_LDADD = libjobtab.la
tests_system_storm_mutant_SOURCES = $(storm_sources)
tests_system_storm_mutant_LDADD = libmutant.la

acceptance-long: check-programs
	JOBTAB_BUILDDIR='$(abs_top_builddir)' JOBTAB_ACCEPTANCE_REQUESTS=200000 \
	    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -v -s -p no:cacheprovider \
	    -k concurrent_readers $(srcdir)/tests/system/test_acceptance.py
.PHONY: acceptance-long

# jobtab-validate
EXTRA_DIST += tests/system/test_validate.py tests/system/prices_reference.py \
	tests/system/prices_random.py tests/system/prices
