# tests/crash/local.mk - included by Makefile.am
#
#   make crash        writers killed and stopped at every point of their work, short form
#   make crash-long   more points of each sort, on the disk of TMPDIR, too

EXTRA_DIST += tests/crash/crash.sh

# Whose name ends in -mutant has deliberate faults in it, see src/lib/mutant.h.
crash_helpers = tests/crash/sweep tests/crash/sweep-mutant
EXTRA_PROGRAMS += $(crash_helpers)
CLEANFILES += $(crash_helpers)
check_DATA += $(crash_helpers)

sweep_sources = tests/crash/sweep.c tests/crash/player.c tests/crash/judge.c tests/crash/stage.h
tests_crash_sweep_SOURCES = $(sweep_sources)
tests_crash_sweep_LDADD = libjobtab.la
tests_crash_sweep_mutant_SOURCES = $(sweep_sources)
tests_crash_sweep_mutant_LDADD = libmutant.la

crash: check-programs
	@sh $(srcdir)/tests/crash/crash.sh $(builddir)/tests/crash short
crash-long: check-programs
	@sh $(srcdir)/tests/crash/crash.sh $(builddir)/tests/crash long
.PHONY: crash crash-long
