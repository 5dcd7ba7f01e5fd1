# tests/crash/power/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/power/power.sh tests/crash/power/test_cut.py
crash_helpers += tests/crash/power/power tests/crash/power/power-mutant

power_sources = tests/crash/power/power.c tests/crash/power/power.h tests/crash/power/record.c \
	tests/crash/power/load.c tests/crash/power/order.c tests/crash/power/story.c \
	tests/crash/power/digest.c tests/crash/power/blocks.c tests/crash/power/place.c \
	tests/crash/power/disk.c tests/crash/power/trial.c
tests_crash_power_power_SOURCES = $(power_sources)
tests_crash_power_power_LDADD = libjobtab.la
tests_crash_power_power_mutant_SOURCES = $(power_sources)
tests_crash_power_power_mutant_LDADD = libmutant.la
