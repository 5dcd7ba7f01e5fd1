# tests/crash/disk/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/disk/disk.sh tests/crash/disk/test_full.py tests/crash/disk/test_errors.py
crash_helpers += tests/crash/disk/sweep tests/crash/disk/sweep-mutant

fault_sources = tests/crash/disk/fault.c tests/crash/disk/fault.h

# For the daemon: LD_PRELOAD wants a shared object, wherever it is not installed to.
check_LTLIBRARIES += tests/crash/disk/libfault.la
tests_crash_disk_libfault_la_SOURCES = $(fault_sources)
tests_crash_disk_libfault_la_CFLAGS = $(AM_CFLAGS)
tests_crash_disk_libfault_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
check_DATA += tests/crash/disk/libfault.la

disk_sweep_sources = tests/crash/disk/sweep.c tests/crash/disk/stage.c \
	tests/crash/disk/stage.h $(fault_sources)
tests_crash_disk_sweep_SOURCES = $(disk_sweep_sources)
tests_crash_disk_sweep_LDADD = libjobtab.la
tests_crash_disk_sweep_mutant_SOURCES = $(disk_sweep_sources)
tests_crash_disk_sweep_mutant_LDADD = libmutant.la
