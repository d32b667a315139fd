// The least that an engine can be: answers every request with an empty result, without looking at anything but its id.
//
// It stands for "no engine at all" when the cost of the host is measured.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char input[1 << 20];

static void answer(long id, const char *result) {
  char line[512];
  int length = snprintf(line, sizeof line, "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":%s}\n", id, result);
  if (write(1, line, (size_t)length) != length) _exit(1);
}

static void take(char *line) {
  char *id = strstr(line, "\"id\":");
  if (id == NULL) return;
  long number = strtol(id + 5, NULL, 10);
  if (strstr(line, "\"method\":\"job/run\"")) {
    answer(number, "{\"output\":{}}");
  } else if (strstr(line, "\"method\":\"initialize\"")) {
    answer(number,
           "{\"protocolVersion\":1,\"engine\":{\"name\":\"noop\",\"version\":\"1\"},\"features\":[],\"concurrency\":8}");
  } else if (strstr(line, "\"method\":\"shutdown\"")) {
    answer(number, "{}");
    _exit(0);
  } else {
    answer(number, "{}");
  }
}

int main(void) {
  size_t used = 0;
  for (;;) {
    ssize_t count = read(0, input + used, sizeof input - used - 1);
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
