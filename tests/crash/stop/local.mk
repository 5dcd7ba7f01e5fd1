# tests/crash/stop/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/stop/stop.sh tests/crash/stop/shimmed.py tests/crash/stop/test_stop.py \
	tests/crash/stop/test_pid.py tests/crash/stop/test_clock.py
crash_helpers += tests/crash/stop/churn tests/crash/stop/churn-mutant
tests_crash_stop_churn_SOURCES = tests/crash/stop/churn.c
tests_crash_stop_churn_LDADD = libjobtab.la
tests_crash_stop_churn_mutant_SOURCES = tests/crash/stop/churn.c
tests_crash_stop_churn_mutant_LDADD = libmutant.la

# Loaded into others; -rpath makes libtool build what it would not install.
shim = tests/crash/stop/shim.la
EXTRA_LTLIBRARIES = $(shim)
check_DATA += $(shim)
tests_crash_stop_shim_la_SOURCES = tests/crash/stop/shim.c tests/crash/stop/shim.h
tests_crash_stop_shim_la_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
tests_crash_stop_shim_la_LDFLAGS = -module -avoid-version -shared -rpath $(abs_builddir)
tests_crash_stop_shim_la_LIBADD = -ldl
