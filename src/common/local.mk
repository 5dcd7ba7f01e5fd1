# src/common/local.mk - included by Makefile.am
# What the programs share, and the table as well: objects of both kinds, in whatever takes them.
noinst_LTLIBRARIES += libscan.la
libscan_la_SOURCES = src/common/json_scan.c src/common/json_scan.h
libscan_la_LDFLAGS =

# What the programs share and the table does not need.
noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = src/common/units.c src/common/units.h
libcommon_la_LDFLAGS =
libcommon_la_LIBADD = libscan.la
# Only programs use it: no objects for a shared library.
libcommon_la_LIBTOOLFLAGS = --tag=disable-shared
