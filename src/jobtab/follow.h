/* follow.h - stay with a job until it is done. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "cli.h"

enum follow_style {
    FOLLOW_QUIET,
    FOLLOW_BAR,   /* one line that is drawn again, on standard error */
    FOLLOW_LINES, /* a line for each change, on standard output */
    FOLLOW_JSON,  /* a job object for each change, on standard output */
};

/* An interrupt from the terminal ends the program from now on, and says that the job goes on. */
void follow_interrupts(const struct cli *cli, const struct jobtab_id *id);

/* Keep the view up to date until its job is done. EXIT_FINE then, however the job ended; failures
 * have been complained of. */
int follow(struct cli *cli, struct view *view, enum follow_style style);

/* EXIT_FINE for a job that completed or is not done, else EXIT_REFUSED. */
int follow_verdict(const struct jobtab_job *job);

#endif
