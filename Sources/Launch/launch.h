// launch: the monitor of one engine.
//
// The host starts one launch for each engine. launch starts the engine in a prepared process, reports what becomes of
// it, and makes sure that nothing that the engine ever started outlives the engine, the monitor or the host.
//
//   launch --parent PID [option...] -- FILE [ARGUMENT...]
//
//   --parent PID           the host; launch leaves at once when its parent is another process
//   --directory PATH       working directory of the engine
//   --open-files N         RLIMIT_NOFILE
//   --address-space BYTES  RLIMIT_AS
//   --processes N          RLIMIT_NPROC (counts all processes of the user)
//   --file-size BYTES      RLIMIT_FSIZE
//
// FILE is looked up in PATH when it has no slash. The engine gets launch's own environment and descriptors 0, 1 and 2.
//
// Descriptor 3, written: status, one record a line.
//   started PID STARTTIME              the engine's program runs; STARTTIME is field 22 of /proc/PID/stat
//   failed STEP ERRNO                  it could not be started; nothing but swept follows
//   exited CODE MAXRSS_KIB             the engine left
//   signaled SIGNAL CORE MAXRSS_KIB    the engine was killed; CORE is 1 when a core file was written
//   swept COUNT LEFT                   last record: descendants removed, and those that could not be
//
// Descriptor 4, read: commands, one byte each: T and K send SIGTERM and SIGKILL to the engine's process group. End of
// file, which is also what the death of the host looks like, ends the engine and every descendant, then launch.
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { STATUS_FD = 3, CONTROL_FD = 4, USAGE_STATUS = 64 };

enum limit { LIMIT_OPEN_FILES, LIMIT_ADDRESS_SPACE, LIMIT_PROCESSES, LIMIT_FILE_SIZE, LIMIT_COUNT };

struct plan {
  pid_t parent;
  const char *directory;  // NULL: stay
  bool limited[LIMIT_COUNT];
  rlim_t limits[LIMIT_COUNT];
  char **command;
};

/// What went wrong in a child before its program ran. The child sends it over a pipe that closes when the program runs.
enum step { STEP_FORK, STEP_PROCESS, STEP_LIMITS, STEP_DIRECTORY, STEP_EXEC };
struct failure {
  enum step step;
  int error;
};

/// Reads the command line. Returns false, having said why on stderr, when it is not a valid one.
bool plan_read(struct plan *plan, int argc, char **argv);

/// In the forked child: prepares the process and becomes the engine. Does not return.
_Noreturn void child_run(const struct plan *plan, pid_t monitor, int report_fd);

/// The engine as its monitor sees it.
struct engine {
  pid_t pid;     // also the number of its process group
  bool reaped;   // its pid may be another process's by now
  bool silent;   // it never became the engine: its exit is not reported
};

/// Reaps what has died, without blocking, and reports the engine's end. Returns the number of processes reaped, or -1
/// when no child is left at all.
int reap(struct engine *engine);
/// Sends a signal to the engine's process group unless no process of it is known to exist.
void signal_group(const struct engine *engine, int signal);
/// Kills and reaps every descendant, whatever its session or group, for at most some seconds.
/// Returns how many were still there in the end.
int sweep(struct engine *engine, int *removed);

void report_started(pid_t pid);
void report_failed(const struct failure *failure);
void report_end(int wait_status, const struct rusage *usage);
void report_swept(int removed, int left);

#endif
