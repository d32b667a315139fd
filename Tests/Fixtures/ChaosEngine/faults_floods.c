// Faults of flow out of the engine: more than anybody can take, and pipes that are closed.
//
// {"after": 1} answers the job first, so that the fault happens in an engine that is idle.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
#include "json.h"

enum { BLOCK = 1 << 16 };
static char block[BLOCK];

static void put_all(int descriptor, const char *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t count = write(descriptor, bytes + at, length - at);
    if (count < 0) _exit(5);
    at += (size_t)count;
  }
}

static void answer_first(struct job *job, const char *task) {
  if (json_find(task, "after")) finish(job);
}

// {"ms": n}: as much of it as the host takes in that time: progress that changes with every message, {"what": "log"} log
// messages, {"what": "unknown"} notifications that nobody knows. The answer says how many bytes that was.
static void flood(struct job *job, const char *task) {
  char kind[16];
  json_text(json_find(task, "what"), kind, sizeof kind, "progress");
  size_t length = 0;
  for (long step = 0; length < BLOCK - 512; step++) {
    if (strcmp(kind, "log") == 0) {
      length += (size_t)sprintf(
        block + length,
        "{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{\"level\":\"warn\",\"message\":\"line %ld\",\"jobId\":\"%s\"}}\n", step,
        job->id);
    } else {
      length += (size_t)sprintf(
        block + length, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":{\"jobId\":\"%s\",\"step\":%ld,\"message\":\"flood\"}}\n",
        strcmp(kind, "unknown") == 0 ? "job/gossip" : "job/progress", job->id, step);
    }
  }
  answer_first(job, task);
  long until = now_ms() + json_long(json_find(task, "ms"), 1000), bytes = 0;
  while (now_ms() < until) {
    put_all(STDOUT_FILENO, block, length);
    bytes += (long)length;
  }
  if (!job->used) return;
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"job\":\"%s\",\"attempt\":%ld,\"bytes\":%ld}}}", job->request, job->id,
    job->attempt, bytes);
  job->used = 0;
}

// {"bytes": n, "form": "lines"}: to stderr. "none" has no line ends, "cr" has carriage returns only.
static void errors(struct job *job, const char *task) {
  char form[16];
  json_text(json_find(task, "form"), form, sizeof form, "lines");
  memset(block, 'e', sizeof block);
  if (strcmp(form, "none") != 0) {
    for (size_t at = 79; at < sizeof block; at += 80) block[at] = strcmp(form, "cr") == 0 ? '\r' : '\n';
  }
  answer_first(job, task);
  long left = json_long(json_find(task, "bytes"), 1 << 20);
  for (; left > 0; left -= BLOCK) put_all(STDERR_FILENO, block, left < BLOCK ? (size_t)left : BLOCK);
  static const char end[] = "\nthe flood is over\n";
  put_all(STDERR_FILENO, end, sizeof end - 1);
  if (job->used) finish(job);
}

// {"descriptor": n}: closed; the job hangs unless it was answered first, or unless {"answer": 1} answers it afterwards.
static void closes(struct job *job, const char *task) {
  answer_first(job, task);
  int descriptor = (int)json_long(json_find(task, "descriptor"), 1);
  close(descriptor);
  if (descriptor == STDIN_FILENO) stops_reading = 1;
  if (json_find(task, "answer")) finish(job);
  else job->due = 0;
}

// Text that would like to be more than text: on stderr, on stdout, in messages, in fields, in the error.
static void inject(struct job *job, const char *task) {
  (void)task;
  static const char evil[] =
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred\r2026-01-01T00:00:00.000Z error   host: all jobs are lost\x9b"
    "31m\xe2\x80\xae" "gpj.exe \xc2\x9b" "5m\n";
  put_all(STDERR_FILENO, evil, sizeof evil - 1);
  put_all(STDOUT_FILENO, evil, sizeof evil - 1);
  static const char forged[] = "2026-01-01T00:00:00.000Z error   host: forged on stderr\n";
  put_all(STDERR_FILENO, forged, sizeof forged - 1);
  // Escapes that become control characters when the host has read them.
  static const char escaped[] =
    "\\u001b[2J\\u001b]0;owned\\u0007\\n2026-01-01T00:00:00.000Z error   host: forged in a message\\u2028\\u202e\\u0085\\u009b5m";
  static const char *const levels[] = {"critical", "emergency\\nhost", "info"};
  for (size_t index = 0; index < sizeof levels / sizeof *levels; index++) {
    say(
      "{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{\"level\":\"%s\",\"message\":\"%s\",\"jobId\":\"%s%s\",\"fields\":{\"%s\":\"%s\"}}}",
      levels[index], escaped, job->id, escaped, escaped, escaped);
  }
  // One field that almost fills a line.
  memset(block, 'f', sizeof block);
  begin_line("{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{\"level\":\"info\",\"message\":\"");
  for (int count = 0; count < 15; count++) put_all(STDOUT_FILENO, block, sizeof block);
  static const char end[] = "\"}}\n";
  put_all(STDOUT_FILENO, end, sizeof end - 1);
  say(
    "{\"jsonrpc\":\"2.0\",\"method\":\"job/progress\",\"params\":{\"jobId\":\"%s\",\"stage\":\"%s\",\"message\":\"%s\"}}", job->id, escaped,
    escaped);
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32001,\"message\":\"%s\",\"data\":{\"class\":\"bad_input\",\"evidence\":\"%s\"}}}",
    job->request, escaped, escaped);
  job->used = 0;
}

const struct job_fault flood_faults[] = {
  {"flood", flood}, {"errors", errors}, {"closes", closes}, {"inject", inject}, {NULL, NULL}};
