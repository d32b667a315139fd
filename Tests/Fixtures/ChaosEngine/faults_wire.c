// Faults of the wire: bytes that are no messages, messages that break the protocol.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "json.h"

// {"count": n}: lines that begin like messages and are none, of each kind in turn.
static void garbage(struct job *job, const char *task) {
  (void)job;
  static const char nul[] = "{\"a\":\"\0\"}\n", binary[] = "{\x01\x02\xff\xfe\x80\n", utf8[] = "{\"a\":\"\xc3\x28\"}\n";
  long count = json_long(json_find(task, "count"), 9);
  for (long index = 0; index < count; index++) {
    if (index % 3 == 0) put(nul, sizeof nul - 1);
    if (index % 3 == 1) put(binary, sizeof binary - 1);
    if (index % 3 == 2) put(utf8, sizeof utf8 - 1);
  }
}

// A print between two messages, and one in the middle of a message, which it breaks in two.
static void stray(struct job *job, const char *task) {
  (void)task;
  static const char between[] = "Epoch 1/3 done\n";
  put(between, sizeof between - 1);
  begin_line("{\"jsonrpc\":\"2.0\",\"method\":\"job/progress\",\"params\":{\"jobId\":\"%s\",", job->id);
  static const char inside[] = "warning: a print in the middle\n";
  put(inside, sizeof inside - 1);
  static const char rest[] = "\"fraction\":0.5}}\n";
  put(rest, sizeof rest - 1);
}

static void stray_json(struct job *job, const char *task) {
  (void)job, (void)task;
  say("%s", "{\"loss\":0.25,\"step\":3}");
  say("%s", "[1,2,3]");
  say("%s", "42");
  say("%s", "\"text\"");
}

// {"bytes": n}: the answer takes that many bytes, and then a good one follows where there is another attempt.
static void long_line(struct job *job, const char *task) {
  static char block[1 << 16];
  memset(block, 'x', sizeof block);
  begin_line("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"text\":\"", job->request);
  for (long left = json_long(json_find(task, "bytes"), 1 << 30); left > 0; left -= (long)sizeof block) {
    put(block, left < (long)sizeof block ? (size_t)left : sizeof block);
  }
  static const char end[] = "\"}}}\n";
  put(end, sizeof end - 1);
  job->used = 0;
}

static void drip_more(struct job *job) {
  (void)job;
  put("x", 1);
}

// A line that grows by a byte every {"period": ms} and never ends.
static void drip(struct job *job, const char *task) {
  begin_line("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"text\":\"", job->request);
  job->due = 0;
  job->tick = drip_more;
  job->period = json_long(json_find(task, "period"), 1000);
}

static void one_byte(struct job *job, const char *task) {
  (void)job, (void)task;
  bytewise = 1;
}

// {"count": n}: so many messages in one write.
static void burst(struct job *job, const char *task) {
  long count = json_long(json_find(task, "count"), 10000);
  char *text = malloc((size_t)count * 192);
  size_t length = 0;
  if (text == NULL) return;
  for (long index = 1; index <= count; index++) {
    length += (size_t)sprintf(
      text + length,
      "{\"jsonrpc\":\"2.0\",\"method\":\"job/progress\",\"params\":{\"jobId\":\"%s\",\"step\":%ld,\"steps\":%ld}}\n",
      job->id, index, count);
  }
  put(text, length);
  free(text);
}

static char *repeated(const char *head, const char *unit, long count, const char *tail, size_t *length) {
  size_t size = strlen(unit);
  *length = strlen(head) + size * (size_t)count + strlen(tail) + 1;
  char *text = malloc(*length + 1);
  if (text == NULL) return NULL;
  char *at = stpcpy(text, head);
  for (long index = 0; index < count; index++) at = stpcpy(at, unit);
  stpcpy(stpcpy(at, tail), "\n");
  return text;
}

// {"shape": depth | keys | digits | twin}: JSON made to be expensive, then a request. The host's answer to that says when
// it was done with the line; the job's result tells how long that took.
static void hostile(struct job *job, const char *task) {
  char shape[16];
  json_text(json_find(task, "shape"), shape, sizeof shape, "twin");
  char *text = NULL;
  size_t length = 0;
  if (strcmp(shape, "depth") == 0) text = repeated("{\"jsonrpc\":\"2.0\",\"method\":", "[", 1000000, "", &length);
  if (strcmp(shape, "digits") == 0) text = repeated("{\"jsonrpc\":\"2.0\",\"id\":", "9", 10000000, "}", &length);
  if (strcmp(shape, "twin") == 0) {
    text = repeated("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,", "", 0, "\"result\":{}}", &length);
  }
  if (strcmp(shape, "keys") == 0) {
    text = malloc(15000000);
    if (text != NULL) length = (size_t)sprintf(text, "%s", "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{");
    for (int index = 0; text != NULL && index < 1000000; index++) {
      length += (size_t)sprintf(text + length, "%s\"%d\":1", index ? "," : "", index);
    }
    if (text != NULL) length += (size_t)sprintf(text + length, "}}\n");
  }
  if (text == NULL) return;
  put(text, length);
  free(text);
  ask(job);
}

// Methods that nobody knows, and members that nobody knows in messages that everybody does.
static void unknown(struct job *job, const char *task) {
  (void)task;
  say("%s", "{\"jsonrpc\":\"2.0\",\"method\":\"engine/feeling\",\"params\":{\"mood\":\"odd\"},\"extra\":1}");
  say("%s", "{\"jsonrpc\":\"2.0\",\"method\":\"job/estimate\",\"params\":{}}");
  say(
    "{\"jsonrpc\":\"2.0\",\"method\":\"job/progress\",\"params\":{\"jobId\":\"%s\",\"fraction\":0.5,\"colour\":\"red\"}}",
    job->id);
}

static void say_result(const struct job *job, const char *text) {
  say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"job\":\"%s\",\"attempt\":%ld,\"answer\":\"%s\"}}}",
      job->request, job->id, job->attempt, text);
}

// Answers twice: {"same": 1} with the same answer, otherwise with another one. Then a chunk of the job that has ended.
static void twice(struct job *job, const char *task) {
  say_result(job, "first");
  say_result(job, json_find(task, "same") ? "first" : "second");
  say(
    "{\"jsonrpc\":\"2.0\",\"method\":\"job/chunk\",\"params\":{\"jobId\":\"%s\",\"seq\":1,\"text\":\"late\"}}", job->id);
  job->used = 0;
}

// Answers for the request after this one, which the host has not sent yet, then for ids that never were.
static void foreign(struct job *job, const char *task) {
  (void)task;
  static const char *ids[] = {"99999", "-1", "\"text\"", "1"};
  say("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"answer\":\"too early\"}}}", job->request + 1000);
  for (size_t index = 0; index < sizeof ids / sizeof *ids; index++) {
    say("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"output\":{\"answer\":\"foreign\"}}}", ids[index]);
  }
}

const struct job_fault wire_faults[] = {
  {"garbage", garbage}, {"stray", stray},     {"stray-json", stray_json}, {"long-line", long_line}, {"drip", drip},
  {"bytewise", one_byte}, {"burst", burst},   {"hostile", hostile},       {"unknown", unknown},     {"twice", twice},
  {"foreign", foreign},   {NULL, NULL},
};
