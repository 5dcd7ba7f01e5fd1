# tests/crash/local.mk - included by Makefile.am
#
#   make crash        writers killed and stopped at every point of their work, short form
#   make crash-long   more points of each sort, on the disk of TMPDIR, too

EXTRA_DIST += tests/crash/crash.sh

# The control does what was committed before its leader died once more: the judge must notice.
crash_helpers = tests/crash/sweep tests/crash/sweep-no-batch-check
EXTRA_PROGRAMS += $(crash_helpers)
CLEANFILES += $(crash_helpers)
check_DATA += $(crash_helpers)

sweep_sources = tests/crash/sweep.c tests/crash/player.c tests/crash/judge.c tests/crash/stage.h
tests_crash_sweep_SOURCES = $(sweep_sources)
tests_crash_sweep_LDADD = libjobtab.la
tests_crash_sweep_no_batch_check_SOURCES = $(sweep_sources) $(libjobtab_la_SOURCES)
tests_crash_sweep_no_batch_check_CPPFLAGS = $(AM_CPPFLAGS) \
	-DJOBTAB_CONTROL_NO_BATCH_CHECK
tests_crash_sweep_no_batch_check_LDADD = $(libjobtab_la_LIBADD)

crash: check-programs
	@sh $(srcdir)/tests/crash/crash.sh $(builddir)/tests/crash short
crash-long: check-programs
	@sh $(srcdir)/tests/crash/crash.sh $(builddir)/tests/crash long
.PHONY: crash crash-long
