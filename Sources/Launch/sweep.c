#define _GNU_SOURCE
#include "launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SWEEP_SECONDS = 10, PASS_WAIT_MS = 2 };

// How it works. The monitor is the subreaper of everything below it: a process whose parent dies becomes its child, no
// matter what sessions and groups it made. So killing the direct children over and over reaches every descendant, and
// wait(2) saying "no child" proves that none is left. A direct child cannot be reaped by anyone else, so its pid, and
// the process group that it is in, cannot be a stranger's. Groups are killed before single processes because the kernel
// does that in one step, which a member that forks cannot outrun.

typedef void visit(pid_t child, void *context);

// /proc/thread-self/children lists the children of a single thread, and the monitor has one thread.
static bool each_listed_child(visit *visit, void *context) {
  FILE *list = fopen("/proc/thread-self/children", "re");
  if (!list) return false;
  int pid;
  while (fscanf(list, "%d", &pid) == 1) visit((pid_t)pid, context);
  fclose(list);
  return true;
}

static pid_t parent_of(const char *pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return -1;
  text[length] = '\0';
  int parent = -1;
  const char *end_of_name = strrchr(text, ')');
  if (!end_of_name || sscanf(end_of_name + 1, " %*c %d", &parent) != 1) return -1;
  return (pid_t)parent;
}

// For kernels built without the list.
static void each_child_in_table(visit *visit, void *context) {
  DIR *table = opendir("/proc");
  if (!table) return;
  struct dirent *entry;
  while ((entry = readdir(table))) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    if (parent_of(entry->d_name) == getpid()) visit((pid_t)atoi(entry->d_name), context);
  }
  closedir(table);
}

static void each_child(visit *visit, void *context) {
  if (!each_listed_child(visit, context)) each_child_in_table(visit, context);
}

// Children of one group stand together in the list: the group is killed once, not once for each of its thousands.
static void kill_child(pid_t child, void *context) {
  pid_t *last_group = context;
  pid_t group = getpgid(child);
  if (group <= 1 || group == getpgrp()) {
    kill(child, SIGKILL);
  } else if (group != *last_group) {
    kill(-group, SIGKILL);
    *last_group = group;
  }
}

struct group_search {
  pid_t group;
  bool found;
};

static void find_group(pid_t child, void *context) {
  struct group_search *search = context;
  if (getpgid(child) == search->group) search->found = true;
}

static void count_child(pid_t child, void *context) {
  (void)child;
  ++*(int *)context;
}

// Threads take numbers of processes, too: so many a process on average.
enum { THREADS_PER_PROCESS = 64 };

// The children of every thread of a process: at most `room` are stored, and counted. `tasks` grows by its threads.
static size_t children_of(pid_t process, pid_t *found, size_t room, size_t *tasks) {
  char path[64];
  size_t count = 0;
  snprintf(path, sizeof path, "/proc/%d/task", (int)process);
  DIR *threads = opendir(path);
  if (!threads) return 0;
  struct dirent *thread;
  while (count < room && (thread = readdir(threads))) {
    if (thread->d_name[0] < '0' || thread->d_name[0] > '9') continue;
    ++*tasks;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)process, thread->d_name);
    FILE *list = fopen(path, "re");
    int pid;
    while (list && count < room && fscanf(list, "%d", &pid) == 1) found[count++] = (pid_t)pid;
    if (list) fclose(list);
  }
  closedir(threads);
  return count;
}

bool descendants_exceed(rlim_t limit) {
  // As many tasks on the whole machine is one number to read; only when it is high are they looked for one by one.
  unsigned long long tasks = 0;
  FILE *load = fopen("/proc/loadavg", "re");
  bool known = load && fscanf(load, "%*s %*s %*s %*u/%llu", &tasks) == 1;
  if (load) fclose(load);
  if (known && tasks <= limit) return false;
  size_t room = (size_t)limit + 1;
  pid_t *found = calloc(room, sizeof *found);
  if (!found) return false;
  size_t threads = 0, most = room * THREADS_PER_PROCESS;
  size_t count = children_of(getpid(), found, room, &threads);
  for (size_t i = 0; i < count && count < room && threads <= most; i++)
    count += children_of(found[i], found + count, room - count, &threads);
  free(found);
  return count >= room || threads > most;
}

void signal_group(const struct engine *engine, int signal) {
  struct group_search search = {.group = engine->pid, .found = !engine->reaped};
  if (engine->reaped) each_child(find_group, &search);
  if (search.found) kill(-engine->pid, signal);
}

int reap(struct engine *engine) {
  for (int count = 0;; count++) {
    int status;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid == 0) return count;
    if (pid < 0) return errno == ECHILD && count == 0 ? -1 : count;
    if (pid != engine->pid || engine->reaped) continue;
    engine->reaped = true;
    if (!engine->silent) report_end(status, &usage);
  }
}

long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int sweep(struct engine *engine, int *removed) {
  const long long deadline = now_ms() + SWEEP_SECONDS * 1000LL;
  bool engine_counted = engine->reaped;
  *removed = 0;
  for (;;) {
    pid_t last_group = 0;
    each_child(kill_child, &last_group);
    int count = reap(engine);
    if (count < 0) return 0;
    if (!engine_counted && engine->reaped) {
      engine_counted = true;
      *removed -= 1;
    }
    *removed += count;
    if (now_ms() >= deadline) break;
    // A killed process needs a moment to become a zombie; while some do become zombies, more orphans may be coming.
    if (count == 0) poll(NULL, 0, PASS_WAIT_MS);
  }
  int left = 0;
  each_child(count_child, &left);
  return left;
}
