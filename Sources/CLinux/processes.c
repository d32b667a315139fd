#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

int linux_set_child_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? 0 : -errno; }

int linux_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) == 0 ? 0 : -errno; }

void linux_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int linux_pidfd_open(pid_t pid) {
  long fd = syscall(SYS_pidfd_open, pid, 0);  // the kernel makes it close-on-exec
  return fd >= 0 ? (int)fd : -errno;
}

int linux_pidfd_send_signal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : -errno;
}

int linux_pidfd_reap(int pidfd, int *signaled, int *status) {
  siginfo_t info = {0};
  int result;
  do result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
  while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  if (info.si_pid == 0) return 0;
  *signaled = info.si_code != CLD_EXITED;
  *status = info.si_status;
  return 1;
}

enum { SPAWN_FDS_MAX = 16 };

// posix_spawn duplicates one descriptor after the other: a source below `count` could be overwritten before its turn,
// so such sources are moved above all targets first.
static int lift(const int *fds, int count, int *sources) {
  for (int i = 0; i < count; i++) {
    sources[i] = fds[i] >= count ? fds[i] : fcntl(fds[i], F_DUPFD_CLOEXEC, count);
    if (sources[i] < 0) return -errno;
  }
  return 0;
}

static int set_up(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *actions, const int *sources, int count) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int error = posix_spawnattr_setsigmask(attributes, &none);
  if (!error) error = posix_spawnattr_setsigdefault(attributes, &all);
  if (!error) error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  for (int i = 0; i < count && !error; i++) error = posix_spawn_file_actions_adddup2(actions, sources[i], i);
  return error;
}

int linux_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, int count) {
  if (count < 0 || count > SPAWN_FDS_MAX) return -EINVAL;
  int sources[SPAWN_FDS_MAX];
  for (int i = 0; i < SPAWN_FDS_MAX; i++) sources[i] = -1;
  int error = -lift(fds, count, sources);

  pid_t pid = 0;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  if (!error && !(error = posix_spawnattr_init(&attributes))) {
    if (!(error = posix_spawn_file_actions_init(&actions))) {
      error = set_up(&attributes, &actions, sources, count);
      if (!error) error = posix_spawn(&pid, path, &actions, &attributes, argv, envp);
      posix_spawn_file_actions_destroy(&actions);
    }
    posix_spawnattr_destroy(&attributes);
  }
  for (int i = 0; i < count; i++)
    if (sources[i] >= 0 && sources[i] != fds[i]) close(sources[i]);
  return error ? -error : pid;
}

int linux_return_memory(void) {
#ifdef __GLIBC__
  // Without these the allocator learns from the first large block that it frees to keep such blocks.
  if (mallopt(M_MMAP_THRESHOLD, 512 << 10) != 1 || mallopt(M_TRIM_THRESHOLD, 1 << 20) != 1) return -EINVAL;
  // An arena for each thread that ever allocated at one time with others keeps what each has freed.
  if (mallopt(M_ARENA_MAX, 2) != 1) return -EINVAL;
#endif
  return 0;
}
