// An engine that misbehaves on request, written without the kit so that nothing stands between a fault and the wire.
//
// A job's task chooses: {"mode": "segv", "times": 1}. The fault happens in the first `times` attempts at the job (default 1);
// later ones are answered well, so that a test can see the job succeed elsewhere. {"ms": n} delays the answer,
// {"chunks": n} sends chunks of 1 kB as far as the credit allows,
// {"log": path} appends `JOB ATTEMPT` to a file when the work begins, {"artifact": "NAME"} leaves an artifact that holds the same.
//
// Modes: hang (no answer, obeys a cancel), deaf (no answer, ignores it), family (hang, with a descendant that hides), and those
// of fault_fatal: segv, bus, abort, exit0, stop, partial (half a line, then exit), holder (exits, a child keeps the pipes),
// escape (exits, a descendant hides).
//
// Faults before any job are arguments: --noise (text before the handshake), --mute (no answer to initialize), --early (exits at
// once), --litter (leaves a file in TMPDIR), --concurrency N, --linger (ignores shutdown and the end of its input).
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "json.h"

enum { JOBS = 64, LINE = 1 << 20 };

struct job {
  int used;
  int deaf;
  long request;
  long attempt;
  long due;  // milliseconds on the monotonic clock; 0 for never
  long chunks;
  long sent;
  long credit;
  char id[64];
  char work[4096];
  char artifact[256];
};

static struct job jobs[JOBS];
static long concurrency = 1;
static int mute, linger;

static long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void say(const char *format, ...) {
  static char line[65536];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  line[length++] = '\n';
  for (int at = 0; at < length;) {
    ssize_t count = write(STDOUT_FILENO, line + at, (size_t)(length - at));
    if (count < 0) _exit(5);
    at += (int)count;
  }
}

static void append(const char *path, int flags, const struct job *job) {
  char text[128];
  int length = snprintf(text, sizeof text, "%s %ld\n", job->id, job->attempt);
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
  if (file < 0 || write(file, text, (size_t)length) != length) fprintf(stderr, "chaos: cannot write %s\n", path);
  if (file >= 0) close(file);
}

static void finish(struct job *job) {
  char artifacts[512] = "";
  if (job->artifact[0]) {
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", job->work, job->artifact);
    append(path, O_TRUNC, job);
    int bytes = snprintf(NULL, 0, "%s %ld\n", job->id, job->attempt);
    snprintf(
      artifacts, sizeof artifacts, "{\"name\":\"%s\",\"contentType\":\"text/plain\",\"bytes\":%d}", job->artifact, bytes);
  }
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"job\":\"%s\",\"attempt\":%ld,\"pid\":%d},\"artifacts\":[%s]}}",
    job->request, job->id, job->attempt, (int)getpid(), artifacts);
  job->used = 0;
}

static void advance(struct job *job) {
  while (job->sent < job->chunks && job->sent < job->credit) {
    job->sent++;
    say(
      "{\"jsonrpc\":\"2.0\",\"method\":\"job/chunk\",\"params\":{\"jobId\":\"%s\",\"seq\":%ld,\"text\":\"%01000d\"}}",
      job->id, job->sent, 0);
  }
  if (job->sent == job->chunks && job->due > 0 && job->due <= now_ms()) finish(job);
}

static void begin(long request, const char *params) {
  struct job *job = NULL;
  for (int index = 0; index < JOBS && job == NULL; index++) {
    if (!jobs[index].used) job = &jobs[index];
  }
  if (job == NULL) _exit(6);
  memset(job, 0, sizeof *job);
  const char *task = json_find(params, "task");
  char mode[32], log[4096];
  json_text(json_find(params, "jobId"), job->id, sizeof job->id, "");
  json_text(json_find(params, "workDirectory"), job->work, sizeof job->work, "");
  json_text(json_find(task, "mode"), mode, sizeof mode, "ok");
  json_text(json_find(task, "log"), log, sizeof log, "");
  json_text(json_find(task, "artifact"), job->artifact, sizeof job->artifact, "");
  job->used = 1;
  job->request = request;
  job->attempt = json_long(json_find(params, "attempt"), 1);
  job->credit = json_long(json_find(params, "credit"), 64);
  job->chunks = json_long(json_find(task, "chunks"), 0);
  job->due = now_ms() + json_long(json_find(task, "ms"), 0);
  if (log[0]) append(log, O_APPEND, job);
  if (job->attempt <= json_long(json_find(task, "times"), 1)) {
    if (json_find(task, "litter")) fault_litter();
    if (strcmp(mode, "hang") == 0) job->due = 0;
    if (strcmp(mode, "deaf") == 0) {
      job->due = 0;
      job->deaf = 1;
    }
    if (strcmp(mode, "family") == 0) {
      fault_escape();
      job->due = 0;
    }
    fault_fatal(mode);
  }
  advance(job);
}

static struct job *job_named(const char *params) {
  char id[64];
  json_text(json_find(params, "jobId"), id, sizeof id, "");
  for (int index = 0; index < JOBS; index++) {
    if (jobs[index].used && strcmp(jobs[index].id, id) == 0) return &jobs[index];
  }
  return NULL;
}

static void receive(const char *line) {
  char method[64];
  json_text(json_find(line, "method"), method, sizeof method, "");
  long id = json_long(json_find(line, "id"), -1);
  const char *params = json_find(line, "params");
  if (strcmp(method, "initialize") == 0) {
    if (mute) return;
    say(
      "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"protocolVersion\":1,\"engine\":{\"name\":\"chaos\",\"version\":\"1\"},"
      "\"features\":[\"chunks\"],\"concurrency\":%ld}}",
      id, concurrency);
  } else if (strcmp(method, "job/run") == 0) {
    begin(id, params);
  } else if (strcmp(method, "job/cancel") == 0) {
    struct job *job = job_named(params);
    if (job == NULL || job->deaf) return;
    job->used = 0;
    say(
      "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32800,\"message\":\"cancelled\",\"data\":{\"class\":\"cancelled\"}}}",
      job->request);
  } else if (strcmp(method, "job/credit") == 0) {
    struct job *job = job_named(params);
    if (job != NULL) job->credit = json_long(json_find(params, "through"), job->credit);
    if (job != NULL) advance(job);
  } else if (strcmp(method, "shutdown") == 0) {
    say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{}}", id);
    if (!linger) _exit(0);
  } else if (strcmp(method, "ping") == 0) {
    say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{}}", id);
  } else if (id >= 0) {
    say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32601,\"message\":\"unknown method\"}}", id);
  }
}

static int timeout(void) {
  long next = -1;
  for (int index = 0; index < JOBS; index++) {
    if (!jobs[index].used || jobs[index].due == 0) continue;
    long left = jobs[index].due - now_ms();
    if (left < 0) left = jobs[index].sent == jobs[index].chunks ? 0 : 1000;
    if (next < 0 || left < next) next = left;
  }
  return (int)next;
}

static void parse(int count, char **arguments) {
  for (int index = 1; index < count; index++) {
    const char *argument = arguments[index];
    if (strcmp(argument, "--mute") == 0) mute = 1;
    if (strcmp(argument, "--linger") == 0) linger = 1;
    if (strcmp(argument, "--litter") == 0) fault_litter();
    if (strcmp(argument, "--noise") == 0) say("Loading, please wait...\nusing 2 threads\n\n[100%%] done");
    if (strcmp(argument, "--concurrency") == 0 && index + 1 < count) concurrency = strtol(arguments[++index], NULL, 10);
    if (strcmp(argument, "--early") == 0) {
      fprintf(stderr, "chaos: no licence for this machine\n");
      usleep(1000);
      _exit(7);
    }
  }
  // Deadly signals do at once what they do: no runtime that was linked in catches them.
  for (int number = 1; number < 32; number++) signal(number, SIG_DFL);
  if (linger) signal(SIGTERM, SIG_IGN);
}

int main(int count, char **arguments) {
  static char buffer[LINE];
  size_t length = 0;
  parse(count, arguments);
  for (;;) {
    struct pollfd input = {.fd = length < sizeof buffer - 1 ? STDIN_FILENO : -1, .events = POLLIN};
    int ready = poll(&input, 1, timeout());
    if (ready > 0) {
      ssize_t got = read(STDIN_FILENO, buffer + length, sizeof buffer - 1 - length);
      if (got <= 0) {
        if (!linger) _exit(0);
        for (;;) pause();
      }
      length += (size_t)got;
      char *start = buffer;
      char *end;
      while ((end = memchr(start, '\n', length - (size_t)(start - buffer))) != NULL) {
        *end = 0;
        receive(start);
        start = end + 1;
      }
      length -= (size_t)(start - buffer);
      memmove(buffer, start, length);
    }
    for (int index = 0; index < JOBS; index++) {
      if (jobs[index].used) advance(&jobs[index]);
    }
  }
}
