# tests/unit/local.mk - included by Makefile.am

# src/lib
EXTRA_DIST += tests/unit/valgrind.supp
LIB_TESTS = tests/unit/test_id tests/unit/test_clock tests/unit/test_state \
	tests/unit/test_verbs tests/unit/test_open tests/unit/test_sweep tests/unit/test_read \
	tests/unit/test_verify tests/unit/test_damage tests/unit/test_store \
	tests/unit/test_store_pages tests/unit/test_store_careful \
	tests/unit/test_bell tests/unit/test_turn \
	tests/unit/test_shared tests/unit/test_queue tests/unit/test_parcel tests/unit/test_lead \
	tests/unit/test_doubt tests/unit/test_holders tests/unit/test_restore \
	tests/unit/test_step tests/unit/test_sync tests/unit/test_pending
check_PROGRAMS += $(LIB_TESTS)
if HAVE_TPL
check_PROGRAMS += tests/unit/test_record
endif
if COVERAGE
coverage_tests = $(LIB_TESTS)
if HAVE_TPL
coverage_tests += tests/unit/test_record
endif
endif
check_LTLIBRARIES += tests/unit/libfixture.la
tests_unit_libfixture_la_SOURCES = tests/unit/fixture.c tests/unit/fixture.h tests/unit/beneath.h
tests_unit_libfixture_la_LIBADD = libjobtab.la -lcmocka
if COVERAGE
tests_unit_libfixture_la_SOURCES += tests/unit/flush.c
endif
EXTRA_DIST += tests/unit/coverage.sh tests/unit/coverage.awk
LIB_TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/lib
LIB_TEST_LDADD = tests/unit/libfixture.la libjobtab.la $(LMDB_LIBS) -lcmocka
tests_unit_test_id_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_id_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_clock_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_clock_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_state_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_state_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_record_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_record_LDADD = $(LIB_TEST_LDADD) $(TPL_LIBS)
tests_unit_test_verbs_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_verbs_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_open_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_open_LDADD = $(LIB_TEST_LDADD) -lpthread
tests_unit_test_pending_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_pending_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_sweep_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_sweep_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_read_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_read_LDADD = $(LIB_TEST_LDADD) $(JANSSON_LIBS) -lpthread
tests_unit_test_holders_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_holders_LDADD = $(LIB_TEST_LDADD) -lpthread
tests_unit_test_step_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_step_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_verify_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_verify_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_damage_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_damage_LDADD = $(LIB_TEST_LDADD)
PAGEFILE_SOURCES = tests/unit/pagefile.c tests/unit/pagefile.h
PAGEFILE_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pread -Wl,--wrap=malloc -Wl,--wrap=calloc \
	-Wl,--wrap=realloc
tests_unit_test_store_pages_SOURCES = tests/unit/test_store_pages.c $(PAGEFILE_SOURCES)
tests_unit_test_store_pages_CPPFLAGS = $(LIB_TEST_CPPFLAGS) $(LMDB_CFLAGS)
tests_unit_test_store_pages_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_store_pages_LDFLAGS = $(PAGEFILE_LDFLAGS)
tests_unit_test_store_careful_SOURCES = tests/unit/test_store_careful.c $(PAGEFILE_SOURCES)
tests_unit_test_store_careful_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_store_careful_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_store_careful_LDFLAGS = $(PAGEFILE_LDFLAGS)
# Calls of the store can be made to fail, each in its turn.
tests_unit_test_store_CPPFLAGS = $(LIB_TEST_CPPFLAGS) $(LMDB_CFLAGS)
tests_unit_test_store_LDADD = $(LIB_TEST_LDADD) -lpthread
tests_unit_test_store_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=mdb_env_create -Wl,--wrap=mdb_env_set_maxdbs -Wl,--wrap=mdb_env_set_maxreaders \
	-Wl,--wrap=mdb_env_set_mapsize -Wl,--wrap=mdb_env_open -Wl,--wrap=mdb_env_get_fd \
	-Wl,--wrap=mdb_env_sync -Wl,--wrap=mdb_env_copy2 -Wl,--wrap=mdb_reader_check \
	-Wl,--wrap=mdb_txn_begin -Wl,--wrap=mdb_txn_renew -Wl,--wrap=mdb_dbi_open \
	-Wl,--wrap=mdb_get -Wl,--wrap=mdb_put -Wl,--wrap=mdb_del -Wl,--wrap=mdb_stat \
	-Wl,--wrap=mdb_cursor_open -Wl,--wrap=mdb_cursor_get -Wl,--wrap=mdb_cursor_del \
	-Wl,--wrap=fallocate -Wl,--wrap=getrlimit -Wl,--wrap=rename -Wl,--wrap=unlink \
	-Wl,--wrap=stat -Wl,--wrap=fstat -Wl,--wrap=pread -Wl,--wrap=pwrite \
	-Wl,--wrap=malloc -Wl,--wrap=open -Wl,--wrap=mdb_reader_list -Wl,--wrap=mdb_txn_commit -Wl,--wrap=mdb_env_info -Wl,--wrap=mdb_txn_id \
	-Wl,--wrap=calloc -Wl,--wrap=fcntl
tests_unit_test_bell_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_bell_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_turn_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_turn_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_shared_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_shared_LDADD = $(LIB_TEST_LDADD) -lpthread
tests_unit_test_sync_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_sync_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_queue_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_queue_LDADD = $(LIB_TEST_LDADD) -lpthread
tests_unit_test_parcel_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_parcel_LDADD = $(LIB_TEST_LDADD) -lpthread
tests_unit_test_lead_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_lead_LDADD = $(LIB_TEST_LDADD) -lpthread
tests_unit_test_doubt_SOURCES = tests/unit/test_doubt.c tests/crash/disk/fault.c \
	tests/crash/disk/fault.h
tests_unit_test_doubt_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_doubt_LDADD = $(LIB_TEST_LDADD)
tests_unit_test_restore_CPPFLAGS = $(LIB_TEST_CPPFLAGS)
tests_unit_test_restore_LDADD = $(LIB_TEST_LDADD) -lpthread

# src/common
check_PROGRAMS += tests/unit/test_units
tests_unit_test_units_SOURCES = tests/unit/test_units.c
tests_unit_test_units_LDADD = libcommon.la -lcmocka

# src/jobtabd: configuration and master
check_PROGRAMS += tests/unit/test_conf_rows
tests_unit_test_conf_rows_SOURCES = tests/unit/test_conf_rows.c
tests_unit_test_conf_rows_LDADD = libdaemon.la libjobtab.la -lcmocka
check_PROGRAMS += tests/unit/test_conf
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c
tests_unit_test_conf_CFLAGS = $(JOBTAB_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_test_conf_LDADD = libdaemon.la libjobtab.la $(OPENSSL_LIBS) -lcmocka
tests_unit_test_conf_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=strdup -Wl,--wrap=calloc
check_PROGRAMS += tests/unit/test_conf_table tests/unit/test_log tests/unit/test_pidfile \
	tests/unit/test_proc
tests_unit_test_conf_table_LDADD = libdaemon.la libjobtab.la -lcmocka
tests_unit_test_log_LDADD = libdaemon.la libjobtab.la -lcmocka
tests_unit_test_pidfile_LDADD = libdaemon.la libjobtab.la -lcmocka
tests_unit_test_proc_LDADD = libdaemon.la libjobtab.la -lcmocka

# src/jobtab
check_PROGRAMS += tests/unit/test_show
tests_unit_test_show_SOURCES = tests/unit/test_show.c src/jobtab/show.c src/jobtab/show.h
tests_unit_test_show_LDADD = -lcmocka
check_PROGRAMS += tests/unit/test_job_json
tests_unit_test_job_json_SOURCES = tests/unit/test_job_json.c src/jobtab/job_json.c \
	src/jobtab/job_json.h src/jobtab/backend.c src/jobtab/backend.h
tests_unit_test_job_json_CFLAGS = $(JOBTAB_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_job_json_LDADD = libcommon.la libjobtab.la $(JANSSON_LIBS) -lcmocka
check_PROGRAMS += tests/unit/test_moved
tests_unit_test_moved_SOURCES = tests/unit/test_moved.c $(IMPORT_SOURCES) \
	src/jobtab/seen.c src/jobtab/seen.h
tests_unit_test_moved_CFLAGS = $(JOBTAB_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_moved_LDADD = libcommon.la libjobtab.la $(JANSSON_LIBS) -lcmocka -lm

check_PROGRAMS += tests/unit/test_json_scan
tests_unit_test_json_scan_SOURCES = tests/unit/test_json_scan.c
tests_unit_test_json_scan_LDADD = libcommon.la $(JANSSON_LIBS) -lcmocka

# src/jobtabd: the worker's parts that know no HTTP library
check_PROGRAMS += tests/unit/test_http_guard tests/unit/test_http_route tests/unit/test_http_body \
	tests/unit/test_writer
tests_unit_test_http_guard_SOURCES = tests/unit/test_http_guard.c src/jobtabd/http/guard.c
tests_unit_test_http_guard_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/jobtabd
tests_unit_test_http_guard_LDADD = -lcmocka
tests_unit_test_http_route_SOURCES = tests/unit/test_http_route.c src/jobtabd/http/route.c \
	src/jobtabd/http/query.c src/jobtabd/http/etag.c
tests_unit_test_http_route_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/jobtabd
tests_unit_test_http_route_LDADD = -lcmocka
tests_unit_test_http_body_SOURCES = tests/unit/test_http_body.c src/jobtabd/http/body.c
tests_unit_test_http_body_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/jobtabd
tests_unit_test_http_body_LDADD = libcommon.la $(JANSSON_LIBS) -lcmocka
tests_unit_test_writer_SOURCES = tests/unit/test_writer.c src/jobtabd/writer.c \
	src/jobtabd/heart.c
tests_unit_test_writer_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/jobtabd
tests_unit_test_writer_LDADD = -lcmocka

# src/jobtabd: a job child
check_PROGRAMS += tests/unit/test_text tests/unit/test_report_line tests/unit/test_child_env \
	tests/unit/test_ending tests/unit/test_spawn
tests_unit_test_text_SOURCES = tests/unit/test_text.c src/jobtabd/text.c src/jobtabd/text.h
tests_unit_test_text_LDADD = -lcmocka
tests_unit_test_report_line_SOURCES = tests/unit/test_report_line.c \
	src/jobtabd/report_line.c src/jobtabd/report_line.h src/jobtabd/text.c src/jobtabd/text.h
tests_unit_test_report_line_LDADD = -lcmocka
tests_unit_test_child_env_SOURCES = tests/unit/test_child_env.c \
	src/jobtabd/child_env.c src/jobtabd/child_env.h
tests_unit_test_child_env_LDADD = -lcmocka
tests_unit_test_ending_SOURCES = tests/unit/test_ending.c \
	src/jobtabd/ending.c src/jobtabd/ending.h src/jobtabd/text.c src/jobtabd/text.h
tests_unit_test_ending_LDADD = libcommon.la -lcmocka
tests_unit_test_spawn_SOURCES = tests/unit/test_spawn.c src/jobtabd/spawn.c src/jobtabd/spawn.h
tests_unit_test_spawn_LDADD = -lcmocka

# src/validate
check_PROGRAMS += tests/unit/test_params tests/unit/test_reader tests/unit/test_rows \
	tests/unit/test_scan
tests_unit_test_params_SOURCES = tests/unit/test_params.c
tests_unit_test_params_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/validate
tests_unit_test_params_LDADD = libvalidate.la libcommon.la -lcmocka
tests_unit_test_reader_SOURCES = tests/unit/test_reader.c
tests_unit_test_reader_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/validate
tests_unit_test_reader_LDADD = libvalidate.la -lcmocka
tests_unit_test_rows_SOURCES = tests/unit/test_rows.c
tests_unit_test_rows_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/validate
tests_unit_test_rows_LDADD = libvalidate.la -lcmocka
tests_unit_test_scan_SOURCES = tests/unit/test_scan.c
tests_unit_test_scan_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/validate
tests_unit_test_scan_LDADD = libvalidate.la -lcmocka
