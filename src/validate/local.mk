# src/validate/local.mk - included by Makefile.am
# All but main: what the unit tests and the fuzzer call.
noinst_LTLIBRARIES += libvalidate.la
libvalidate_la_SOURCES = \
	src/validate/across.c src/validate/across.h \
	src/validate/fault.c src/validate/fault.h \
	src/validate/feed.c src/validate/feed.h \
	src/validate/params.c src/validate/params.h \
	src/validate/plain.h \
	src/validate/reader.c src/validate/reader.h \
	src/validate/report.c src/validate/report.h \
	src/validate/rows.c src/validate/rows.h \
	src/validate/scan.c src/validate/scan.h \
	src/validate/sources.c src/validate/sources.h \
	src/validate/spill.c src/validate/spill.h \
	src/validate/steps.c src/validate/steps.h \
	src/validate/symbols.c src/validate/symbols.h \
	src/validate/validate.c src/validate/validate.h
# A product and a sum rounded as one would make results differ from machine to machine.
libvalidate_la_CFLAGS = $(JOBTAB_CFLAGS) $(JANSSON_CFLAGS) -ffp-contract=off
libvalidate_la_LIBADD = $(JANSSON_LIBS) $(CSV_LIBS) -lm
libvalidate_la_LDFLAGS =
libvalidate_la_LIBTOOLFLAGS = --tag=disable-shared

bin_PROGRAMS += jobtab-validate
jobtab_validate_SOURCES = src/validate/main.c
jobtab_validate_CFLAGS = $(JOBTAB_CFLAGS) $(JANSSON_CFLAGS)
jobtab_validate_LDADD = libvalidate.la libcommon.la libjobtab.la $(JANSSON_LIBS)

dist_man_MANS += src/validate/jobtab-validate.1
EXTRA_DIST += conf/prices/broker.csv conf/prices/exchange.csv conf/prices/vendor.csv \
	contrib/sample-prices.py
