// Faults of the start: before the handshake, in it, and while a model loads.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "json.h"

static void mute(long id) { (void)id; }

static void early(void) {
  fprintf(stderr, "chaos: no licence for this machine\n");
  usleep(1000);
  _exit(7);
}

// Starts when there is a file `go` in its home.
static void hold(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/go", getenv("HOME") ? getenv("HOME") : "");
  while (access(path, F_OK) != 0) usleep(5000);
}

// Answers, and reads nothing more.
static void unread(long id) {
  initialize(id);
  stops_reading = 1;
}

static void version(long id, const char *text) {
  say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{%s\"engine\":{\"name\":\"chaos\",\"version\":\"1\"},\"features\":[]}}", id,
      text);
}
static void newer(long id) { version(id, "\"protocolVersion\":99,"); }
static void older(long id) { version(id, "\"protocolVersion\":0,"); }
static void none(long id) { version(id, ""); }
static void nonsense(long id) { version(id, "\"protocolVersion\":\"banana\","); }
static void refuses(long id) {
  say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32005,\"message\":\"this engine speaks 2 and 3\",\"data\":{\"class\":\"unsupported\"}}}",
      id);
}

static void load_silent(long id, const char *params) { (void)id, (void)params; }

// Says for a while that it goes on, then is done.
static void load_lively(long id, const char *params) {
  char model[256];
  json_text(json_find(json_find(params, "model"), "id"), model, sizeof model, "");
  for (int step = 1; step <= 12; step++) {
    usleep(100000);
    say("{\"jsonrpc\":\"2.0\",\"method\":\"model/progress\",\"params\":{\"model\":\"%s\",\"fraction\":%.2f}}", model, step / 12.0);
  }
  say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{}}", id);
}

const struct start_fault start_faults[] = {
  {"mute", NULL, mute, NULL},
  {"early", early, NULL, NULL},
  {"unread", hold, unread, NULL},
  {"version-newer", NULL, newer, NULL},
  {"version-older", NULL, older, NULL},
  {"version-none", NULL, none, NULL},
  {"version-nonsense", NULL, nonsense, NULL},
  {"version-refused", NULL, refuses, NULL},
  {"load-silent", NULL, NULL, load_silent},
  {"load-lively", NULL, NULL, load_lively},
  {NULL, NULL, NULL, NULL},
};
