# tests/crash/limit/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/limit/limit.sh tests/crash/limit/nomem.py tests/crash/limit/clients.py \
	tests/crash/limit/test_group.py tests/crash/limit/test_memory.py tests/crash/limit/test_network.py
crash_helpers += tests/crash/limit/memory tests/crash/limit/memory-mutant

memory_sources = tests/crash/limit/memory.c tests/crash/limit/calls.c tests/crash/limit/share.c \
	tests/crash/limit/stage.h tests/crash/limit/nomem.c tests/crash/limit/nomem.h
tests_crash_limit_memory_SOURCES = $(memory_sources)
tests_crash_limit_memory_LDADD = libjobtab.la
tests_crash_limit_memory_mutant_SOURCES = $(memory_sources)
tests_crash_limit_memory_mutant_LDADD = libmutant.la

# For programs as they are: LD_PRELOAD.
nomem_so = tests/crash/limit/nomem.so
check_DATA += $(nomem_so)
CLEANFILES += $(nomem_so)
$(nomem_so): tests/crash/limit/nomem.c tests/crash/limit/nomem.h
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && $(PRELOADED) -o $@ '$(srcdir)/tests/crash/limit/nomem.c'
