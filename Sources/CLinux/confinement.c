#define _GNU_SOURCE
#include "CLinux.h"

#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

// linux/landlock.h, which older headers lack. The number of the call is the same on all architectures.
enum { CREATE_RULESET = 444, CREATE_RULESET_VERSION = 1 };

int linux_landlock_version(void) {
  long version = syscall(CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
  return version > 0 ? (int)version : 0;
}

int linux_has_seccomp(void) {
  unsigned action = SECCOMP_RET_ERRNO;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
