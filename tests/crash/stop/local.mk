# tests/crash/stop/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/stop/stop.sh tests/crash/stop/shimmed.py tests/crash/stop/test_stop.py \
	tests/crash/stop/test_pid.py tests/crash/stop/test_clock.py
crash_helpers += tests/crash/stop/churn tests/crash/stop/churn-mutant
tests_crash_stop_churn_SOURCES = tests/crash/stop/churn.c
tests_crash_stop_churn_LDADD = libjobtab.la
tests_crash_stop_churn_mutant_SOURCES = tests/crash/stop/churn.c
tests_crash_stop_churn_mutant_LDADD = libmutant.la

# Loaded into others.
shim = tests/crash/stop/shim.so
EXTRA_DIST += tests/crash/stop/shim.c tests/crash/stop/shim.h
check_DATA += $(shim)
CLEANFILES += $(shim)
$(shim): tests/crash/stop/shim.c tests/crash/stop/shim.h
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && $(PRELOADED) -o $@ '$(srcdir)/tests/crash/stop/shim.c' -ldl
