// Thin wrappers over Linux system calls that Swift cannot call, or that need C to be called safely.
//
// Every function returns a value >= 0 on success and -errno on failure, so that no caller has to read errno across a
// language boundary. Every descriptor that is made here is close-on-exec.
#ifndef CLINUX_H
#define CLINUX_H

#include <stdint.h>
#include <sys/types.h>

// Descriptors.

/// Makes a pipe: fds[0] is read from, fds[1] is written to.
int linux_pipe(int fds[2]);
/// Sets or clears O_NONBLOCK of the open file behind `fd`.
int linux_set_nonblocking(int fd, int enabled);
/// Closes every descriptor from `first` to `last`.
int linux_close_range(unsigned first, unsigned last);
/// A counter to wake a thread with: reading blocks until something was written.
int linux_eventfd(int nonblocking);
/// Adds one to an eventfd.
int linux_eventfd_signal(int fd);
/// Blocks until the eventfd is not zero, then sets it to zero.
int linux_eventfd_wait(int fd);
/// Makes a pseudo-terminal: fds[0] is its master, fds[1] what a program sees as its terminal.
int linux_terminal(int fds[2]);

// Files.

enum {
  LINUX_RESOLVE_NO_XDEV = 0x01,
  LINUX_RESOLVE_NO_MAGICLINKS = 0x02,
  LINUX_RESOLVE_NO_SYMLINKS = 0x04,
  LINUX_RESOLVE_BENEATH = 0x08,
};
/// openat2(2): opens `path` below `directory` under the LINUX_RESOLVE_ rules; O_CLOEXEC is added to `flags`.
int linux_openat2(int directory, const char *path, int flags, unsigned mode, uint64_t resolve);
/// Renames and fails with -EEXIST rather than replace an existing file.
int linux_rename_noreplace(int old_directory, const char *old_path, int new_directory, const char *new_path);

/// Exchanges two files or directories, both of which exist, in one step.
int linux_rename_exchange(int old_directory, const char *old_path, int new_directory, const char *new_path);
/// Brings the whole file system of an open file to disk.
int linux_syncfs(int fd);

// Processes.

/// Makes this process the parent of every descendant whose own parent died.
int linux_set_child_subreaper(void);
/// Asks for `signal` when the thread that made this process dies.
int linux_set_parent_death_signal(int signal);
/// Names the calling thread for ps and debuggers; at most 15 bytes count.
void linux_name_thread(const char *name);
/// From now on the allocator gives large blocks back to the system when they are freed.
int linux_return_memory(void);
/// A descriptor of a process that becomes readable when it dies.
int linux_pidfd_open(pid_t pid);
/// Sends a signal to the very process the descriptor was opened for.
int linux_pidfd_send_signal(int pidfd, int signal);
/// Reaps a child without blocking. Returns 1 when it was reaped, 0 when it still runs. `*signaled` tells whether
/// `*status` is a signal (1) or an exit status (0).
int linux_pidfd_reap(int pidfd, int *signaled, int *status);
/// Starts a program with fds[i] as its descriptor i, every signal at its default and none blocked. Returns its pid.
/// Must be called from a thread that lives as long as the child may live: a parent-death signal follows the thread.
int linux_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, int count);

/// Version of Landlock's interface that this kernel has; 0 when it has none, or a container forbids it.
int linux_landlock_version(void);
/// Whether system calls can be filtered with errors as answers: 1 or 0.
int linux_has_seccomp(void);

// Signals.

/// From now on each of `signals` is written, one byte that is its number, to `write_fd` instead of its default action.
/// Handlers, unlike a blocked mask or an ignored signal, are not inherited by programs that are executed.
int linux_forward_signals(int write_fd, const int *signals, int count);
/// Ignores SIGPIPE, so that writing to a closed pipe is an error rather than death.
int linux_ignore_sigpipe(void);

// Timers.

/// A one-shot timer on CLOCK_MONOTONIC that becomes readable when it fires.
int linux_timerfd(void);
/// Arms the timer for an instant in nanoseconds; 0 disarms it. Also forgets that it has fired.
int linux_timerfd_arm(int fd, int64_t nanoseconds);

// Watching directories.

/// A non-blocking inotify instance.
int linux_inotify(void);
/// Watches a directory for entries that appear, vanish, or are written to. Fails with -ENOTDIR for anything else.
int linux_inotify_watch(int fd, const char *directory);

#endif
