# tests/crash/local.mk - included by Makefile.am
#
#   make crash        every part, short form; CRASH_PARTS="kill" for some
#   make crash-long   the same code with the counts of the long form

EXTRA_DIST += tests/crash/crash.sh

# Whose name ends in -mutant has deliberate faults in it, see src/lib/mutant.h.
crash_helpers =
EXTRA_PROGRAMS += $(crash_helpers)
CLEANFILES += $(crash_helpers)
check_DATA += $(crash_helpers)

# What is preloaded is no object of libtool's: it is the same in every build, one of static libraries, too.
PRELOADED = $(CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) $(LMDB_CFLAGS) -Wall -Wextra $(CFLAGS) -fPIC -shared

include tests/crash/disk/local.mk
include tests/crash/kill/local.mk
include tests/crash/limit/local.mk
include tests/crash/power/local.mk
include tests/crash/stop/local.mk

CRASH_PARTS =
crash: check-programs
	@sh $(srcdir)/tests/crash/crash.sh $(builddir) short $(CRASH_PARTS)
crash-long: check-programs
	@sh $(srcdir)/tests/crash/crash.sh $(builddir) long $(CRASH_PARTS)
.PHONY: crash crash-long
