// Faults of flow: pipes that are not read, or flooded.
#include <stddef.h>

#include "engine.h"

// Reads nothing more, whatever is sent.
static void unread(struct job *job, const char *task) {
  (void)task;
  job->due = 0;
  stops_reading = 1;
}

const struct job_fault flow_faults[] = {{"unread", unread}, {NULL, NULL}};
