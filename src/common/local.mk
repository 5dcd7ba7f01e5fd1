# src/common/local.mk - included by Makefile.am
# What the programs share and the table does not need.
noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = src/common/json_scan.c src/common/json_scan.h \
	src/common/units.c src/common/units.h
libcommon_la_LDFLAGS =
# Only programs use it: no objects for a shared library.
libcommon_la_LIBTOOLFLAGS = --tag=disable-shared
