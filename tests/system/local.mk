# tests/system/local.mk - included by Makefile.am

EXTRA_DIST += tests/system/conftest.py
