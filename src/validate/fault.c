/* fault.c - why a validation could not be carried out. */
#include "config.h"

#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fault_printable(char *to, size_t room, const char *text, size_t size)
{
    if (size > room - 1)
        size = room - 1;
    for (size_t i = 0; i < size; i++)
        to[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    to[size] = '\0';
}

enum fault_kind fault_of(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE ? FAULT_SYSTEM : FAULT_INVALID;
}

int fault_set(struct fault *fault, enum fault_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault->kind = kind;
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    fault_printable(fault->text, sizeof fault->text, fault->text, strlen(fault->text));
    return -1;
}
