#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>

/// Carries out what the words say. Returns 0 when it succeeded, else the errno; -1 for an attack that does not exist.
/// `text` gets what was found, without quotes and control characters. `work` is the job's work directory.
int attack(char **words, const char *work, char *text, size_t size);

#endif
