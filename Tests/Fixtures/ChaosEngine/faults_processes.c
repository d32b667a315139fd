// Faults of processes and of what they can see: forks without end, descriptors that are never closed, a search for secrets.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
#include "json.h"

// One process of the bomb: forks up to two more as long as the shared count allows, then waits to be killed. Not one of them
// listens to what can be ignored.
static void explode(long *left, int sessions) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  if (sessions) setsid();
  while (__atomic_sub_fetch(left, 1, __ATOMIC_RELAXED) >= 0) {
    pid_t child = fork();
    if (child < 0) {
      __atomic_add_fetch(left, 1, __ATOMIC_RELAXED);
      usleep(1000);
      continue;
    }
    if (child == 0 && sessions) setsid();
  }
  for (;;) pause();
}

// {"count": n}: that many processes, each of which forks as well; {"sessions": 1}: each in a session of its own. {"after": 1}
// answers first; else the job hangs. {"answer": 1}: the job is answered when all of them are there.
static void bomb(struct job *job, const char *task) {
  long *left = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (left == MAP_FAILED) _exit(10);
  *left = json_long(json_find(task, "count"), 1000);
  int sessions = json_find(task, "sessions") != NULL;
  for (int first = 0; first < 2; first++) {
    if (fork() == 0) explode(left, sessions);
  }
  if (json_find(task, "answer")) {
    while (__atomic_load_n(left, __ATOMIC_RELAXED) > 0) usleep(2000);
    finish(job);
  } else {
    job->due = 0;
  }
}

// Opens files until there is none to be had, and says how many there were.
static void leak(struct job *job, const char *task) {
  (void)task;
  long count = 0;
  while (count < 1000000 && open("/dev/null", O_RDONLY) >= 0) count++;
  int error = errno;
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32003,\"message\":\"No descriptor is left after %ld: %s.\",\"data\":{\"class\":\"resource\"}}}",
    job->request, count, strerror(error));
  job->used = 0;
}

static long find_in(const char *file, const char *needle) {
  static char text[1 << 20];
  int descriptor = open(file, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  ssize_t length = 0, count;
  while (length < (ssize_t)sizeof text && (count = read(descriptor, text + length, sizeof text - (size_t)length)) > 0) length += count;
  close(descriptor);
  return memmem(text, (size_t)length, needle, strlen(needle)) != NULL;
}

// {"deddih": text}: looks for that text, read backwards, in the environment and the arguments of every process; says where it was
// found and how many places could be read. Backwards, so that the task itself is no place where it is found.
static void search(struct job *job, const char *task) {
  char text[256], needle[256], found[4096] = "", file[512];
  json_text(json_find(task, "deddih"), text, sizeof text, "");
  size_t length = strlen(text);
  for (size_t index = 0; index < length; index++) needle[index] = text[length - 1 - index];
  needle[length] = 0;
  long readable = 0, own = 0;
  DIR *table = opendir("/proc");
  struct dirent *entry;
  while (table != NULL && (entry = readdir(table)) != NULL) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    static const char *const places[] = {"environ", "cmdline"};
    for (int place = 0; place < 2; place++) {
      snprintf(file, sizeof file, "/proc/%.20s/%s", entry->d_name, places[place]);
      long result = find_in(file, needle);
      if (result < 0) continue;
      readable++;
      if (atoi(entry->d_name) == getpid()) own++;
      if (result == 0) continue;
      size_t used = strlen(found);
      snprintf(found + used, sizeof found - used, "%s ", file);
    }
  }
  if (table != NULL) closedir(table);
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"job\":\"%s\",\"attempt\":%ld,\"found\":\"%s\",\"readable\":%ld,\"own\":%ld}}}",
    job->request, job->id, job->attempt, found, readable, own);
  job->used = 0;
}

// Answers well, and dies.
static void last(struct job *job, const char *task) {
  (void)task;
  finish(job);
  fprintf(stderr, "chaos: that was the last one\n");
  abort();
}

const struct job_fault process_faults[] = {{"bomb", bomb}, {"last", last}, {"leak", leak}, {"search", search}, {NULL, NULL}};
