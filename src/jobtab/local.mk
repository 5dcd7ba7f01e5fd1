# src/jobtab/local.mk - included by Makefile.am
