# src/common/local.mk - included by Makefile.am

noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = src/common/units.c src/common/units.h
