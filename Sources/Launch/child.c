#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int report_to;

_Noreturn static void fail(enum step step) {
  struct failure failure = {.step = step, .error = errno};
  // A pipe with nothing in it takes this whole or the monitor is gone.
  if (write(report_to, &failure, sizeof failure) < 0) _exit(126);
  _exit(127);
}

static void limit(int resource, rlim_t value) {
  struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
  if (setrlimit(resource, &limit) != 0) fail(STEP_LIMITS);
}

static void apply_limits(const struct plan *plan) {
  static const int resources[LIMIT_COUNT] = {
      [LIMIT_OPEN_FILES] = RLIMIT_NOFILE,
      [LIMIT_ADDRESS_SPACE] = RLIMIT_AS,
      [LIMIT_FILE_SIZE] = RLIMIT_FSIZE,
      // The kernel's own counts all processes of the user, and does not hold for root: the monitor counts.
      [LIMIT_PROCESSES] = -1,
  };
  limit(RLIMIT_CORE, 0);
  for (int i = 0; i < LIMIT_COUNT; i++)
    if (plan->limited[i] && resources[i] >= 0) limit(resources[i], plan->limits[i]);
}

// The engine starts as if no one had been before it: a handler does not survive exec, but an ignored or a blocked
// signal does. The kernel is called directly because the C library hides two signals that it uses itself, and its
// posix_spawn leaves them ignored.
static void reset_signals(void) {
  const char defaults[64] = {0};  // at least as large as the kernel's struct sigaction, and all zero is SIG_DFL
  const size_t kernel_mask_size = 8;
  for (int signal = 1; signal < NSIG; signal++)  // fails for SIGKILL and SIGSTOP
    syscall(SYS_rt_sigaction, signal, defaults, NULL, kernel_mask_size);
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, NULL) != 0) fail(STEP_PROCESS);
}

// Keeps 0, 1, 2 and the report pipe, which closes by itself when the program runs.
static void close_descriptors(void) {
  const int kept = 3;
  if (report_to != kept) {
    if (dup3(report_to, kept, O_CLOEXEC) < 0) fail(STEP_PROCESS);
    report_to = kept;
  }
  if (syscall(SYS_close_range, (unsigned)kept + 1, ~0U, 0) == 0) return;
  struct rlimit files;  // a kernel before 5.9
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) fail(STEP_PROCESS);
  for (rlim_t fd = (rlim_t)kept + 1; fd < files.rlim_cur && fd < INT_MAX; fd++) close((int)fd);
}

static unsigned long long nanoseconds(struct timespec time) {
  return (unsigned long long)time.tv_sec * 1000000000ULL + (unsigned long long)time.tv_nsec;
}

static bool is_file(int fd, const struct identity *identity) {
  struct stat status;
  return fstat(fd, &status) == 0 && status.st_dev == identity->device && status.st_ino == identity->inode &&
         (unsigned long long)status.st_size == identity->size && nanoseconds(status.st_mtim) == identity->modified &&
         nanoseconds(status.st_ctim) == identity->changed;
}

// Runs the file whose digest the host has checked, whatever lies at its path by now. A script is opened once more, by
// its interpreter and by its path: what is checked here then is what lay there a moment before.
_Noreturn static void execute_pinned(const struct plan *plan) {
  int fd = open(plan->command[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) fail(STEP_EXEC);
  errno = ESTALE;
  if (!is_file(fd, &plan->identity)) fail(STEP_PIN);
  char head[2] = {0};
  if (pread(fd, head, sizeof head, 0) == sizeof head && head[0] == '#' && head[1] == '!') {
    execve(plan->command[0], plan->command, environ);
  } else {
    syscall(SYS_execveat, fd, "", plan->command, environ, AT_EMPTY_PATH);
  }
  fail(STEP_EXEC);
}

// "Text busy" passes by itself when the file has been written by a program that starts others: each of those holds the
// file open, too, between its fork and its exec.
static void execute_file(const char *path, char **command) {
  enum { ATTEMPTS = 20, PAUSE_NS = 10000000 };
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    execve(path, command, environ);
    if (errno != ETXTBSY) return;
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    errno = ETXTBSY;
  }
}

// Not execvpe(3): that one hands a file the kernel does not know to /bin/sh, which turns "built for another machine"
// into a stream of syntax errors.
static void execute(char **command) {
  const char *file = command[0];
  if (strchr(file, '/')) {
    execute_file(file, command);
    return;
  }
  const char *search = getenv("PATH");
  int error = ENOENT;
  while (search && *search) {
    size_t length = strcspn(search, ":");
    char path[PATH_MAX];
    // An empty entry means the working directory to a shell; here it means nothing.
    if (length > 0 && (size_t)snprintf(path, sizeof path, "%.*s/%s", (int)length, search, file) < sizeof path) {
      execute_file(path, command);
      if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return;
      if (errno == EACCES) error = EACCES;
    }
    search += length;
    if (*search == ':') search++;
  }
  errno = error;
}

_Noreturn void child_run(const struct plan *plan, pid_t monitor, int report_fd) {
  report_to = report_fd;
  if (setpgid(0, 0) != 0) fail(STEP_PROCESS);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail(STEP_PROCESS);
  if (getppid() != monitor) _exit(126);  // it died before the line above
  close_descriptors();
  umask(077);
  if (plan->directory && chdir(plan->directory) != 0) fail(STEP_DIRECTORY);
  apply_limits(plan);
  // From here on nothing the engine does can gain a right. The sandbox requires this.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(STEP_PROCESS);
  if (!sandbox_apply(&plan->sandbox)) fail(STEP_SANDBOX);
  reset_signals();
  if (plan->pinned) execute_pinned(plan);
  execute(plan->command);
  fail(STEP_EXEC);
}
