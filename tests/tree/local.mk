# tests/tree/local.mk - included by Makefile.am
# Tests of the tree itself: who includes whom, what the library exports.
dist_check_SCRIPTS += tests/tree/layers.sh tests/tree/exports.sh \
	tests/tree/install.sh
EXTRA_DIST += tests/tree/layers.awk
TESTS += tests/tree/layers.sh tests/tree/exports.sh

installcheck-local:
	CC='$(CC)' $(SHELL) $(srcdir)/tests/tree/install.sh '$(DESTDIR)$(prefix)'
