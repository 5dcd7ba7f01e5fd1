# tests/crash/disk/local.mk - included by tests/crash/local.mk

EXTRA_DIST += tests/crash/disk/disk.sh tests/crash/disk/test_full.py tests/crash/disk/disks.py tests/crash/disk/test_errors.py
crash_helpers += tests/crash/disk/sweep tests/crash/disk/sweep-mutant tests/crash/disk/spoil

fault_sources = tests/crash/disk/fault.c tests/crash/disk/fault.h

# For the daemon: LD_PRELOAD wants a shared object, in builds without shared libraries, too.
fault_module = tests/crash/disk/libfault.so
check_DATA += $(fault_module)
CLEANFILES += $(fault_module)
$(fault_module): $(fault_sources)
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && $(PRELOADED) -o $@ '$(srcdir)/tests/crash/disk/fault.c'

disk_sweep_sources = tests/crash/disk/sweep.c tests/crash/disk/round.c tests/crash/disk/round.h \
	tests/crash/disk/stage.c tests/crash/disk/stage.h $(fault_sources)
tests_crash_disk_sweep_SOURCES = $(disk_sweep_sources)
tests_crash_disk_sweep_LDADD = libjobtab.la
tests_crash_disk_sweep_mutant_SOURCES = $(disk_sweep_sources)
tests_crash_disk_sweep_mutant_LDADD = libmutant.la

tests_crash_disk_spoil_SOURCES = tests/crash/disk/spoil.c
tests_crash_disk_spoil_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/lib
tests_crash_disk_spoil_LDADD = libjobtab.la
