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
//   --processes N          the engine and its descendants are ended when they are more processes than this
//   --file-size BYTES      RLIMIT_FSIZE
//   --sandbox MODE         best: what this kernel has; required: nothing runs unless it has Landlock and seccomp
//   --network allow        with --sandbox: the internet stays within reach
//   --read PATH            with --sandbox: may be read, with all that is below it, and programs of it be run
//   --write PATH           with --sandbox: may be read and changed
//   --device PATH          with --sandbox: a device, or a directory of devices
//   --identity A:B:C:D:E   the program must be this very file: device, inode, size, and nanoseconds since 1970 of the
//                          last modification and of the last change of its status
//
// Paths that lead nowhere are passed over. Without --sandbox the engine may do what the host may.
//
// FILE is looked up in PATH when it has no slash. The engine gets launch's own environment and descriptors 0, 1 and 2.
//
// Descriptor 3, written: status, one record a line.
//   sandbox VERSION WORD,WORD...       before `started`, with --sandbox: Landlock's version, 0 for none, and what is in
//                                      force: files devices network signals calls capabilities
//   started PID STARTTIME              the engine's program runs; STARTTIME is field 22 of /proc/PID/stat
//   failed STEP ERRNO                  it could not be started; nothing but swept follows
//   exceeded processes LIMIT           the engine is being ended for it
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

enum grant_kind { GRANT_READ, GRANT_WRITE, GRANT_DEVICE };
struct grant {
  enum grant_kind kind;
  const char *path;
};

struct sandbox {
  enum { SANDBOX_OFF, SANDBOX_BEST, SANDBOX_REQUIRED } mode;
  bool network;
  struct grant *grants;
  size_t grant_count;
  int landlock;  // the version of the kernel's interface; 0: none
  bool filter;   // whether the kernel has seccomp
};

/// Which file a program is, in which state.
struct identity {
  unsigned long long device, inode, size, modified, changed;
};

struct plan {
  pid_t parent;
  const char *directory;  // NULL: stay
  struct sandbox sandbox;
  bool pinned;
  struct identity identity;
  bool limited[LIMIT_COUNT];
  rlim_t limits[LIMIT_COUNT];
  char **command;
};

/// What went wrong in a child before its program ran. The child sends it over a pipe that closes when the program runs.
enum step { STEP_FORK, STEP_PROCESS, STEP_LIMITS, STEP_DIRECTORY, STEP_SANDBOX, STEP_PIN, STEP_EXEC };
struct failure {
  enum step step;
  int error;
};

/// Reads the command line. Returns false, having said why on stderr, when it is not a valid one.
bool plan_read(struct plan *plan, int argc, char **argv);

/// In the forked child: prepares the process and becomes the engine. Does not return.
_Noreturn void child_run(const struct plan *plan, pid_t monitor, int report_fd);

/// Finds out what this kernel has of what a sandbox is made of.
void sandbox_probe(struct sandbox *sandbox);
/// Whether what it has is enough for the mode.
bool sandbox_suffices(const struct sandbox *sandbox);
/// What will be in force, separated by commas.
void sandbox_words(const struct sandbox *sandbox, char *text, size_t size);
/// In the child, after PR_SET_NO_NEW_PRIVS: confines this process and all it will start, for ever. False, with errno,
/// when something that the kernel has could not be applied.
bool sandbox_apply(const struct sandbox *sandbox);
/// The part of it that is about system calls.
bool filter_apply(const struct sandbox *sandbox);

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

/// Milliseconds of a clock that is never set.
long long now_ms(void);
/// Whether there are more descendants than this. Counts no further.
bool descendants_exceed(rlim_t limit);

void report_sandbox(const struct sandbox *sandbox);
void report_exceeded(rlim_t limit);
void report_started(pid_t pid);
void report_failed(const struct failure *failure);
void report_end(int wait_status, const struct rusage *usage);
void report_swept(int removed, int left);

#endif
