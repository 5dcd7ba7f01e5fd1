# tests/bench/local.mk - included by Makefile.am
# Not built by `make` or `make check`: `make bench` (three minutes at most) and `make bench-long`.
EXTRA_PROGRAMS += tests/bench/load tests/bench/bare_h2o

tests_bench_load_SOURCES = tests/bench/load.c
tests_bench_bare_h2o_SOURCES = tests/bench/bare_h2o.c
tests_bench_bare_h2o_CFLAGS = $(AM_CFLAGS) $(H2O_CFLAGS)
tests_bench_bare_h2o_LDADD = $(H2O_LIBS)

EXTRA_DIST += tests/bench/bench.py

BENCH_FLAGS =
bench bench-long: jobtabd$(EXEEXT) tests/bench/load$(EXEEXT) tests/bench/bare_h2o$(EXEEXT)
	form=$@; form=$${form#bench}; form=$${form#-}; \
	python3 $(srcdir)/tests/bench/bench.py $${form:-short} --build $(top_builddir) $(BENCH_FLAGS)
.PHONY: bench bench-long

MOSTLYCLEANFILES += bench-result.txt bench-result.json
CLEANFILES += tests/bench/load$(EXEEXT) tests/bench/bare_h2o$(EXEEXT)
