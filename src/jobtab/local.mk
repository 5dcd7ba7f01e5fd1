# src/jobtab/local.mk - included by Makefile.am

# From a row of whatever origin to a job: tests and fuzzing take these, too.
IMPORT_SOURCES = src/jobtab/base64.c src/jobtab/base64.h \
	src/jobtab/mapping.c src/jobtab/mapping.h \
	src/jobtab/moved.c src/jobtab/moved.h src/jobtab/making.h \
	src/jobtab/making_fields.c src/jobtab/making_parts.c \
	src/jobtab/row.c src/jobtab/row.h \
	src/jobtab/when.c src/jobtab/when.h
bin_PROGRAMS += jobtab
jobtab_SOURCES = \
	$(IMPORT_SOURCES) \
	src/jobtab/backend.c src/jobtab/backend.h \
	src/jobtab/backend_http.c \
	src/jobtab/backend_table.c \
	src/jobtab/change.c \
	src/jobtab/cli.h \
	src/jobtab/client.c src/jobtab/client.h \
	src/jobtab/command.c src/jobtab/command.h \
	src/jobtab/export.c \
	src/jobtab/export_sqlite.c src/jobtab/export_sqlite.h \
	src/jobtab/follow.c src/jobtab/follow.h \
	src/jobtab/import.c \
	src/jobtab/job_json.c src/jobtab/job_json.h \
	src/jobtab/keep.c \
	src/jobtab/look.c \
	src/jobtab/main.c \
	src/jobtab/need.h \
	src/jobtab/number.h \
	src/jobtab/options.c src/jobtab/options.h \
	src/jobtab/print.c src/jobtab/print.h \
	src/jobtab/report.c \
	src/jobtab/seen.c src/jobtab/seen.h \
	src/jobtab/show.c src/jobtab/show.h \
	src/jobtab/source.h src/jobtab/source_lines.c \
	src/jobtab/source_redis.c src/jobtab/source_sqlite.c \
	src/jobtab/stat.c \
	src/jobtab/submit.c
jobtab_CFLAGS = $(JOBTAB_CFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS) $(HIREDIS_CFLAGS) $(SQLITE3_CFLAGS)
jobtab_LDADD = libcommon.la libjobtab.la $(CURL_LIBS) $(JANSSON_LIBS) $(HIREDIS_LIBS) \
	$(SQLITE3_LIBS) -lm
dist_man_MANS += src/jobtab/jobtab.1
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = contrib/completion/jobtab
