// Faults of artifacts: {"mode": "artifact-NAME"}. Each leaves something in the work directory and declares what is not so.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine.h"
#include "json.h"

static char path[8192];

static const char *in_work(const struct job *job, const char *name) {
  snprintf(path, sizeof path, "%s/%s", job->work, name);
  return path;
}

static int make_file(const char *where, long bytes) {
  int file = open(where, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  static const char block[4096];
  for (long left = bytes; file >= 0 && left > 0; left -= (long)sizeof block) {
    if (write(file, block, left < (long)sizeof block ? (size_t)left : sizeof block) < 0) return -errno;
  }
  return file;
}

static void declare(struct job *job, const char *name, long bytes) {
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"job\":\"%s\",\"attempt\":%ld},"
    "\"artifacts\":[{\"name\":\"%s\",\"contentType\":\"text/plain\",\"bytes\":%ld}]}}",
    job->request, job->id, job->attempt, name, bytes);
  job->used = 0;
}

static void missing(struct job *job, const char *task) {
  (void)task;
  declare(job, "out.txt", 3);
}

static void symbolic(struct job *job, const char *task) {
  (void)task;
  if (symlink("/etc/hostname", in_work(job, "out.txt")) != 0) perror("chaos");
  declare(job, "out.txt", 3);
}

// A file of somebody else's: another attempt's, the host's own. {"target": path}
static void hard(struct job *job, const char *task) {
  char target[4096];
  json_text(json_find(task, "target"), target, sizeof target, "");
  struct stat status = {0};
  if (link(target, in_work(job, "out.txt")) != 0 || stat(path, &status) != 0) perror("chaos");
  declare(job, "out.txt", (long)status.st_size);
}

static void fifo(struct job *job, const char *task) {
  (void)task;
  if (mkfifo(in_work(job, "out.txt"), 0600) != 0) perror("chaos");
  declare(job, "out.txt", 3);
}

static void directory(struct job *job, const char *task) {
  (void)task;
  if (mkdir(in_work(job, "out.txt"), 0700) != 0) perror("chaos");
  declare(job, "out.txt", 3);
}

static void empty(struct job *job, const char *task) {
  (void)task;
  close(make_file(in_work(job, "out.txt"), 0));
  declare(job, "out.txt", 3);
}

static void append_for_ever(const char *file) {
  int out = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
  while (out >= 0 && write(out, "x", 1) == 1) continue;
  for (;;) pause();
}

// A descendant writes to it while the host reads.
static void growing(struct job *job, const char *task) {
  (void)task;
  enum { BYTES = 4 << 20 };
  close(make_file(in_work(job, "out.txt"), BYTES));
  pid_t writer = fork();
  if (writer == 0) append_for_ever(path);
  struct stat status = {0};
  while (status.st_size <= BYTES) stat(path, &status);
  declare(job, "out.txt", (long)status.st_size + 64);
}

// {"count": n} files, of which one is declared; {"all": 1}: as many as a line may declare.
static void many(struct job *job, const char *task) {
  long count = json_long(json_find(task, "count"), 100000);
  char name[64];
  for (long index = 0; index < count; index++) {
    snprintf(name, sizeof name, "f%ld", index);
    int file = open(in_work(job, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) close(file);
  }
  if (!json_find(task, "all")) {
    declare(job, "f0", 0);
    return;
  }
  begin_line(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":{\"output\":{\"job\":\"%s\",\"attempt\":%ld},\"artifacts\":[", job->request, job->id,
    job->attempt);
  for (long index = 0; index < 12000; index++) {
    begin_line("%s{\"name\":\"f%ld\",\"contentType\":\"text/plain\",\"bytes\":0}", index ? "," : "", index);
  }
  say("%s", "]}}");
  job->used = 0;
}

// Fills the disk that the work directory lies on, and says what the protocol wants said of it; {"silent": 1}: says that all is well.
static void no_space(struct job *job, const char *task) {
  int file = make_file(in_work(job, "fill"), 1L << 40);
  // To the last byte.
  int tail = open(in_work(job, "fill"), O_WRONLY | O_APPEND | O_CLOEXEC);
  while (tail >= 0 && write(tail, "x", 1) == 1) continue;
  if (tail >= 0) close(tail);
  if (file >= 0) close(file);
  if (json_find(task, "silent")) {
    struct stat status = {0};
    stat(in_work(job, "fill"), &status);
    declare(job, "fill", (long)status.st_size);
    return;
  }
  say(
    "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32003,\"message\":\"The disk is full.\",\"data\":{\"class\":\"resource\"}}}",
    job->request);
  job->used = 0;
}

static void dotdot(struct job *job, const char *task) {
  (void)task;
  close(make_file(in_work(job, "../escaped.txt"), 3));
  declare(job, "../escaped.txt", 3);
  unlink(in_work(job, "../escaped.txt"));
}

static void absolute(struct job *job, const char *task) {
  (void)task;
  declare(job, "/etc/hostname", 3);
}

static void nul(struct job *job, const char *task) {
  (void)task;
  close(make_file(in_work(job, "out"), 3));
  declare(job, "out\\u0000.txt", 3);
}

static void long_name(struct job *job, const char *task) {
  (void)task;
  static char name[4097];
  memset(name, 'n', sizeof name - 1);
  declare(job, name, 3);
}

static void unix_socket(struct job *job, const char *task) {
  (void)task;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char before[4096];
  int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // Relative, because a socket's path must be short.
  if (getcwd(before, sizeof before) == NULL || chdir(job->work) != 0) perror("chaos");
  strcpy(address.sun_path, "out.txt");
  if (bind(server, (struct sockaddr *)&address, sizeof address) != 0) perror("chaos");
  if (chdir(before) != 0) perror("chaos");
  close(server);
  declare(job, "out.txt", 0);
}

// The work directory itself is replaced by a link to another place.
static void replaced(struct job *job, const char *task) {
  (void)task;
  snprintf(path, sizeof path, "%s.moved", job->work);
  if (rename(job->work, path) != 0 || symlink("/etc", job->work) != 0) perror("chaos");
  declare(job, "hostname", 3);
  usleep(300000);  // until the host has looked
  unlink(job->work);
  rmdir(path);
}

// {"bytes": n}: cut to nothing as soon as it is declared, while the host reads it or after it has been taken.
static void truncated(struct job *job, const char *task) {
  long bytes = json_long(json_find(task, "bytes"), 1 << 20);
  int file = make_file(in_work(job, "out.txt"), bytes);
  long pause_us = json_long(json_find(task, "pauseUs"), 0);
  declare(job, "out.txt", bytes);
  if (pause_us > 0) usleep((useconds_t)pause_us);
  if (file < 0 || ftruncate(file, 0) != 0) perror("chaos");
  close(file);
}

const struct job_fault artifact_faults[] = {
  {"artifact-missing", missing}, {"artifact-symlink", symbolic}, {"artifact-hardlink", hard}, {"artifact-fifo", fifo},
  {"artifact-directory", directory}, {"artifact-empty", empty}, {"artifact-growing", growing}, {"artifact-many", many},
  {"artifact-nospace", no_space}, {"artifact-dotdot", dotdot}, {"artifact-absolute", absolute}, {"artifact-nul", nul},
  {"artifact-longname", long_name}, {"artifact-socket", unix_socket}, {"artifact-replaced", replaced},
  {"artifact-truncated", truncated}, {NULL, NULL}};
