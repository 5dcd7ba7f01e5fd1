# src/jobtabd/local.mk - included by Makefile.am
