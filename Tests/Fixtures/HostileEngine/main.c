// An engine that attacks on request. A job's prompt is an attack and its arguments, separated by blanks; the answer says
// how it went: {"errno": 0} when the attack succeeded, else the error's number and name. Tests/Isolation drives it.
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 8 };

// The text after "KEY":" up to the next quote. Nothing that the tests send holds an escape.
static bool text_of(const char *line, const char *key, char *value, size_t size) {
  char mark[64];
  snprintf(mark, sizeof mark, "\"%s\":\"", key);
  const char *start = strstr(line, mark);
  if (!start) return false;
  start += strlen(mark);
  size_t length = strcspn(start, "\"");
  snprintf(value, size, "%.*s", (int)length, start);
  return true;
}

// The id of a request as it stands; false for a notification.
static bool id_of(const char *line, char *id, size_t size) {
  const char *start = strstr(line, "\"id\":");
  if (!start) return false;
  start += strlen("\"id\":");
  snprintf(id, size, "%.*s", (int)strcspn(start, ",}"), start);
  return true;
}

static void answer(const char *id, const char *result) {
  printf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n", id, result);
  fflush(stdout);
}

static void run(const char *line, const char *id) {
  char prompt[4096], work[4096] = "", *words[WORDS] = {NULL}, *rest = prompt;
  if (!text_of(line, "content", prompt, sizeof prompt)) snprintf(prompt, sizeof prompt, "nothing");
  text_of(line, "workDirectory", work, sizeof work);
  for (int i = 0; i < WORDS - 1; i++) words[i] = strsep(&rest, " ");
  char text[2048] = "";
  int error = attack(words, work, text, sizeof text);
  char result[4096];
  const char *name = error > 0 ? strerrorname_np(error) : "";
  snprintf(
      result, sizeof result, "{\"output\":{\"errno\":%d,\"name\":\"%s\",\"text\":\"%s\"}}", error, name ? name : "",
      text);
  answer(id, result);
}

int main(void) {
  char *line = NULL, id[64];
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) {
    if (!id_of(line, id, sizeof id)) continue;
    if (strstr(line, "\"method\":\"initialize\"")) {
      answer(
          id, "{\"protocolVersion\":1,\"engine\":{\"name\":\"hostile\",\"version\":\"1\"},\"features\":[],"
              "\"concurrency\":1}");
    } else if (strstr(line, "\"method\":\"job/run\"")) {
      run(line, id);
    } else {
      answer(id, "{}");
      if (strstr(line, "\"method\":\"shutdown\"")) break;
    }
  }
  free(line);
  return 0;
}
