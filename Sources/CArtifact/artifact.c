#define _GNU_SOURCE
#include "CArtifact.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int cartifact_open_beneath(int directory, const char *path) {
  // O_NONBLOCK: a FIFO or a device must not hold the host in open.
  const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = flags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0; attempt < 16; attempt++) {
    long descriptor = syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (descriptor >= 0) return (int)descriptor;
    // EAGAIN: a rename elsewhere made the kernel unsure whether the path stayed beneath.
    if (errno == EAGAIN || errno == EINTR) continue;
    // EPERM is what older container seccomp filters answer for calls they do not know.
    if (errno == ENOSYS || errno == EPERM) break;
    return -1;
  }
  if (strchr(path, '/') != NULL || strcmp(path, "..") == 0) {
    errno = EXDEV;
    return -1;
  }
  return openat(directory, path, flags);
}
