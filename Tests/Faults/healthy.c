// The healthy engine beside the faults: answers every job at once with its own id and attempt, and nothing else.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char input[1 << 20];

static void answer(long id, const char *result) {
  char line[1024];
  int length = snprintf(line, sizeof line, "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":%s}\n", id, result);
  if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(1);
}

static void run(long id, const char *line) {
  const char *job = strstr(line, "\"jobId\":\""), *attempt = strstr(line, "\"attempt\":");
  if (job == NULL || attempt == NULL) _exit(2);
  job += strlen("\"jobId\":\"");
  char result[256];
  snprintf(
    result, sizeof result, "{\"output\":{\"job\":\"%.*s\",\"attempt\":%ld}}", (int)strcspn(job, "\""), job,
    strtol(attempt + strlen("\"attempt\":"), NULL, 10));
  answer(id, result);
}

static void take(const char *line) {
  const char *id = strstr(line, "\"id\":");
  if (id == NULL) return;
  long number = strtol(id + strlen("\"id\":"), NULL, 10);
  if (strstr(line, "\"method\":\"job/run\"")) {
    run(number, line);
  } else if (strstr(line, "\"method\":\"initialize\"")) {
    answer(
      number, "{\"protocolVersion\":1,\"engine\":{\"name\":\"healthy\",\"version\":\"1\"},\"features\":[],\"concurrency\":1}");
  } else {
    answer(number, "{}");
    if (strstr(line, "\"method\":\"shutdown\"")) _exit(0);
  }
}

int main(void) {
  size_t used = 0;
  for (;;) {
    ssize_t count = read(STDIN_FILENO, input + used, sizeof input - used - 1);
    if (count <= 0) return 0;
    used += (size_t)count;
    input[used] = 0;
    char *start = input;
    for (char *end; (end = memchr(start, '\n', used - (size_t)(start - input))) != NULL; start = end + 1) {
      *end = 0;
      take(start);
    }
    used -= (size_t)(start - input);
    memmove(input, start, used);
  }
}
