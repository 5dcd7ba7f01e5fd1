# tests/crash/kill/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/kill/kill.sh tests/crash/kill/test_kill_daemon.py \
	tests/crash/kill/test_kill_runner.py
crash_helpers += tests/crash/kill/sweep tests/crash/kill/sweep-mutant \
	tests/crash/kill/openers tests/crash/kill/openers-mutant

kill_common = tests/crash/kill/trace.c tests/crash/kill/trace.h \
	tests/crash/kill/round.c tests/crash/kill/round.h
sweep_sources = tests/crash/kill/sweep.c tests/crash/kill/player.c tests/crash/kill/judge.c \
	tests/crash/kill/course.c tests/crash/kill/stage.h $(kill_common)
tests_crash_kill_sweep_SOURCES = $(sweep_sources)
tests_crash_kill_sweep_LDADD = libjobtab.la
tests_crash_kill_sweep_mutant_SOURCES = $(sweep_sources)
tests_crash_kill_sweep_mutant_LDADD = libmutant.la

openers_sources = tests/crash/kill/openers.c $(kill_common)
tests_crash_kill_openers_SOURCES = $(openers_sources)
tests_crash_kill_openers_LDADD = libjobtab.la
tests_crash_kill_openers_mutant_SOURCES = $(openers_sources)
tests_crash_kill_openers_mutant_LDADD = libmutant.la
