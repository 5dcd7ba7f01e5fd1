# tests/crash/kill/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/kill/kill.sh
crash_helpers += tests/crash/kill/sweep tests/crash/kill/sweep-mutant

sweep_sources = tests/crash/kill/sweep.c tests/crash/kill/player.c tests/crash/kill/judge.c \
	tests/crash/kill/course.c tests/crash/kill/stage.h tests/crash/kill/trace.c tests/crash/kill/trace.h
tests_crash_kill_sweep_SOURCES = $(sweep_sources)
tests_crash_kill_sweep_LDADD = libjobtab.la
tests_crash_kill_sweep_mutant_SOURCES = $(sweep_sources)
tests_crash_kill_sweep_mutant_LDADD = libmutant.la
