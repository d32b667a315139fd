#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const char *text, rlim_t *number) {
  if (text[0] < '0' || text[0] > '9') return false;
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || *end != '\0') return false;
  *number = (rlim_t)value;
  return true;
}

static const char *const limit_options[LIMIT_COUNT] = {
    [LIMIT_OPEN_FILES] = "--open-files",
    [LIMIT_ADDRESS_SPACE] = "--address-space",
    [LIMIT_PROCESSES] = "--processes",
    [LIMIT_FILE_SIZE] = "--file-size",
};

static bool read_option(struct plan *plan, const char *option, const char *value) {
  rlim_t number;
  if (strcmp(option, "--directory") == 0) {
    plan->directory = value;
    return true;
  }
  if (strcmp(option, "--parent") == 0) {
    if (!read_number(value, &number)) return false;
    plan->parent = (pid_t)number;
    return true;
  }
  for (int i = 0; i < LIMIT_COUNT; i++) {
    if (strcmp(option, limit_options[i]) != 0) continue;
    plan->limited[i] = read_number(value, &plan->limits[i]);
    return plan->limited[i];
  }
  return false;
}

bool plan_read(struct plan *plan, int argc, char **argv) {
  int i = 1;
  while (i < argc && strcmp(argv[i], "--") != 0) {
    if (i + 1 >= argc || !read_option(plan, argv[i], argv[i + 1])) {
      fprintf(stderr, "launch: bad option or value: %s\n", argv[i]);
      return false;
    }
    i += 2;
  }
  if (i + 1 >= argc || plan->parent <= 0) {
    fprintf(stderr, "launch is started by the Stoker host: launch --parent PID [option...] -- FILE [ARGUMENT...]\n");
    return false;
  }
  plan->command = argv + i + 1;
  return true;
}
