/* job_json.h - jobs and submits as the HTTP interface writes them. */
#ifndef JOB_JSON_H
#define JOB_JSON_H

#include "backend.h"

#include <jansson.h>

/* The job object into an empty view, its `json` left alone. Members that this program does not know
 * are passed over. False when it is no job. */
bool job_json_decode(const json_t *json, struct view *view);

/* The body of POST /run, to be freed; its params, which must be JSON, go in as they stand. NULL
 * when the kind or the key is no UTF-8. */
char *job_json_submit(const struct jobtab_submit *submit);

/* NULL when the text is JSON, else what is wrong with it, valid until the next call. */
const char *job_json_fault(const char *text, size_t size);

#endif
