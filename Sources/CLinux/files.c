#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's struct open_how (linux/openat2.h), declared here because older C libraries lack the header.
struct how {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

int linux_openat2(int directory, const char *path, int flags, unsigned mode, uint64_t resolve) {
  struct how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .mode = mode, .resolve = resolve};
  long fd;
  // EAGAIN: the tree was renamed meanwhile and the kernel could not tell whether the path stayed beneath.
  int attempts = 16;
  do fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
  while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --attempts > 0)));
  return fd >= 0 ? (int)fd : -errno;
}

int linux_rename_noreplace(int old_directory, const char *old_path, int new_directory, const char *new_path) {
  return renameat2(old_directory, old_path, new_directory, new_path, RENAME_NOREPLACE) == 0 ? 0 : -errno;
}

int linux_rename_exchange(int old_directory, const char *old_path, int new_directory, const char *new_path) {
  return renameat2(old_directory, old_path, new_directory, new_path, RENAME_EXCHANGE) == 0 ? 0 : -errno;
}

int linux_syncfs(int fd) { return syncfs(fd) == 0 ? 0 : -errno; }
