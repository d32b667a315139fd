#define _GNU_SOURCE
#include "faults.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void sleep_for_ever(void) {
  for (;;) pause();
}

void fault_fatal(const char *mode) {
  if (strcmp(mode, "segv") == 0) {
    volatile int *nowhere = NULL;
    *nowhere = 1;
  }
  if (strcmp(mode, "bus") == 0) {
    // A page of a file that has none: the kernel answers the touch with SIGBUS.
    int file = memfd_create("empty", MFD_CLOEXEC);
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if ((void *)page != MAP_FAILED) fprintf(stderr, "%d\n", page[0]);
  }
  if (strcmp(mode, "abort") == 0) {
    fprintf(stderr, "chaos: assertion failed\n");
    abort();
  }
  if (strcmp(mode, "exit0") == 0) _exit(0);
  if (strcmp(mode, "stop") == 0) raise(SIGSTOP);
  if (strcmp(mode, "partial") == 0) {
    static const char half[] = "{\"jsonrpc\":\"2.0\",\"id\":";
    if (write(STDOUT_FILENO, half, sizeof half - 1) < 0) _exit(1);
    _exit(0);
  }
  if (strcmp(mode, "holder") == 0) {
    fault_hold_pipes();
    _exit(3);
  }
  if (strcmp(mode, "escape") == 0) {
    fault_escape();
    _exit(4);
  }
}

void fault_escape(void) {
  int done[2];
  if (pipe(done) < 0) return;
  if (fork() == 0) {
    setsid();
    for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
    if (fork() != 0) _exit(0);
    setsid();
    if (fork() != 0) sleep_for_ever();
    if (write(done[1], "x", 1) < 0) _exit(1);
    sleep_for_ever();
  }
  char byte;
  close(done[1]);
  if (read(done[0], &byte, 1) < 0) perror("chaos");
  close(done[0]);
}

void fault_hold_pipes(void) {
  if (fork() == 0) sleep_for_ever();
}

void fault_litter(void) {
  const char *directory = getenv("TMPDIR");
  char path[4096];
  snprintf(path, sizeof path, "%s/litter-%d", directory ? directory : "/tmp", (int)getpid());
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
}
