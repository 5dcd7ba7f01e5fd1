# tests/unit/local.mk - included by Makefile.am

# src/common
check_PROGRAMS += tests/unit/test_units
tests_unit_test_units_SOURCES = tests/unit/test_units.c
tests_unit_test_units_LDADD = libcommon.la -lcmocka

# src/jobtab
check_PROGRAMS += tests/unit/test_show
tests_unit_test_show_SOURCES = tests/unit/test_show.c src/jobtab/show.c src/jobtab/show.h
tests_unit_test_show_LDADD = -lcmocka
