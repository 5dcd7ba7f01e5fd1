/* options.h - the command line's options, and the help that comes from their table. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "command.h"

/* The command line into cli and *command. EXIT_FINE to go on, EXIT_USAGE after complaining, and
 * OPTIONS_DONE when the user asked for what options themselves can answer. */
enum { OPTIONS_DONE = -1 };
int options_parse(struct cli *cli, int argc, char **argv, const struct command **command);

#endif
