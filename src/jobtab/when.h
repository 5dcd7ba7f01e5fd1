/* when.h - instants as other systems write them. */
#ifndef WHEN_H
#define WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* "2026-11-23T06:11:02.123Z", "2026-11-23 06:11:02.123456+01:00", "2026-11-23"; without a zone it
 * is UTC. Or a number since 1970: of milliseconds from 100,000,000,000 on, of seconds below. False
 * when the text is none. */
bool when_parse(const char *text, int64_t *time_ms);

#endif
