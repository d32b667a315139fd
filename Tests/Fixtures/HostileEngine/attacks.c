#define _GNU_SOURCE
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int outcome(long result) { return result < 0 ? errno : 0; }

static void keep(char *text, size_t size, const char *bytes, size_t count) {
  size_t length = strlen(text);
  for (size_t i = 0; i < count && length + 1 < size; i++) {
    char byte = bytes[i];
    text[length++] = byte < ' ' || byte == '"' || byte == '\\' || byte == 0x7f ? ' ' : byte;
  }
  text[length] = '\0';
}

static int read_file(const char *path, char *text, size_t size) {
  char bytes[512];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t count = read(fd, bytes, sizeof bytes);
  int error = outcome(count);
  if (count > 0) keep(text, size, bytes, (size_t)count);
  close(fd);
  return error;
}

static int list(const char *path, char *text, size_t size) {
  DIR *directory = opendir(path);
  if (!directory) return errno;
  struct dirent *entry;
  while ((entry = readdir(directory))) {
    keep(text, size, entry->d_name, strlen(entry->d_name));
    keep(text, size, " ", 1);
  }
  closedir(directory);
  return 0;
}

static int write_file(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  int error = outcome(write(fd, "x", 1));
  close(fd);
  return error;
}

static int connect_to(const char *name, bool abstract) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path + abstract, sizeof address.sun_path - abstract, "%s", name);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name) + !abstract);
  int error = outcome(connect(fd, (struct sockaddr *)&address, length));
  close(fd);
  return error;
}

static int make_socket(int family, int type) {
  int fd = socket(family, type, 0);
  int error = outcome(fd);
  if (fd >= 0) close(fd);
  return error;
}

static int trace(pid_t pid) {
  if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0) return errno;
  waitpid(pid, NULL, __WALL);
  return outcome(ptrace(PTRACE_DETACH, pid, NULL, NULL));
}

static int look_into(pid_t pid) {
  char byte;
  struct iovec own = {&byte, 1}, other = {(void *)environ, 1};
  long count = process_vm_readv(pid, &own, 1, &other, 1, 0);
  // That address may mean nothing over there; that it was looked up is all that matters.
  return count < 0 && errno != EFAULT ? errno : 0;
}

static int change_limit(pid_t pid) {
  struct rlimit limit;
  return outcome(prlimit(pid, RLIMIT_CORE, NULL, &limit));
}

// Children that leave the session and stay, as many as there may be.
static int bomb(int count) {
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0) return errno;
    if (pid == 0) {
      if (i % 2) setsid();
      for (;;) pause();
    }
  }
  for (;;) pause();
}

static int fill(const char *work, int files, int mebibytes) {
  static char block[1 << 20];
  memset(block, 'x', sizeof block);
  for (int i = 0; i < files; i++) {
    char path[4200];
    snprintf(path, sizeof path, "%s/fill-%d", work, i);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    for (int written = 0; written < mebibytes; written++)
      if (write(fd, block, sizeof block) < 0) return errno;
    close(fd);
  }
  for (;;) pause();
}

static int new_namespace(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
  int status = 0;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

// What an engine finds about itself: variables and arguments.
static int look_around(char *text, size_t size) {
  for (char **entry = environ; *entry; entry++) {
    keep(text, size, *entry, strlen(*entry));
    keep(text, size, "\n", 1);
  }
  return read_file("/proc/self/cmdline", text, size);
}

static int file_attack(char **words, const char *work, char *text, size_t size) {
  const char *name = words[0], *path = words[1] ? words[1] : "";
  char own[4200];
  snprintf(own, sizeof own, "%s/own", work);
  if (strcmp(name, "read") == 0) return read_file(path, text, size);
  if (strcmp(name, "list") == 0) return list(path, text, size);
  if (strcmp(name, "write") == 0) return write_file(path);
  if (strcmp(name, "write-work") == 0) return write_file(own);
  if (strcmp(name, "write-home") == 0) {
    snprintf(own, sizeof own, "%s/own", getenv(path));
    return write_file(own);
  }
  if (strcmp(name, "truncate") == 0) return outcome(truncate(path, 0));
  if (strcmp(name, "remove") == 0) return outcome(unlink(path));
  if (strcmp(name, "take") == 0) return outcome(rename(path, own));
  if (strcmp(name, "hardlink") == 0) return outcome(link(path, own));
  if (strcmp(name, "put") == 0) {
    int error = write_file(own);
    return error ? error : outcome(rename(own, path));
  }
  if (strcmp(name, "through-link") == 0) {
    if (symlink(path, own) != 0) return errno;
    return read_file(own, text, size);
  }
  if (strcmp(name, "open-for-commands") == 0) {
    // Access mode 3: neither reading nor writing, and still a descriptor.
    int descriptor = open(path, O_ACCMODE | O_CLOEXEC);
    return descriptor < 0 ? errno : (close(descriptor), 0);
  }
  if (strcmp(name, "setuid") == 0) {
    int error = write_file(own);
    return error ? error : outcome(chmod(own, 04755));
  }
  if (strcmp(name, "make-setuid") == 0) {
    snprintf(own, sizeof own, "%s/own-setuid", work);
    int descriptor = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 04755);
    return descriptor < 0 ? errno : (close(descriptor), 0);
  }
  if (strcmp(name, "shared-memory") == 0) {
    int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    return segment < 0 ? errno : outcome(shmctl(segment, IPC_RMID, NULL));
  }
  if (strcmp(name, "mknod") == 0) return outcome(mknod(own, S_IFCHR | 0600, makedev(1, 1)));
  return -1;
}

static int process_attack(char **words, const char *work, char *text, size_t size) {
  const char *name = words[0];
  int number = words[1] ? atoi(words[1]) : 0, more = words[2] ? atoi(words[2]) : 0;
  if (strcmp(name, "ptrace") == 0) return trace(number);
  if (strcmp(name, "memory") == 0) return look_into(number);
  if (strcmp(name, "kill") == 0) return outcome(kill(number, 0));
  if (strcmp(name, "limits") == 0) return change_limit(number);
  if (strcmp(name, "fork") == 0) return bomb(number);
  if (strcmp(name, "fill") == 0) return fill(work, number, more);
  if (strcmp(name, "namespace") == 0) return new_namespace();
  if (strcmp(name, "mount") == 0) return outcome(mount("none", "/mnt", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL));
  if (strcmp(name, "around") == 0) return look_around(text, size);
  if (strcmp(name, "pid") == 0) {
    snprintf(text, size, "%d", (int)getpid());
    return 0;
  }
  return -1;
}

static int kernel_attack(char **words) {
  const char *name = words[0];
  if (strcmp(name, "bpf") == 0) return outcome(syscall(SYS_bpf, 0, NULL, 0));
  if (strcmp(name, "io_uring") == 0) return outcome(syscall(SYS_io_uring_setup, 1, NULL));
  if (strcmp(name, "perf") == 0) return outcome(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
  if (strcmp(name, "keys") == 0) return outcome(syscall(SYS_keyctl, 0, -3, 0));
  if (strcmp(name, "module") == 0) return outcome(syscall(SYS_finit_module, -1, "", 0));
  if (strcmp(name, "tcp") == 0) return make_socket(AF_INET, SOCK_STREAM);
  if (strcmp(name, "tcp6") == 0) return make_socket(AF_INET6, SOCK_STREAM);
  if (strcmp(name, "udp") == 0) return make_socket(AF_INET, SOCK_DGRAM);
  if (strcmp(name, "netlink") == 0) return make_socket(AF_NETLINK, SOCK_RAW);
  if (strcmp(name, "packet") == 0) return make_socket(AF_PACKET, SOCK_RAW);
  if (strcmp(name, "vsock") == 0) return make_socket(AF_VSOCK, SOCK_STREAM);
  if (strcmp(name, "unix") == 0) return connect_to(words[1], false);
  if (strcmp(name, "abstract") == 0) return connect_to(words[1], true);
  if (strcmp(name, "pair") == 0) {
    int ends[2];
    return outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  }
  return -1;
}

int attack(char **words, const char *work, char *text, size_t size) {
  int error = file_attack(words, work, text, size);
  if (error == -1) error = process_attack(words, work, text, size);
  if (error == -1) error = kernel_attack(words);
  return error;
}
