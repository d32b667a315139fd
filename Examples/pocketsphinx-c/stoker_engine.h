// The kit for engines in C: this header and stoker_json.h, C11, POSIX threads, nothing else. README.md shows its use.
//
// Include it first, in one file of the program, and call `stoker_serve` from `main`. It does the handshake, framing,
// cancel, credit, ping and shutdown of the engine protocol; you write `run`, which has a thread of its own for each job.
// From `stoker_serve` on stdout is the log, so that a stray print of a library cannot harm the wire.
#ifndef STOKER_ENGINE_H
#define STOKER_ENGINE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "stoker_json.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
enum { STOKER_LINE_BYTES = 1 << 20, STOKER_CHUNK_BYTES = 256 << 10 };

// Whose fault a failure is: the caller's (never tried again), the engine's own (tried again), memory or disk that ran
// out, passing trouble, or what this engine cannot do at all.
typedef enum { STOKER_BAD_INPUT = -32001, STOKER_ENGINE_FAULT = -32002, STOKER_RESOURCE = -32003,
               STOKER_TRANSIENT = -32004, STOKER_UNSUPPORTED = -32005, STOKER_CANCELLED = -32800 } stoker_failure;

// One job in the hands of `run`, until `run` returns.
typedef struct stoker_job stoker_job;
struct stoker_job {
  const char *id, *kind, *directory;  // the last: empty, and this attempt's own
  const stoker_json *task, *model, *params;  // `model` may be NULL; `params` is all of job/run
  stoker_buffer output, usage;  // to be filled with a JSON object each; empty is {} and none
  stoker_buffer artifacts, failure;
  stoker_failure class;
  stoker_json *message;
  atomic_bool cancelled;
  long through, sent;
  double reported;
  stoker_job *next;
};

typedef struct {
  const char *name, *version;
  int concurrency;  // jobs at a time; 0 is 1
  int (*initialize)(const stoker_json *params);  // may be NULL; other than 0 refuses: `config`, `resources` are in it
  int (*run)(stoker_job *job);  // 0, or what stoker_fail returned
} stoker_engine;

static struct {
  const stoker_engine *engine;
  int in, out;
  bool ready, chunks, progress;
  pthread_mutex_t writing, state;
  pthread_cond_t changed;
  stoker_job *jobs;
  int busy;  // jobs that are not answered
} stoker_host = {.writing = PTHREAD_MUTEX_INITIALIZER, .state = PTHREAD_MUTEX_INITIALIZER,
                 .changed = PTHREAD_COND_INITIALIZER};

// MARK: The wire

// Writes the message and a LF, whole. That the host is gone shows at the other end.
STOKER_USE void stoker_send(stoker_buffer *message) {
  stoker_append(message, "\n", 1);
  pthread_mutex_lock(&stoker_host.writing);
  for (size_t at = 0; at < message->length;) {
    ssize_t count = write(stoker_host.out, message->bytes + at, message->length - at);
    if (count < 0 && errno != EINTR) break;
    at += count > 0 ? (size_t)count : 0;
  }
  pthread_mutex_unlock(&stoker_host.writing);
  free(message->bytes);
}
STOKER_USE void stoker_begin_answer(stoker_buffer *to, const stoker_json *id) {
  stoker_add(to, "{\"jsonrpc\":\"2.0\",\"id\":");
  if (id && id->type == STOKER_STRING) stoker_add_string(to, id->text);
  else stoker_add(to, "%s", id && id->type == STOKER_NUMBER ? id->text : "null");
}
STOKER_USE void stoker_refuse(const stoker_json *id, int code, const char *class, const char *message) {
  stoker_buffer out = {0};
  stoker_begin_answer(&out, id);
  stoker_add(&out, ",\"error\":{\"code\":%d,\"message\":", code);
  stoker_add_string(&out, message);
  if (class) stoker_add(&out, ",\"data\":{\"class\":\"%s\"}", class);
  stoker_add(&out, "}}");
  stoker_send(&out);
}

// MARK: What `run` uses

STOKER_USE bool stoker_cancelled(stoker_job *job) { return atomic_load(&job->cancelled); }
STOKER_USE bool stoker_failed(stoker_job *job) { return job->failure.length > 0; }
// Ends the job with one sentence for the caller: `return stoker_fail(...)`. The first failure counts.
STOKER_USE STOKER_FORMAT(3) int stoker_fail(stoker_job *job, stoker_failure class, const char *format, ...) {
  if (stoker_failed(job)) return -1;
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  stoker_add(&job->failure, "%s", *text ? text : "The engine failed.");
  job->class = class;
  return -1;
}
// A text of the task. Without `fallback` it must be there: then NULL is returned, and the job has failed.
STOKER_USE const char *stoker_text(stoker_job *job, const char *name, const char *fallback) {
  const stoker_json *found = stoker_get(job->task, name);
  if (found && found->type == STOKER_STRING) return found->text;
  if (found || !fallback) stoker_fail(job, STOKER_BAD_INPUT, "task.%s must be a text.", name);
  return fallback;
}
// A number of the task within bounds; NAN as `fallback` means that it must be there. `stoker_failed` says how it went.
STOKER_USE double stoker_number(stoker_job *job, const char *name, double fallback, double least, double most) {
  const stoker_json *found = stoker_get(job->task, name);
  if (!found && !isnan(fallback)) return fallback;
  if (found && found->type == STOKER_NUMBER && found->number >= least && found->number <= most) return found->number;
  stoker_fail(job, STOKER_BAD_INPUT, "task.%s must be a number from %g to %g.", name, least, most);
  return least;
}
// The path of an input of the task, to be freed; NULL, and the job has failed, when there is no such file.
STOKER_USE char *stoker_input(stoker_job *job, const char *name) {
  const char *url = stoker_string(job->task, name);
  stoker_buffer path = {0};
  struct stat about;
  for (const char *at = url && strncmp(url, "file:///", 8) == 0 ? url + 7 : ""; *at; at++) {
    char hex[5] = {'0', '0', at[0] == '%' ? at[1] : 0, at[0] == '%' && at[1] ? at[2] : 0, 0};
    long code = at[0] == '%' ? stoker_hex(hex) : (unsigned char)*at;
    if (code <= 0 || *at == '?' || *at == '#') { path.length = 0; break; }
    stoker_append(&path, &(char){(char)code}, 1);
    if (*at == '%') at += 2;
  }
  if (path.length && stat(path.bytes, &about) == 0 && S_ISREG(about.st_mode)) return path.bytes;
  free(path.bytes);
  stoker_fail(job, STOKER_BAD_INPUT, "task.%s must be the file: URL of a regular file.", name);
  return NULL;
}
// Waits for milliseconds; -1 at once when the job is cancelled.
STOKER_USE int stoker_pause(stoker_job *job, long milliseconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += milliseconds % 1000 * 1000000;
  until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_mutex_lock(&stoker_host.state);
  for (int late = 0; !stoker_cancelled(job) && late == 0;)
    late = pthread_cond_clockwait(&stoker_host.changed, &stoker_host.state, CLOCK_MONOTONIC, &until);
  pthread_mutex_unlock(&stoker_host.state);
  return stoker_cancelled(job) ? -1 : 0;
}
// Sends JSON as a piece of the result, at most 256 KiB; waits while the host's credit is used up. -1: `return` it.
STOKER_USE int stoker_chunk_json(stoker_job *job, const char *member, const char *json) {
  if (strlen(json) > STOKER_CHUNK_BYTES) return stoker_fail(job, STOKER_ENGINE_FAULT, "A chunk is over 256 KiB.");
  pthread_mutex_lock(&stoker_host.state);
  while (stoker_host.chunks && !stoker_cancelled(job) && job->sent >= job->through)
    pthread_cond_wait(&stoker_host.changed, &stoker_host.state);
  pthread_mutex_unlock(&stoker_host.state);
  if (stoker_cancelled(job)) return -1;
  if (!stoker_host.chunks) return 0;
  stoker_buffer out = {0};
  stoker_add(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"job/chunk\",\"params\":{\"jobId\":");
  stoker_add_string(&out, job->id);
  stoker_add(&out, ",\"seq\":%ld,\"%s\":%s}}", ++job->sent, member, json);
  stoker_send(&out);
  return 0;
}
// Sends text, which is not to be cut inside a character. -1: `return` it.
STOKER_USE int stoker_chunk(stoker_job *job, const char *text) {
  stoker_buffer json = {0};
  stoker_add_string(&json, text);
  int ended = stoker_chunk_json(job, "text", json.bytes);
  free(json.bytes);
  return ended;
}
// Sends bytes, as base64. -1: `return` it.
STOKER_USE int stoker_chunk_bytes(stoker_job *job, const void *bytes, size_t count) {
  const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *from = bytes;
  stoker_buffer json = {0};
  stoker_append(&json, "\"", 1);
  for (size_t at = 0; at < count; at += 3) {
    unsigned long word = (unsigned long)from[at] << 16;
    if (at + 1 < count) word |= (unsigned long)from[at + 1] << 8;
    if (at + 2 < count) word |= from[at + 2];
    char four[4] = {digits[word >> 18], digits[word >> 12 & 63], digits[word >> 6 & 63], digits[word & 63]};
    if (at + 2 >= count) four[3] = '=';
    if (at + 1 >= count) four[2] = '=';
    stoker_append(&json, four, 4);
  }
  stoker_append(&json, "\"", 1);
  int ended = stoker_chunk_json(job, "data", json.bytes);
  free(json.bytes);
  return ended;
}
// Reports what share is done, 0 to 1, and what goes on. At most ten a second are sent.
STOKER_USE void stoker_progress(stoker_job *job, double fraction, const char *stage) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
  if (!stoker_host.progress || !isfinite(fraction) || (seconds - job->reported < 0.1 && fraction < 1)) return;
  job->reported = seconds;
  stoker_buffer out = {0};
  stoker_add(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"job/progress\",\"params\":{\"jobId\":");
  stoker_add_string(&out, job->id);
  stoker_add(&out, ",\"fraction\":%.4f,\"stage\":", fraction < 0 ? 0 : fraction > 1 ? 1 : fraction);
  stoker_add_string(&out, stage);
  stoker_add(&out, "}}");
  stoker_send(&out);
}
// Where a file of the result is written; to be freed. `name` is one plain component.
STOKER_USE char *stoker_path(stoker_job *job, const char *name) {
  stoker_buffer path = {0};
  stoker_add(&path, "%s/%s", job->directory, name);
  return path.bytes;
}
// Declares a file that was written to `stoker_path` and closed. The first is the result.
STOKER_USE int stoker_artifact(stoker_job *job, const char *name, const char *type) {
  struct stat about;
  char *path = stoker_path(job, name);
  int missing = lstat(path, &about);
  free(path);
  if (missing) return stoker_fail(job, STOKER_ENGINE_FAULT, "The file %s was not written: %s.", name, strerror(errno));
  stoker_add(&job->artifacts, "%s{\"name\":", job->artifacts.length ? "," : "");
  stoker_add_string(&job->artifacts, name);
  stoker_add(&job->artifacts, ",\"contentType\":");
  stoker_add_string(&job->artifacts, type);
  stoker_add(&job->artifacts, ",\"bytes\":%lld}", (long long)about.st_size);
  return 0;
}

// MARK: Serving

STOKER_USE void *stoker_run_job(void *argument) {
  stoker_job *job = argument;
  int ended = stoker_cancelled(job) ? -1 : stoker_host.engine->run(job);
  const stoker_json *id = stoker_get(job->message, "id");
  if (!stoker_failed(job) && ended != 0 && !stoker_cancelled(job))
    stoker_fail(job, STOKER_ENGINE_FAULT, "The engine failed and did not say why.");
  stoker_buffer out = {0};
  stoker_begin_answer(&out, id);
  stoker_add(&out, ",\"result\":{\"output\":%s,\"artifacts\":[%s]%s%s}}", job->output.length ? job->output.bytes : "{}",
             job->artifacts.length ? job->artifacts.bytes : "", job->usage.length ? ",\"usage\":" : "",
             job->usage.length ? job->usage.bytes : "");
  if (out.length > STOKER_LINE_BYTES) stoker_fail(job, STOKER_ENGINE_FAULT, "The result is over 1 MiB: write a file.");
  pthread_mutex_lock(&stoker_host.state);  // from here on a cancel comes too late
  for (stoker_job **at = &stoker_host.jobs; *at; at = &(*at)->next) if (*at == job) { *at = job->next; break; }
  pthread_mutex_unlock(&stoker_host.state);
  const char *classes[] = {"bad_input", "engine_fault", "resource", "transient", "unsupported"};
  const char *class = classes[STOKER_BAD_INPUT - (int)(stoker_failed(job) ? job->class : STOKER_BAD_INPUT)];
  if (ended != 0 && stoker_cancelled(job)) stoker_refuse(id, STOKER_CANCELLED, "cancelled", "The job was cancelled.");
  else if (stoker_failed(job)) stoker_refuse(id, job->class, class, job->failure.bytes);
  else { stoker_send(&out); out.bytes = NULL; }
  pthread_mutex_lock(&stoker_host.state);
  stoker_host.busy--;
  pthread_mutex_unlock(&stoker_host.state);
  free(out.bytes);
  free(job->output.bytes);
  free(job->usage.bytes);
  free(job->artifacts.bytes);
  free(job->failure.bytes);
  stoker_free(job->message);
  free(job);
  return NULL;
}
// Takes over the message when it returns true.
STOKER_USE bool stoker_start_job(stoker_json *message, const stoker_json *params) {
  stoker_job *job = memset(stoker_room(NULL, sizeof *job), 0, sizeof *job);
  const stoker_json *credit = stoker_get(params, "credit");
  *job = (stoker_job){.id = stoker_string(params, "jobId"), .kind = stoker_string(params, "kind"),
                      .directory = stoker_string(params, "workDirectory"), .task = stoker_get(params, "task"),
                      .model = stoker_get(params, "model"), .params = params, .message = message,
                      .through = credit && credit->type == STOKER_NUMBER ? (long)credit->number : 64};
  bool right = job->id && job->kind && job->directory && job->task && job->task->type == STOKER_OBJECT;
  pthread_t thread;
  pthread_mutex_lock(&stoker_host.state);
  for (stoker_job *one = stoker_host.jobs; one; one = one->next) right = right && strcmp(one->id, job->id) != 0;
  if (right) { job->next = stoker_host.jobs; stoker_host.jobs = job; stoker_host.busy++; }
  pthread_mutex_unlock(&stoker_host.state);
  const stoker_json *id = stoker_get(message, "id");
  if (!right) stoker_refuse(id, -32602, NULL, "job/run lacks something, or its job runs already.");
  else if (pthread_create(&thread, NULL, stoker_run_job, job) == 0) { pthread_detach(thread); return true; }
  else abort();  // no memory for a thread
  free(job);
  return false;
}
STOKER_USE void stoker_greet(const stoker_json *id, const stoker_json *params) {
  bool common = false;
  const stoker_json *versions = stoker_get(params, "protocolVersions"), *offered = stoker_get(params, "features");
  for (const stoker_json *one = versions ? versions->child : NULL; one; one = one->next) common |= one->number == 1;
  if (stoker_host.ready) return stoker_refuse(id, -32600, NULL, "initialize was sent before.");
  if (!common) return stoker_refuse(id, -32005, "unsupported", "This engine speaks protocol version 1, the host does not.");
  if (stoker_host.engine->initialize && stoker_host.engine->initialize(params) != 0)
    return stoker_refuse(id, -32002, "engine_fault", "The engine cannot start: its log says why.");
  for (const stoker_json *one = offered ? offered->child : NULL; one; one = one->next) {
    if (one->type == STOKER_STRING && strcmp(one->text, "chunks") == 0) stoker_host.chunks = true;
    if (one->type == STOKER_STRING && strcmp(one->text, "progress") == 0) stoker_host.progress = true;
  }
  stoker_host.ready = true;
  stoker_buffer out = {0};
  stoker_begin_answer(&out, id);
  stoker_add(&out, ",\"result\":{\"protocolVersion\":1,\"engine\":{\"name\":");
  stoker_add_string(&out, stoker_host.engine->name);
  stoker_add(&out, ",\"version\":");
  stoker_add_string(&out, stoker_host.engine->version);
  stoker_add(&out, "},\"features\":[%s%s%s],\"concurrency\":%d}}", stoker_host.chunks ? "\"chunks\"" : "",
             stoker_host.chunks && stoker_host.progress ? "," : "", stoker_host.progress ? "\"progress\"" : "",
             stoker_host.engine->concurrency > 0 ? stoker_host.engine->concurrency : 1);
  stoker_send(&out);
}
// Cancels the jobs (or one), or gives them credit.
STOKER_USE void stoker_tell(const char *jobID, bool cancel, long through) {
  pthread_mutex_lock(&stoker_host.state);
  for (stoker_job *job = stoker_host.jobs; job; job = job->next) if (!jobID || strcmp(job->id, jobID) == 0) {
    if (cancel) atomic_store(&job->cancelled, true);
    if (through > job->through) job->through = through;
  }
  pthread_cond_broadcast(&stoker_host.changed);
  pthread_mutex_unlock(&stoker_host.state);
}
// Jobs that run get two seconds to end, and then the process ends.
STOKER_USE void stoker_leave(const stoker_json *id) {
  stoker_tell(NULL, true, 0);
  for (int tick = 0; tick < 200; tick++) {
    pthread_mutex_lock(&stoker_host.state);
    bool idle = stoker_host.busy == 0;
    pthread_mutex_unlock(&stoker_host.state);
    if (idle) break;
    nanosleep(&(struct timespec){0, 10000000}, NULL);
  }
  if (id) {
    stoker_buffer out = {0};
    stoker_begin_answer(&out, id);
    stoker_add(&out, ",\"result\":{}}");
    stoker_send(&out);
  }
  _exit(0);
}
STOKER_USE void stoker_receive(const char *line, size_t length) {
  stoker_reader in = {.at = line};
  stoker_json *message = stoker_read(&in), *kept = message;
  stoker_space(&in);
  if (!in.problem && in.at != line + length) in.problem = "something follows the value";
  const stoker_json *id = stoker_get(message, "id"), *params = stoker_get(message, "params");
  const char *method = stoker_string(message, "method"), *version = stoker_string(message, "jsonrpc");
  bool answers = stoker_get(message, "result") || stoker_get(message, "error");
  if (in.problem) stoker_refuse(NULL, -32700, NULL, in.problem);
  else if (!version || strcmp(version, "2.0") != 0 || (!method && !answers))
    stoker_refuse(NULL, -32600, NULL, "A line is JSON, but no JSON-RPC 2.0 message.");
  else if (method && id) {
    if (strcmp(method, "ping") == 0) {
      stoker_buffer out = {0};
      stoker_begin_answer(&out, id);
      stoker_add(&out, ",\"result\":{}}");
      stoker_send(&out);
    } else if (strcmp(method, "shutdown") == 0) stoker_leave(id);
    else if (strcmp(method, "initialize") == 0) stoker_greet(id, params);
    else if (strcmp(method, "job/run") != 0) stoker_refuse(id, -32601, NULL, "This engine has no such method.");
    else if (!stoker_host.ready) stoker_refuse(id, -32600, NULL, "job/run came before initialize was answered.");
    else if (stoker_start_job(message, params)) kept = NULL;
  } else if (method && stoker_string(params, "jobId")) {
    const stoker_json *through = stoker_get(params, "through");
    const char *job = stoker_string(params, "jobId");
    if (strcmp(method, "job/cancel") == 0) stoker_tell(job, true, 0);
    if (strcmp(method, "job/credit") == 0 && through) stoker_tell(job, false, (long)through->number);
  }
  stoker_free(kept);
}
// Serves until the host asks for shutdown or closes the wire; does not return otherwise. `return` it from `main`.
STOKER_USE int stoker_serve(const stoker_engine *engine) {
  if (isatty(0)) {
    fprintf(stderr, "%s %s is an engine of the stoker host: `stoker plugins lint` and `stoker plugins test` check it\n",
            engine->name, engine->version);
    return 64;  // EX_USAGE of sysexits.h
  }
  stoker_host.engine = engine;
  stoker_host.in = fcntl(0, F_DUPFD_CLOEXEC, 3);
  stoker_host.out = fcntl(1, F_DUPFD_CLOEXEC, 3);
  int nothing = open("/dev/null", O_RDONLY);
  if (stoker_host.in < 0 || stoker_host.out < 0 || nothing < 0) return perror(engine->name), 71;
  dup2(nothing, 0);
  dup2(2, 1);
  close(nothing);
  stoker_buffer line = {0};
  stoker_append(&line, "", 0);
  static char block[1 << 16];
  bool over = false;
  for (ssize_t count; (count = read(stoker_host.in, block, sizeof block)) != 0;) {
    if (count < 0 && errno != EINTR) break;
    for (char *at = block, *end; count > 0; count -= end - at, at = end) {
      char *mark = memchr(at, '\n', (size_t)count);
      end = mark ? mark + 1 : at + count;
      size_t length = (size_t)(end - at) - (mark != NULL);
      over |= line.length + length > STOKER_LINE_BYTES;
      if (!over) stoker_append(&line, at, length);
      if (!mark) continue;
      if (over) stoker_refuse(NULL, -32600, NULL, "A line is over the cap of 1048576 bytes.");
      else if (line.length) stoker_receive(line.bytes, line.length);
      line.length = 0;
      over = false;
    }
  }
  stoker_leave(NULL);
  return 0;
}
#endif
