#define _GNU_SOURCE
#include "CMediaChild.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// close_range(2) and its flag are younger than some headers.
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
enum { close_range_cloexec = 1 << 2 };

struct start {
  const char *path;
  char *const *arguments;
  char *const *environment;
  const char *directory;
  uint64_t data_bytes;
  uint64_t file_bytes;
  pid_t parent;
  int output;
  int errors;
  int verdict;
};

static int bound(int what, uint64_t bytes) {
  if (bytes == 0) return 0;
  const struct rlimit limit = {bytes, bytes};
  return setrlimit(what, &limit);
}

// In the child, between fork and exec: system calls only. Returns the errno of what failed.
static int become(const struct start *start) {
  if (setpgid(0, 0) != 0) return errno;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (getppid() != start->parent) return ESRCH;
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (bound(RLIMIT_DATA, start->data_bytes) != 0 || bound(RLIMIT_FSIZE, start->file_bytes) != 0) return errno;
  const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (chdir(start->directory) != 0) return errno;
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) return errno;
  if (dup2(null, 0) < 0 || dup2(start->output, 1) < 0 || dup2(start->errors, 2) < 0) return errno;
  // Whatever a library opened without close-on-exec is not the tool's business. An old kernel may refuse.
  syscall(SYS_close_range, 3u, ~0u, close_range_cloexec);
  execve(start->path, start->arguments, start->environment);
  return errno;
}

static void close_pair(int pair[2]) {
  close(pair[0]);
  close(pair[1]);
}

int media_child_start(const char *path, char *const arguments[], char *const environment[], const char *directory,
                      uint64_t data_bytes, uint64_t file_bytes, struct media_child *child) {
  int output[2], errors[2], verdict[2];
  if (pipe2(output, O_CLOEXEC) != 0) return errno;
  if (pipe2(errors, O_CLOEXEC) != 0) {
    const int code = errno;
    close_pair(output);
    return code;
  }
  if (pipe2(verdict, O_CLOEXEC) != 0) {
    const int code = errno;
    close_pair(output);
    close_pair(errors);
    return code;
  }
  const struct start start = {path,       arguments, environment, directory,  data_bytes,
                              file_bytes, getpid(),  output[1],   errors[1],  verdict[1]};
  const pid_t pid = fork();
  if (pid == 0) {
    const int code = become(&start);
    (void)!write(start.verdict, &code, sizeof code);
    _exit(127);
  }
  int code = pid < 0 ? errno : 0;
  close(output[1]);
  close(errors[1]);
  close(verdict[1]);
  if (pid > 0) {
    // The other end closes by itself when exec succeeds.
    int said = 0;
    ssize_t count;
    do count = read(verdict[0], &said, sizeof said);
    while (count < 0 && errno == EINTR);
    if (count == sizeof said) {
      code = said;
      while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
  }
  close(verdict[0]);
  if (code != 0) {
    close(output[0]);
    close(errors[0]);
    return code;
  }
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  fcntl(errors[0], F_SETFL, O_NONBLOCK);
  *child = (struct media_child){pid, output[0], errors[0]};
  return 0;
}
