#include "CLinux.h"

#include <errno.h>
#include <sys/inotify.h>

int linux_inotify(void) {
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int linux_inotify_watch(int fd, const char *directory) {
  uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR;
  int watch = inotify_add_watch(fd, directory, mask);
  return watch < 0 ? -errno : watch;
}
