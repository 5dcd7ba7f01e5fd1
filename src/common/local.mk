# src/common/local.mk - included by Makefile.am
