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

static bool read_sandbox(struct sandbox *sandbox, const char *option, const char *value) {
  static const char *const kinds[] = {[GRANT_READ] = "--read", [GRANT_WRITE] = "--write", [GRANT_DEVICE] = "--device"};
  for (int kind = GRANT_READ; kind <= GRANT_DEVICE; kind++) {
    if (strcmp(option, kinds[kind]) != 0) continue;
    sandbox->grants[sandbox->grant_count++] = (struct grant){.kind = (enum grant_kind)kind, .path = value};
    return true;
  }
  if (strcmp(option, "--network") == 0) return sandbox->network = strcmp(value, "allow") == 0;
  if (strcmp(option, "--sandbox") != 0) return false;
  if (strcmp(value, "best") == 0) sandbox->mode = SANDBOX_BEST;
  if (strcmp(value, "required") == 0) sandbox->mode = SANDBOX_REQUIRED;
  return sandbox->mode != SANDBOX_OFF;
}

static bool read_identity(struct identity *identity, const char *value) {
  char rest;
  return sscanf(
             value, "%llu:%llu:%llu:%llu:%llu%c", &identity->device, &identity->inode, &identity->size,
             &identity->modified, &identity->changed, &rest) == 5;
}

static bool read_option(struct plan *plan, const char *option, const char *value) {
  rlim_t number;
  if (strcmp(option, "--identity") == 0) return plan->pinned = read_identity(&plan->identity, value);
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
  return read_sandbox(&plan->sandbox, option, value);
}

bool plan_read(struct plan *plan, int argc, char **argv) {
  int i = 1;
  // Never freed: it is needed as long as the program runs.
  plan->sandbox.grants = calloc((size_t)argc, sizeof(struct grant));
  if (!plan->sandbox.grants) return false;
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
