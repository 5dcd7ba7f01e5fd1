/* version.c - keeps the library linkable until its first source is there; then it goes. */
#include "jobtab.h"

const char jobtab_build[] = "jobtab";
