# tests/system/local.mk - included by Makefile.am
