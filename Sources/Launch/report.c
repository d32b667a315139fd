#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// A record is far shorter than PIPE_BUF, so a write is whole or fails; it fails only when the host is gone, and then
// nobody needs to know.
__attribute__((format(printf, 1, 2))) static void record(const char *format, ...) {
  char line[128];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  ssize_t count;
  do count = write(STATUS_FD, line, (size_t)length);
  while (count < 0 && errno == EINTR);
}

// Field 22 of /proc/PID/stat, in clock ticks since boot; 0 when it cannot be read. The second field is the program's
// name in parentheses and may itself hold spaces and parentheses: fields are counted from the last one.
static unsigned long long start_time(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  char *field = strrchr(text, ')');
  for (int number = 2; field && number < 22; number++) field = strchr(field + 1, ' ');
  return field ? strtoull(field, NULL, 10) : 0;
}

void report_sandbox(const struct sandbox *sandbox) {
  char words[96];
  sandbox_words(sandbox, words, sizeof words);
  record("sandbox %d %s\n", sandbox->landlock, words);
}

void report_exceeded(rlim_t limit) { record("exceeded processes %llu\n", (unsigned long long)limit); }

void report_started(pid_t pid) { record("started %d %llu\n", (int)pid, start_time(pid)); }

void report_failed(const struct failure *failure) {
  static const char *const names[] = {
      [STEP_FORK] = "fork",           [STEP_PROCESS] = "process", [STEP_LIMITS] = "limits",
      [STEP_DIRECTORY] = "directory", [STEP_SANDBOX] = "sandbox", [STEP_PIN] = "pin",
      [STEP_EXEC] = "exec",
  };
  record("failed %s %d\n", names[failure->step], failure->error);
}

void report_end(int wait_status, const struct rusage *usage) {
  if (WIFEXITED(wait_status)) {
    record("exited %d %ld\n", WEXITSTATUS(wait_status), usage->ru_maxrss);
  } else {
    record("signaled %d %d %ld\n", WTERMSIG(wait_status), WCOREDUMP(wait_status) ? 1 : 0, usage->ru_maxrss);
  }
}

void report_swept(int removed, int left) { record("swept %d %d\n", removed, left); }
