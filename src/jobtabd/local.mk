# src/jobtabd/local.mk - included by Makefile.am

# All but main and the roles, so that tests can link it with roles of their own.
noinst_LTLIBRARIES += libdaemon.la
libdaemon_la_SOURCES = \
	src/jobtabd/conf.c src/jobtabd/conf.h \
	src/jobtabd/conf_check.c \
	src/jobtabd/conf_print.c \
	src/jobtabd/conf_rows.c src/jobtabd/conf_rows.h \
	src/jobtabd/conf_table.c \
	src/jobtabd/crew.c src/jobtabd/crew.h \
	src/jobtabd/listen.c src/jobtabd/listen.h \
	src/jobtabd/log.c src/jobtabd/log.h \
	src/jobtabd/master.c src/jobtabd/master.h \
	src/jobtabd/pidfile.c src/jobtabd/pidfile.h \
	src/jobtabd/role.c src/jobtabd/role.h \
	src/jobtabd/strays.c src/jobtabd/strays.h
libdaemon_la_CFLAGS = $(AM_CFLAGS) $(CONFUSE_CFLAGS)
libdaemon_la_LIBADD = libcommon.la $(CONFUSE_LIBS)

EXTRA_PROGRAMS += jobtabd
jobtabd_SOURCES = src/jobtabd/main.c
jobtabd_CPPFLAGS = $(AM_CPPFLAGS) -DJOBTABD_CONF='"$(sysconfdir)/jobtab/jobtabd.conf"'
jobtabd_CFLAGS = $(AM_CFLAGS) $(H2O_CFLAGS) $(JANSSON_CFLAGS)
jobtabd_LDADD = libdaemon.la libjobtab.la $(H2O_LIBS) $(JANSSON_LIBS)

# the worker

# the runner and the keeper
