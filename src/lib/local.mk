# src/lib/local.mk - included by Makefile.am
include_HEADERS += include/jobtab.h

# The table, once: the installed library and the programs' static one are the same objects.
lib_LTLIBRARIES += libjobtab.la
libjobtab_la_SOURCES = include/jobtab.h \
	src/lib/apply.c src/lib/verbs.h src/lib/lead.c src/lib/lead.h \
	src/lib/queue.c src/lib/queue.h src/lib/parcel.c src/lib/parcel.h \
	src/lib/batch.c src/lib/batch.h src/lib/shared.c src/lib/shared.h \
	src/lib/blocks.c src/lib/blocks.h src/lib/futex.c src/lib/futex.h src/lib/text.h \
	src/lib/mutant.h src/lib/submit.c src/lib/work.c src/lib/control.c src/lib/restore.c \
	src/lib/end.c src/lib/end.h src/lib/edit.c src/lib/edit.h \
	src/lib/open.c src/lib/read.c src/lib/stat.c src/lib/wait.c src/lib/sweep.c \
	src/lib/holders.c src/lib/locks.c src/lib/locks.h src/lib/step.c src/lib/step.h \
	src/lib/verify.c src/lib/verify.h src/lib/verify_check.h src/lib/verify_job.c \
	src/lib/verify_entry.c src/lib/verify_version.c src/lib/verify_meta.c \
	src/lib/doubt.c src/lib/doubt.h \
	src/lib/backup.c src/lib/table.c src/lib/table.h \
	src/lib/payload.c src/lib/payload.h src/lib/pending.c src/lib/pending.h \
	src/lib/keys.c src/lib/keys.h \
	src/lib/record.c src/lib/record_lists.c src/lib/record_image.c src/lib/record_image.h \
	src/lib/record.h src/lib/state.c src/lib/state.h \
	src/lib/json.c src/lib/id.c src/lib/id.h src/lib/clock.c src/lib/clock.h \
	src/lib/bell.c src/lib/bell.h src/lib/turn.c src/lib/turn.h \
	src/lib/store.c src/lib/store.h src/lib/store_lmdb.h \
	src/lib/store_entry.c src/lib/store_open.c src/lib/store_keep.c \
	src/lib/store_pages.c src/lib/store_pages.h src/lib/store_layout.c src/lib/store_layout.h \
	src/lib/store_careful.c src/lib/store_careful.h \
	src/lib/error.c src/lib/error.h src/lib/sync.c src/lib/sync.h
libjobtab_la_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
libjobtab_la_LIBADD = libscan.la $(LMDB_LIBS) -lpthread
# version-info: an interface added or changed -> current+1, revision 0; only compatible
# additions -> age+1 as well, else age 0; the inside only -> revision+1.
libjobtab_la_LDFLAGS = $(JOBTAB_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-export-symbols-regex '^jobtab_'

pkgconfigdata_DATA += jobtab.pc

dist_man_MANS += src/lib/jobtab.3

# The same with deliberate faults to choose from: for the controls of the tests' oracles.
check_LTLIBRARIES += libmutant.la
libmutant_la_SOURCES = $(libjobtab_la_SOURCES) src/lib/mutant.c
libmutant_la_CPPFLAGS = $(AM_CPPFLAGS) -DJOBTAB_MUTANTS
libmutant_la_CFLAGS = $(libjobtab_la_CFLAGS)
libmutant_la_LIBADD = $(libjobtab_la_LIBADD)
