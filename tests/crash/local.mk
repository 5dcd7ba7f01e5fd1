# tests/crash/local.mk - included by Makefile.am
