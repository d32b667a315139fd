#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT_PERIOD_MS = 500 };  // between two counts of the engine's processes

enum source { SIGNALS, CONTROL, REPORT, SOURCE_COUNT };

// Own session; parent of all orphans below; told when the host is gone. That notice must be a signal that can be
// caught: SIGKILL would end the monitor before it has swept.
static bool take_office(const struct plan *plan) {
  setsid();  // fails only for a process that is a leader already
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return false;
  if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0) return false;
  return getppid() == plan->parent;
}

// All signals are blocked and a few are read from a descriptor: no handler, nothing interrupted.
static int open_signals(void) {
  sigset_t all, read;
  sigfillset(&all);
  sigemptyset(&read);
  sigaddset(&read, SIGCHLD);
  sigaddset(&read, SIGTERM);
  sigaddset(&read, SIGINT);
  sigaddset(&read, SIGHUP);
  sigaddset(&read, SIGQUIT);
  if (sigprocmask(SIG_SETMASK, &all, NULL) != 0) return -1;
  return signalfd(-1, &read, SFD_CLOEXEC | SFD_NONBLOCK);
}

// The wire belongs to the engine alone: as long as the monitor held it, its end would not be seen.
static void drop_wire(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++)
    if (null < 0 || dup2(null, fd) < 0) close(fd);
  if (null > 2) close(null);
}

static pid_t start(const struct plan *plan, int *report) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  pid_t monitor = getpid();
  pid_t pid = fork();
  if (pid == 0) child_run(plan, monitor, ends[1]);
  int error = errno;
  close(ends[1]);
  *report = ends[0];
  // Also done by the child; whoever comes first, the group exists before anyone signals it.
  if (pid > 0) setpgid(pid, pid);
  errno = error;
  return pid;
}

// The report pipe has something to say or has ended: the child failed, or it became its program, which closed the pipe.
// Returns false when it failed.
static bool finish_start(struct engine *engine, const struct sandbox *sandbox, int *report) {
  struct failure failure;
  ssize_t count;
  do count = read(*report, &failure, sizeof failure);
  while (count < 0 && errno == EINTR);
  close(*report);
  *report = -1;
  if (count == sizeof failure) {
    engine->silent = true;
    report_failed(&failure);
    return false;
  }
  if (sandbox->mode != SANDBOX_OFF) report_sandbox(sandbox);
  report_started(engine->pid);
  return true;
}

static bool told_to_stop(int signals) {
  struct signalfd_siginfo info;
  bool stop = false;
  while (read(signals, &info, sizeof info) == sizeof info)
    if (info.ssi_signo != SIGCHLD) stop = true;
  return stop;
}

// Returns false at end of file.
static bool obey(const struct engine *engine) {
  char commands[64];
  ssize_t count = read(CONTROL_FD, commands, sizeof commands);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  for (ssize_t i = 0; i < count; i++) {
    if (commands[i] == 'T') signal_group(engine, SIGTERM);
    if (commands[i] == 'K') signal_group(engine, SIGKILL);
  }
  return count > 0;
}

static bool is_too_many(const struct plan *plan) {
  if (!plan->limited[LIMIT_PROCESSES] || !descendants_exceed(plan->limits[LIMIT_PROCESSES])) return false;
  report_exceeded(plan->limits[LIMIT_PROCESSES]);
  return true;
}

// Until the host wants the end, or is gone, or the engine could not be started, or has become too many processes.
static void watch(struct engine *engine, const struct plan *plan, int signals, int report) {
  const int period = plan->limited[LIMIT_PROCESSES] ? COUNT_PERIOD_MS : -1;
  long long next_count = now_ms() + period;
  for (;;) {
    struct pollfd sources[SOURCE_COUNT] = {
        [SIGNALS] = {.fd = signals, .events = POLLIN},
        [CONTROL] = {.fd = CONTROL_FD, .events = POLLIN},
        [REPORT] = {.fd = report, .events = POLLIN},
    };
    int ready = poll(sources, SOURCE_COUNT, period);
    // By the clock: a bomb's own children, ending, would keep a mere silence from ever coming.
    if (period > 0 && now_ms() >= next_count) {
      if (is_too_many(plan)) return;
      next_count = now_ms() + period;
    }
    if (ready <= 0) continue;
    // Before anything is reaped: an engine that has ended has first been started.
    if (sources[REPORT].revents && !finish_start(engine, &plan->sandbox, &report)) return;
    if (sources[SIGNALS].revents) {
      if (told_to_stop(signals)) return;
      siginfo_t info = {0};
      bool ended = report >= 0 && waitid(P_PID, (id_t)engine->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                   info.si_pid == engine->pid;
      if (ended && !finish_start(engine, &plan->sandbox, &report)) return;
      reap(engine);
    }
    if (sources[CONTROL].revents && !obey(engine)) return;
  }
}

int main(int argc, char **argv) {
  struct plan plan = {0};
  if (!plan_read(&plan, argc, argv)) return USAGE_STATUS;
  if (fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC) != 0 || fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC) != 0) {
    fprintf(stderr, "launch: descriptors %d and %d must be open pipes from the host\n", STATUS_FD, CONTROL_FD);
    return USAGE_STATUS;
  }
  syscall(SYS_close_range, CONTROL_FD + 1, ~0U, 0);
  if (!take_office(&plan)) return 1;
  if (plan.sandbox.mode != SANDBOX_OFF) sandbox_probe(&plan.sandbox);
  if (!sandbox_suffices(&plan.sandbox)) {
    report_failed(&(struct failure){.step = STEP_SANDBOX, .error = ENOSYS});
    report_swept(0, 0);
    return 0;
  }

  struct engine engine = {0};
  int report = -1;
  int signals = open_signals();
  engine.pid = signals < 0 ? -1 : start(&plan, &report);
  if (engine.pid < 0) {
    report_failed(&(struct failure){.step = STEP_FORK, .error = errno});
    return 1;
  }
  drop_wire();
  watch(&engine, &plan, signals, report);

  int removed;
  int left = sweep(&engine, &removed);
  report_swept(removed, left);
  return left == 0 ? 0 : 1;
}
