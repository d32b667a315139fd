// An engine that misbehaves on request, written without the kit so that nothing stands between a fault and the wire.
//
// A job's task chooses: {"mode": "segv", "times": 1}. The fault happens in the first `times` attempts at the job (default 1);
// later ones are answered well, so that a test can see the job succeed elsewhere. {"ms": n} delays the answer,
// {"chunks": n} sends chunks of 1 kB as far as the credit allows,
// {"log": path} appends `JOB ATTEMPT` to a file when the work begins, {"artifact": "NAME"} leaves an artifact that holds the same.
//
// Modes: those of fault_fatal, which end the process (segv, bus, abort, exit0, stop, partial, holder, escape), family (hangs, with
// a descendant that hides), and those of the tables in faults_*.c.
//
// Faults before any job are arguments: --fault NAME (see faults_start.c), in the first --starts N starts of the plugin (all when
// it is left out), --noise (text before the handshake), --litter (leaves a file in TMPDIR), --concurrency N, --linger (ignores
// shutdown and the end of its input), --line-bytes N (wants that cap), --resident (keeps models loaded).
#define _GNU_SOURCE
#include "engine.h"

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

enum { LINE = 1 << 20 };

struct job jobs[JOBS];
int stops_reading, bytewise;
static long concurrency = 1, line_bytes;
static int linger, resident;
static struct start_fault wrong_start;
/// Who waits for the host's answer, since when, and how long it took, in microseconds.
static struct job *asker;
static long asked_at, answered_in = -1;

static long now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

long now_ms(void) { return now_us() / 1000; }

void put(const char *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t count = write(STDOUT_FILENO, bytes + at, bytewise ? 1 : length - at);
    if (count < 0) _exit(5);
    at += (size_t)count;
  }
}

static void put_text(const char *format, va_list arguments, const char *end) {
  static char line[65536];
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  length += sprintf(line + length, "%s", end);
  put(line, (size_t)length);
}

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  put_text(format, arguments, "\n");
  va_end(arguments);
}

void begin_line(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  put_text(format, arguments, "");
  va_end(arguments);
}

void say_progress(const struct job *job, long step, const char *message) {
  say(
    "{\"jsonrpc\":\"2.0\",\"method\":\"job/progress\",\"params\":{\"jobId\":\"%s\",\"step\":%ld,\"message\":\"%s\"}}",
    job->id, step, message);
}

void ask(struct job *job) {
  asker = job;
  job->due = 0;
  asked_at = now_us();
  say("%s", "{\"jsonrpc\":\"2.0\",\"id\":\"asked\",\"method\":\"engine/ask\",\"params\":{}}");
}

static void append(const char *path, int flags, const struct job *job) {
  char text[128];
  int length = snprintf(text, sizeof text, "%s %ld\n", job->id, job->attempt);
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
  if (file < 0 || write(file, text, (size_t)length) != length) fprintf(stderr, "chaos: cannot write %s\n", path);
  if (file >= 0) close(file);
}

void finish(struct job *job) {
  char artifacts[512] = "", answered[64] = "";
  if (job->artifact[0]) {
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", job->work, job->artifact);
    append(path, O_TRUNC, job);
    int bytes = snprintf(NULL, 0, "%s %ld\n", job->id, job->attempt);
    snprintf(
      artifacts, sizeof artifacts, "{\"name\":\"%s\",\"contentType\":\"text/plain\",\"bytes\":%d}", job->artifact, bytes);
  }
  if (answered_in >= 0 && job == asker) snprintf(answered, sizeof answered, ",\"answeredUs\":%ld", answered_in);
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"job\":\"%s\",\"attempt\":%ld,\"pid\":%d%s},\"artifacts\":[%s]}}",
    job->request, job->id, job->attempt, (int)getpid(), answered, artifacts);
  job->used = 0;
}

static void advance(struct job *job) {
  while (job->sent < job->chunks && job->sent < job->credit) {
    job->sent++;
    say(
      "{\"jsonrpc\":\"2.0\",\"method\":\"job/chunk\",\"params\":{\"jobId\":\"%s\",\"seq\":%ld,\"text\":\"%01000d\"}}",
      job->id, job->sent, 0);
  }
  if (job->tick != NULL && job->ticks_at <= now_ms()) {
    job->ticks++;
    job->ticks_at = now_ms() + job->period;
    job->tick(job);
  }
  if (job->sent == job->chunks && job->due > 0 && job->due <= now_ms()) finish(job);
}

static void misbehave(struct job *job, const char *mode, const char *task) {
  const struct job_fault *tables[] = {wire_faults, time_faults, memory_faults, flow_faults,
    flood_faults, artifact_faults, process_faults};
  if (strcmp(mode, "family") == 0) {
    fault_escape();
    job->due = 0;
  }
  for (size_t table = 0; table < sizeof tables / sizeof *tables; table++) {
    for (const struct job_fault *fault = tables[table]; fault->name != NULL; fault++) {
      if (strcmp(fault->name, mode) == 0) fault->begin(job, task);
    }
  }
  fault_fatal(mode);
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
  job->answer_after_cancel = -1;
  if (log[0]) append(log, O_APPEND, job);
  if (job->attempt <= json_long(json_find(task, "times"), 1)) {
    if (json_find(task, "litter")) fault_litter();
    misbehave(job, mode, task);
  }
  if (job->used) advance(job);
}

static struct job *job_named(const char *params) {
  char id[64];
  json_text(json_find(params, "jobId"), id, sizeof id, "");
  for (int index = 0; index < JOBS; index++) {
    if (jobs[index].used && strcmp(jobs[index].id, id) == 0) return &jobs[index];
  }
  return NULL;
}

void initialize(long id) {
  char limits[64] = "";
  if (line_bytes > 0) snprintf(limits, sizeof limits, ",\"limits\":{\"lineBytes\":%ld}", line_bytes);
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"protocolVersion\":1,\"engine\":{\"name\":\"chaos\",\"version\":\"1\"},"
    "\"features\":[\"chunks\",\"progress\"%s],\"concurrency\":%ld%s}}",
    id, resident ? ",\"model-residency\"" : "", concurrency, limits);
}

static void cancel(struct job *job) {
  if (job == NULL || job->deaf) return;
  if (job->answer_after_cancel >= 0) {
    job->due = now_ms() + job->answer_after_cancel;
    return;
  }
  job->used = 0;
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32800,\"message\":\"cancelled\",\"data\":{\"class\":\"cancelled\"}}}",
    job->request);
}

static void answered(void) {
  if (asker == NULL || answered_in >= 0) return;
  answered_in = now_us() - asked_at;
  asker->due = now_ms();
}

static void receive(const char *line) {
  char method[64];
  json_text(json_find(line, "method"), method, sizeof method, "");
  long id = json_long(json_find(line, "id"), -1);
  const char *params = json_find(line, "params");
  if (method[0] == 0) {
    answered();
  } else if (strcmp(method, "initialize") == 0) {
    if (wrong_start.initialize != NULL) wrong_start.initialize(id);
    else initialize(id);
  } else if (strcmp(method, "job/run") == 0) {
    begin(id, params);
  } else if (strcmp(method, "job/cancel") == 0) {
    cancel(job_named(params));
  } else if (strcmp(method, "job/credit") == 0) {
    struct job *job = job_named(params);
    if (job != NULL) job->credit = json_long(json_find(params, "through"), job->credit);
    if (job != NULL) advance(job);
  } else if (strcmp(method, "model/load") == 0 && wrong_start.load != NULL) {
    wrong_start.load(id, params);
  } else if (strcmp(method, "shutdown") == 0) {
    say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{}}", id);
    if (!linger) _exit(0);
  } else if (strcmp(method, "ping") == 0 || strncmp(method, "model/", 6) == 0) {
    say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{}}", id);
  } else if (id >= 0) {
    say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32601,\"message\":\"unknown method\"}}", id);
  }
}

static int timeout(void) {
  long next = -1;
  for (int index = 0; index < JOBS; index++) {
    struct job *job = &jobs[index];
    if (!job->used) continue;
    if (job->tick != NULL) {
      long left = job->ticks_at - now_ms();
      if (next < 0 || left < next) next = left < 0 ? 0 : left;
    }
    if (job->due == 0) continue;
    long left = job->due - now_ms();
    if (left < 0) left = job->sent == job->chunks ? 0 : 1000;
    if (next < 0 || left < next) next = left;
  }
  return (int)next;
}

// Counts the starts of this plugin in its private home.
static long count_start(void) {
  const char *home = getenv("HOME");
  char path[4096];
  snprintf(path, sizeof path, "%s/starts", home ? home : "/tmp");
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0 || write(file, "x", 1) != 1) _exit(9);
  long count = lseek(file, 0, SEEK_END);
  close(file);
  return count;
}

static void parse(int count, char **arguments) {
  const char *fault = NULL;
  long starts = -1;
  for (int index = 1; index < count; index++) {
    const char *argument = arguments[index];
    const char *value = index + 1 < count ? arguments[index + 1] : "";
    if (strcmp(argument, "--mute") == 0) fault = "mute";
    if (strcmp(argument, "--early") == 0) fault = "early";
    if (strcmp(argument, "--linger") == 0) linger = 1;
    if (strcmp(argument, "--resident") == 0) resident = 1;
    if (strcmp(argument, "--litter") == 0) fault_litter();
    if (strcmp(argument, "--noise") == 0) say("Loading, please wait...\nusing 2 threads\n\n[100%%] done");
    if (strcmp(argument, "--concurrency") == 0) concurrency = strtol(value, NULL, 10);
    if (strcmp(argument, "--line-bytes") == 0) line_bytes = strtol(value, NULL, 10);
    if (strcmp(argument, "--fault") == 0) fault = value;
    if (strcmp(argument, "--starts") == 0) starts = strtol(value, NULL, 10);
  }
  for (const struct start_fault *known = start_faults; fault != NULL && known->name != NULL; known++) {
    if (strcmp(known->name, fault) == 0 && (starts < 0 || count_start() <= starts)) wrong_start = *known;
  }
  if (wrong_start.start != NULL) wrong_start.start();
  // Deadly signals do at once what they do: no runtime that was linked in catches them.
  for (int number = 1; number < 32; number++) signal(number, SIG_DFL);
  if (linger) signal(SIGTERM, SIG_IGN);
}

int main(int count, char **arguments) {
  static char buffer[LINE];
  size_t length = 0;
  parse(count, arguments);
  for (;;) {
    struct pollfd input = {
      .fd = !stops_reading && length < sizeof buffer - 1 ? STDIN_FILENO : -1, .events = POLLIN};
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
      while (!stops_reading && (end = memchr(start, '\n', length - (size_t)(start - buffer))) != NULL) {
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
