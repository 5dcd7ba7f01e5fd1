# src/validate/local.mk - included by Makefile.am
