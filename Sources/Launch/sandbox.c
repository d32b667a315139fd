#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Constants of linux/landlock.h that are younger than the oldest headers this is built with. A version of the kernel's
// interface is named by the right that it brought.
#define RIGHT_TRUNCATE (1ULL << 14)      // 3, Linux 6.2
#define RIGHT_IOCTL_DEVICE (1ULL << 15)  // 5, Linux 6.10
#define NETWORK_BIND (1ULL << 0)         // 4, Linux 6.7
#define NETWORK_CONNECT (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)  // 6, Linux 6.12
#define SCOPE_SIGNALS (1ULL << 1)
enum { VERSION_REFER = 2, VERSION_TRUNCATE = 3, VERSION_NETWORK = 4, VERSION_IOCTL = 5, VERSION_SCOPE = 6 };

// linux/landlock.h's struct landlock_ruleset_attr as of version 6.
struct ruleset {
  uint64_t files;
  uint64_t network;
  uint64_t scoped;
};

#define READING (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
// Everything but making device nodes.
#define WRITING                                                                                                       \
  (READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |         \
   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                         \
   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | RIGHT_TRUNCATE)
#define DEVICE                                                                                                        \
  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE |      \
   RIGHT_IOCTL_DEVICE)
#define OF_FILES                                                                                                      \
  (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE |       \
   RIGHT_IOCTL_DEVICE)

static uint64_t known_rights(int version) {
  uint64_t rights = WRITING | DEVICE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
  if (version < VERSION_REFER) rights &= ~LANDLOCK_ACCESS_FS_REFER;
  if (version < VERSION_TRUNCATE) rights &= ~RIGHT_TRUNCATE;
  if (version < VERSION_IOCTL) rights &= ~RIGHT_IOCTL_DEVICE;
  return rights;
}

void sandbox_probe(struct sandbox *sandbox) {
  long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  sandbox->landlock = version > 0 ? (int)version : 0;
  unsigned action = SECCOMP_RET_ERRNO;
  sandbox->filter = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

bool sandbox_suffices(const struct sandbox *sandbox) {
  return sandbox->mode != SANDBOX_REQUIRED || (sandbox->landlock > 0 && sandbox->filter);
}

void sandbox_words(const struct sandbox *sandbox, char *text, size_t size) {
  const struct {
    bool in_force;
    const char *word;
  } parts[] = {
      {sandbox->landlock > 0, "files"},
      {sandbox->landlock >= VERSION_IOCTL, "devices"},
      {!sandbox->network && (sandbox->filter || sandbox->landlock >= VERSION_NETWORK), "network"},
      {sandbox->landlock >= VERSION_SCOPE, "signals"},
      {sandbox->filter, "calls"},
      {true, "capabilities"},
  };
  text[0] = '\0';
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (!parts[i].in_force) continue;
    if (text[0]) strncat(text, ",", size - strlen(text) - 1);
    strncat(text, parts[i].word, size - strlen(text) - 1);
  }
}

// What is not there any more needs no right, and what this user cannot reach none either.
static bool allow(int ruleset, const struct grant *grant, uint64_t known) {
  int fd = open(grant->path, O_PATH | O_CLOEXEC);
  if (fd < 0) return errno != EMFILE && errno != ENFILE && errno != ENOMEM;
  static const uint64_t rights[] = {[GRANT_READ] = READING, [GRANT_WRITE] = WRITING, [GRANT_DEVICE] = DEVICE};
  struct landlock_path_beneath_attr rule = {.allowed_access = rights[grant->kind] & known, .parent_fd = fd};
  struct stat status;
  bool done = fstat(fd, &status) == 0;
  if (done && !S_ISDIR(status.st_mode)) rule.allowed_access &= OF_FILES;
  if (done) done = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
  int error = errno;
  close(fd);
  errno = error;
  return done;
}

static bool restrict_files(const struct sandbox *sandbox) {
  if (sandbox->landlock == 0) return true;
  uint64_t known = known_rights(sandbox->landlock);
  struct ruleset rules = {.files = known};
  size_t size = sizeof rules.files;
  if (sandbox->landlock >= VERSION_NETWORK) {
    if (!sandbox->network) rules.network = NETWORK_BIND | NETWORK_CONNECT;
    size = sizeof rules.files + sizeof rules.network;
  }
  if (sandbox->landlock >= VERSION_SCOPE) {
    rules.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
    size = sizeof rules;
  }
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
  if (ruleset < 0) return false;
  bool done = true;
  for (size_t i = 0; done && i < sandbox->grant_count; i++) done = allow(ruleset, &sandbox->grants[i], known);
  if (done) done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  int error = errno;
  close(ruleset);
  errno = error;
  return done;
}

// An engine of a worker that root runs is root in name only: it may use the files that the sandbox leaves to it whoever
// owns them, and nothing else that needs a privilege. Emptying the bounding set keeps exec from giving them back.
static bool drop_capabilities(void) {
  const unsigned kept = 1U << CAP_DAC_OVERRIDE;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
  if (syscall(SYS_capget, &header, sets) != 0) return false;
  if (sets[0].effective & (1U << CAP_SETPCAP))
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
      if (capability != CAP_DAC_OVERRIDE && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return false;
  for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
    unsigned mask = i == 0 ? kept : 0;
    sets[i].effective &= mask;
    sets[i].permitted &= mask;
    sets[i].inheritable = 0;
  }
  return syscall(SYS_capset, &header, sets) == 0;
}

bool sandbox_apply(const struct sandbox *sandbox) {
  if (sandbox->mode == SANDBOX_OFF) return true;
  return restrict_files(sandbox) && drop_capabilities() && (!sandbox->filter || filter_apply(sandbox));
}
