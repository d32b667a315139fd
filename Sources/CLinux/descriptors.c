#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <stdlib.h>
#include <unistd.h>

int linux_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC) == 0 ? 0 : -errno; }

int linux_set_nonblocking(int fd, int enabled) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  flags = enabled ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  return fcntl(fd, F_SETFL, flags) == 0 ? 0 : -errno;
}

int linux_close_range(unsigned first, unsigned last) {
  return syscall(SYS_close_range, first, last, 0) == 0 ? 0 : -errno;
}

int linux_eventfd(int nonblocking) {
  int fd = eventfd(0, EFD_CLOEXEC | (nonblocking ? EFD_NONBLOCK : 0));
  return fd >= 0 ? fd : -errno;
}

int linux_eventfd_signal(int fd) {
  uint64_t one = 1;
  ssize_t count;
  do count = write(fd, &one, sizeof one);
  while (count < 0 && errno == EINTR);
  return count == sizeof one ? 0 : -errno;
}

int linux_eventfd_wait(int fd) {
  uint64_t value;
  ssize_t count;
  do count = read(fd, &value, sizeof value);
  while (count < 0 && errno == EINTR);
  return count == sizeof value ? 0 : -errno;
}

int linux_terminal(int fds[2]) {
  char name[64];
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0) return -errno;
  int terminal = -1;
  if (grantpt(master) == 0 && unlockpt(master) == 0 && ptsname_r(master, name, sizeof name) == 0)
    terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) {
    int error = errno;
    close(master);
    return -error;
  }
  fds[0] = master;
  fds[1] = terminal;
  return 0;
}
