# src/lib/local.mk - included by Makefile.am
