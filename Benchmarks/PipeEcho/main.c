// The floor under every engine call: bytes to another process through a pipe, and bytes back.
//
//   pipe-echo REQUEST_BYTES ANSWER_BYTES ROUNDS
//
// prints the sorted round trips' p50 and p99 in nanoseconds as JSON.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int compare(const void *left, const void *right) {
  long long a = *(const long long *)left, b = *(const long long *)right;
  return a < b ? -1 : a > b;
}

static void transfer(int fd, char *buffer, size_t bytes, ssize_t (*call)(int, void *, size_t)) {
  while (bytes > 0) {
    ssize_t count = call(fd, buffer, bytes);
    if (count <= 0) _exit(0);
    bytes -= (size_t)count;
  }
}

static ssize_t put(int fd, void *buffer, size_t bytes) { return write(fd, buffer, bytes); }

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  size_t request = strtoul(argv[1], NULL, 10), answer = strtoul(argv[2], NULL, 10);
  int rounds = atoi(argv[3]);
  if (request == 0 || answer == 0 || rounds <= 0) return 64;
  char *buffer = calloc(1, request > answer ? request : answer);
  long long *times = calloc((size_t)rounds, sizeof *times);
  int there[2], back[2];
  if (buffer == NULL || times == NULL || pipe(there) != 0 || pipe(back) != 0) return 71;
  pid_t child = fork();
  if (child < 0) return 71;
  if (child == 0) {
    close(there[1]);
    close(back[0]);
    for (;;) {
      transfer(there[0], buffer, request, read);
      transfer(back[1], buffer, answer, put);
    }
  }
  close(there[0]);
  close(back[1]);
  for (int round = 0; round < rounds; round++) {
    long long start = now();
    transfer(there[1], buffer, request, put);
    transfer(back[0], buffer, answer, read);
    times[round] = now() - start;
  }
  close(there[1]);
  waitpid(child, NULL, 0);
  qsort(times, (size_t)rounds, sizeof *times, compare);
  printf("{\"p50\":%lld,\"p99\":%lld}\n", times[rounds / 2], times[rounds * 99 / 100]);
  return 0;
}
