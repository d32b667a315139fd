#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int forward_fd = -1;

static void forward(int signal) {
  int saved = errno;
  unsigned char byte = (unsigned char)signal;
  // A full pipe means that nobody has read the signals before this one: nothing is lost by dropping it.
  if (write(atomic_load(&forward_fd), &byte, 1) < 0) errno = saved;
  errno = saved;
}

int linux_forward_signals(int write_fd, const int *signals, int count) {
  int error = linux_set_nonblocking(write_fd, 1);
  if (error < 0) return error;
  atomic_store(&forward_fd, write_fd);
  struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
  sigfillset(&action.sa_mask);
  for (int i = 0; i < count; i++)
    if (sigaction(signals[i], &action, NULL) != 0) return -errno;
  return 0;
}

int linux_ignore_sigpipe(void) {
  struct sigaction action = {.sa_handler = SIG_IGN};
  return sigaction(SIGPIPE, &action, NULL) == 0 ? 0 : -errno;
}
