# src/jobtabd/local.mk - included by Makefile.am

# All but main and the roles, so that tests can link it with roles of their own.
noinst_LTLIBRARIES += libdaemon.la
libdaemon_la_SOURCES = \
	src/jobtabd/burial.c src/jobtabd/burial.h \
	src/jobtabd/conf.c src/jobtabd/conf.h \
	src/jobtabd/conf_check.c \
	src/jobtabd/conf_print.c \
	src/jobtabd/conf_rows.c src/jobtabd/conf_rows.h \
	src/jobtabd/conf_apart.c src/jobtabd/conf_apart.h \
	src/jobtabd/conf_syntax.c src/jobtabd/conf_syntax.h \
	src/jobtabd/conf_table.c \
	src/jobtabd/crew.c src/jobtabd/crew.h \
	src/jobtabd/heart.c src/jobtabd/heart.h \
	src/jobtabd/listen.c src/jobtabd/listen.h \
	src/jobtabd/log.c src/jobtabd/log.h \
	src/jobtabd/master.c src/jobtabd/master.h \
	src/jobtabd/memory.c src/jobtabd/memory.h \
	src/jobtabd/monotonic.h \
	src/jobtabd/muster.c src/jobtabd/muster.h \
	src/jobtabd/pidfile.c src/jobtabd/pidfile.h \
	src/jobtabd/proc.c src/jobtabd/proc.h \
	src/jobtabd/role.c src/jobtabd/role.h src/jobtabd/role_table.c src/jobtabd/role_table.h \
	src/jobtabd/strays.c src/jobtabd/strays.h \
	src/jobtabd/talk.h \
	src/jobtabd/tls.c src/jobtabd/tls.h \
	src/jobtabd/watchdog.c src/jobtabd/watchdog.h
libdaemon_la_LIBTOOLFLAGS = --tag=disable-shared
libdaemon_la_CFLAGS = $(AM_CFLAGS) $(CONFUSE_CFLAGS) $(OPENSSL_CFLAGS)
libdaemon_la_LIBADD = libcommon.la $(CONFUSE_LIBS) $(OPENSSL_LIBS)

sbin_PROGRAMS += jobtabd
jobtabd_SOURCES = src/jobtabd/main.c
jobtabd_CPPFLAGS = $(AM_CPPFLAGS) -DJOBTABD_CONF='"$(sysconfdir)/jobtab/jobtabd.conf"'
jobtabd_CFLAGS = $(AM_CFLAGS) $(H2O_CFLAGS) $(JANSSON_CFLAGS)
jobtabd_LDADD = libdaemon.la libjobtab.la $(H2O_LIBS) $(JANSSON_LIBS)

dist_man_MANS += src/jobtabd/jobtabd.8 src/jobtabd/jobtabd.conf.5
EXTRA_DIST += conf/jobtabd.conf

# The sample with the places of an installation: what an operator has made of it is never
# overwritten, and goes with an uninstall only if it is as it was.
samplepricesdir = $(pkgdatadir)/prices
dist_sampleprices_DATA = conf/prices/broker.csv conf/prices/exchange.csv conf/prices/vendor.csv
installed_conf = $(DESTDIR)$(sysconfdir)/jobtab/jobtabd.conf
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/jobtab'
	sed -e 's|"var/|"$(localstatedir)/lib/jobtab/|' \
	    -e 's|"conf/prices"|"$(samplepricesdir)"|' \
	    '$(srcdir)/conf/jobtabd.conf' > '$(installed_conf).sample'
	test -e '$(installed_conf)' || cp '$(installed_conf).sample' '$(installed_conf)'
uninstall-local:
	! cmp -s '$(installed_conf).sample' '$(installed_conf)' || rm -f '$(installed_conf)'
	rm -f '$(installed_conf).sample'

# the worker
jobtabd_CPPFLAGS += -I$(top_srcdir)/src/jobtabd
jobtabd_SOURCES += \
	src/jobtabd/worker.c src/jobtabd/opener.c src/jobtabd/opener.h \
	src/jobtabd/writer.c src/jobtabd/writer.h \
	src/jobtabd/http/access.c src/jobtabd/http/access.h \
	src/jobtabd/http/answer.c \
	src/jobtabd/http/body.c src/jobtabd/http/body.h \
	src/jobtabd/http/change.c \
	src/jobtabd/http/etag.c src/jobtabd/http/etag.h \
	src/jobtabd/http/guard.c src/jobtabd/http/guard.h \
	src/jobtabd/http/health.c \
	src/jobtabd/http/http.h \
	src/jobtabd/http/jobs.c \
	src/jobtabd/http/page.c src/jobtabd/http/page.h \
	src/jobtabd/http/problem.c \
	src/jobtabd/http/query.c src/jobtabd/http/query.h \
	src/jobtabd/http/route.c src/jobtabd/http/route.h \
	src/jobtabd/http/routes.c \
	src/jobtabd/http/run.c \
	src/jobtabd/http/server.c src/jobtabd/http/server.h \
	src/jobtabd/http/status.c

# the runner and the keeper
jobtabd_SOURCES += \
	src/jobtabd/bell_thread.c src/jobtabd/bell_thread.h \
	src/jobtabd/child.c src/jobtabd/child.h src/jobtabd/child_own.h \
	src/jobtabd/child_start.c src/jobtabd/child_write.c \
	src/jobtabd/child_env.c src/jobtabd/child_env.h \
	src/jobtabd/child_log.c src/jobtabd/child_log.h \
	src/jobtabd/desk.c src/jobtabd/desk.h \
	src/jobtabd/ending.c src/jobtabd/ending.h \
	src/jobtabd/keeper.c \
	src/jobtabd/lookout.c src/jobtabd/lookout.h \
	src/jobtabd/relay.c src/jobtabd/relay.h \
	src/jobtabd/report_line.c src/jobtabd/report_line.h \
	src/jobtabd/runner.c \
	src/jobtabd/site.h \
	src/jobtabd/spawn.c src/jobtabd/spawn.h \
	src/jobtabd/text.c src/jobtabd/text.h \
	src/jobtabd/warm.c src/jobtabd/warm.h \
	src/jobtabd/watch.c src/jobtabd/watch.h
