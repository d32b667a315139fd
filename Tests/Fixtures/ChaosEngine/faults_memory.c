// Faults of memory.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "json.h"

static void take_memory(void) {
  for (;;) {
    char *block = malloc(1 << 20);
    if (block == NULL) return;
    memset(block, 1, 1 << 20);
  }
}

// {"group": path}: joins a control group whose memory is limited, and takes more than there is.
static void memory(struct job *job, const char *task) {
  (void)job;
  char group[4096], path[8192], text[32];
  json_text(json_find(task, "group"), group, sizeof group, "");
  snprintf(path, sizeof path, "%s/cgroup.procs", group);
  int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, text, (size_t)length) != length) {
    fprintf(stderr, "chaos: cannot join %s\n", group);
    _exit(8);
  }
  close(file);
  take_memory();
}

// Takes memory until there is none, and says so as the protocol wants it said.
static void full(struct job *job, const char *task) {
  (void)task;
  take_memory();
  say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32003,\"message\":\"no memory is left\",\"data\":{\"class\":\"resource\"}}}",
      job->request);
  job->used = 0;
}

const struct job_fault memory_faults[] = {{"memory", memory}, {"full", full}, {NULL, NULL}};
