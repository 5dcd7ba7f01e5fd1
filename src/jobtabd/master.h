/* master.h - the process that keeps all others alive. */
#ifndef MASTER_H
#define MASTER_H

struct conf;

/* Run until told to stop. Takes `conf`. One byte goes to `started` (-1: nobody waits) once every
 * role can work; nothing but EOF when the start failed. Returns the exit code, 1 after a failed
 * start, with the reasons on stderr and in the log. */
int master_run(struct conf *conf, int started);

#endif
