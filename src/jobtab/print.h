/* print.h - jobs for people. */
#ifndef PRINT_H
#define PRINT_H

#include "backend.h"
#include "show.h"

enum show_colour print_state_colour(enum jobtab_state state);

/* All of one job, a line for each thing there is to say. */
void print_job(const struct show *show, const struct view *view);

/* A table of jobs: begin, add each, show_table_end. */
struct show_table *print_jobs(const struct show *show);
void print_jobs_add(struct show_table *table, const struct jobtab_job *job);

/* How a finished job ended, on one line: with its time and last words for a person, the bare
 * status for a program. */
void print_end(const struct show *show, const struct jobtab_job *job);

/* How long the job has run or ran; for one that has not begun, how long it has waited. */
void print_elapsed(const struct jobtab_job *job, char text[SHOW_FIGURE]);

#endif
