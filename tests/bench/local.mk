# tests/bench/local.mk - included by Makefile.am
# Not built by `make` or `make check`: `make bench` (five minutes at most) and `make bench-long`.
#   make bench BENCH_FLAGS='--rows get-32,post-*'     bench.py --help has the others

# A program that a row runs is named here, and has its sources below.
bench_programs = \
	tests/bench/load \
	tests/bench/bare_h2o \
	tests/bench/empty_child \
	tests/bench/feed \
	tests/bench/jobs \
	tests/bench/lib_commit_wake \
	tests/bench/lib_get \
	tests/bench/lib_reports \
	tests/bench/lib_scale

EXTRA_PROGRAMS += $(bench_programs)

tests_bench_load_SOURCES = tests/bench/load.c
tests_bench_bare_h2o_SOURCES = tests/bench/bare_h2o.c
tests_bench_bare_h2o_CFLAGS = $(AM_CFLAGS) $(H2O_CFLAGS)
tests_bench_bare_h2o_LDADD = $(H2O_LIBS)
tests_bench_feed_SOURCES = tests/bench/feed.c
tests_bench_feed_LDADD = libjobtab.la
tests_bench_empty_child_SOURCES = tests/bench/empty_child.c
tests_bench_empty_child_LDADD = libjobtab.la
# What measures libjobtab itself.
lib_sources = tests/bench/lib.c tests/bench/lib.h
lib_cflags = $(AM_CFLAGS) $(LMDB_CFLAGS)
lib_ldadd = libjobtab.la $(LMDB_LIBS)
tests_bench_jobs_SOURCES = tests/bench/jobs.c $(lib_sources)
tests_bench_jobs_CFLAGS = $(lib_cflags)
tests_bench_jobs_LDADD = $(lib_ldadd)
tests_bench_lib_commit_wake_SOURCES = tests/bench/lib_commit_wake.c $(lib_sources)
tests_bench_lib_commit_wake_CFLAGS = $(lib_cflags)
tests_bench_lib_commit_wake_LDADD = $(lib_ldadd)
tests_bench_lib_get_SOURCES = tests/bench/lib_get.c $(lib_sources)
tests_bench_lib_get_CFLAGS = $(lib_cflags)
tests_bench_lib_get_LDADD = $(lib_ldadd)
tests_bench_lib_reports_SOURCES = tests/bench/lib_reports.c $(lib_sources)
tests_bench_lib_reports_CFLAGS = $(lib_cflags)
tests_bench_lib_reports_LDADD = $(lib_ldadd)
tests_bench_lib_scale_SOURCES = tests/bench/lib_scale.c $(lib_sources)
tests_bench_lib_scale_CFLAGS = $(lib_cflags)
tests_bench_lib_scale_LDADD = $(lib_ldadd)

# One a line: rows that are added meet in no conflict.
EXTRA_DIST += \
	tests/bench/bench.py \
	tests/bench/bullmq.js \
	tests/bench/fastapi_app.py \
	tests/bench/harness.py \
	tests/bench/nginx.conf.in \
	tests/bench/peers.py \
	tests/bench/plot.py \
	tests/bench/prices.py \
	tests/bench/report.py \
	tests/bench/rows_http.py \
	tests/bench/rows_jobs.py \
	tests/bench/rows_lib.py \
	tests/bench/rows_queue.py \
	tests/bench/rows_scale.py \
	tests/bench/rows_validate.py \
	tests/bench/sqlite_submit.py \
	tests/bench/validate.awk \
	tests/bench/validate_pandas.py

bench-programs: all
	@$(MAKE) $(AM_MAKEFLAGS) -s --no-print-directory $(bench_programs)

BENCH_FLAGS =
bench bench-long: bench-programs
	@form=$@; form=$${form#bench}; form=$${form#-}; \
	PYTHONDONTWRITEBYTECODE=1 python3 '$(srcdir)/tests/bench/bench.py' $${form:-short} \
	    --build '$(abs_top_builddir)' $(BENCH_FLAGS)
.PHONY: bench bench-long bench-programs

MOSTLYCLEANFILES += bench-result.txt bench-result.json bench-result.svg
CLEANFILES += $(bench_programs)

clean-local: clean-bench
clean-bench:
	rm -rf bench-cache
.PHONY: clean-bench

# Instructions of the hot paths against the stored figures: see counts.py. The driver needs
# valgrind's header; the figures hold for the flags that configure chooses and no others.
EXTRA_PROGRAMS += tests/bench/counts
tests_bench_counts_SOURCES = tests/bench/counts.c
tests_bench_counts_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/validate
tests_bench_counts_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS) $(JANSSON_CFLAGS)
tests_bench_counts_LDADD = libvalidate.la libcommon.la libjobtab.la $(LMDB_LIBS) \
	$(JANSSON_LIBS)
EXTRA_DIST += tests/bench/counts.py tests/bench/counts.expected
CLEANFILES += tests/bench/counts$(EXEEXT)

counts: tests/bench/counts$(EXEEXT)
	python3 $(srcdir)/tests/bench/counts.py check --build $(builddir)
counts-update: tests/bench/counts$(EXEEXT)
	python3 $(srcdir)/tests/bench/counts.py update --build $(builddir)
# make counts-profile COUNTS_PATH=submit-64
counts-profile: tests/bench/counts$(EXEEXT)
	python3 $(srcdir)/tests/bench/counts.py profile $(COUNTS_PATH) --build $(builddir)
.PHONY: counts counts-update counts-profile
