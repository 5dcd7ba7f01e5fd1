# src/lib/local.mk - included by Makefile.am
include_HEADERS += include/jobtab.h

# The table, once: the installed library and the programs' static one are the same objects.
lib_LTLIBRARIES += libjobtab.la
libjobtab_la_SOURCES = src/lib/version.c \
	include/jobtab.h
libjobtab_la_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
libjobtab_la_LIBADD = $(LMDB_LIBS) $(TPL_LIBS)
# version-info: an interface added or changed -> current+1, revision 0; only compatible
# additions -> age+1 as well, else age 0; the inside only -> revision+1.
libjobtab_la_LDFLAGS = $(JOBTAB_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-export-symbols-regex '^jobtab_'

pkgconfigdata_DATA += jobtab.pc

dist_man_MANS += src/lib/jobtab.3
