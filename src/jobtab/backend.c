/* backend.c - what both backends share. */
#include "backend.h"

#include <stdlib.h>

void view_free(struct view *view)
{
    free(view->params);
    free(view->result);
    free(view->json);
    *view = (struct view){0};
}

int backend_exit_code(int error)
{
    switch (error) {
    case JOBTAB_OK:
        return EXIT_FINE;
    case JOBTAB_NOTABLE:
    case JOBTAB_SCHEMA:
    case JOBTAB_SYSTEM:
    case JOBTAB_BROKEN:
        return EXIT_UNREACHABLE;
    default:
        return EXIT_REFUSED;
    }
}
