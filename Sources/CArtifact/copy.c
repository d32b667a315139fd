#define _GNU_SOURCE
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "CArtifact.h"

int cartifact_clone(int from, int into) { return ioctl(into, FICLONE, from); }

ssize_t cartifact_copy_range(int from, int into, size_t count) {
  return copy_file_range(from, NULL, into, NULL, count, 0);
}
