# src/jobtab/local.mk - included by Makefile.am

bin_PROGRAMS += jobtab
jobtab_SOURCES = \
	src/jobtab/backend.c src/jobtab/backend.h \
	src/jobtab/backend_http.c \
	src/jobtab/backend_table.c \
	src/jobtab/change.c \
	src/jobtab/cli.h \
	src/jobtab/client.c src/jobtab/client.h \
	src/jobtab/command.c src/jobtab/command.h \
	src/jobtab/follow.c src/jobtab/follow.h \
	src/jobtab/job_json.c src/jobtab/job_json.h \
	src/jobtab/keep.c \
	src/jobtab/look.c \
	src/jobtab/main.c \
	src/jobtab/need.h \
	src/jobtab/number.h \
	src/jobtab/options.c src/jobtab/options.h \
	src/jobtab/print.c src/jobtab/print.h \
	src/jobtab/report.c \
	src/jobtab/show.c src/jobtab/show.h \
	src/jobtab/stat.c \
	src/jobtab/submit.c
jobtab_CFLAGS = $(JOBTAB_CFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS)
jobtab_LDADD = libcommon.la libjobtab.la $(CURL_LIBS) $(JANSSON_LIBS)
dist_man_MANS += src/jobtab/jobtab.1
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = contrib/completion/jobtab
