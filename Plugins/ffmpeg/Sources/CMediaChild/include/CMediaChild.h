// Starts one command-line tool as a child process that cannot outlive its bounds or the thread that started it.
#ifndef C_MEDIA_CHILD_H
#define C_MEDIA_CHILD_H

#include <stdint.h>
#include <sys/types.h>

struct media_child {
  /// The child, which leads a process group of its own. The caller reaps it.
  pid_t pid;
  /// Read end of the child's stdout. Close-on-exec, non-blocking; the caller closes it.
  int output;
  /// Read end of the child's stderr, likewise.
  int errors;
};

/// Starts `path` with the null-terminated lists `arguments` and `environment` in `directory`.
///
/// The child has /dev/null as stdin, pipes of its own as stdout and stderr, no other descriptor, and default signals.
/// It is killed when the calling thread ends: call from a thread that stays until the child is reaped.
/// `data_bytes` bounds its private writable memory and `file_bytes` the size of any file it writes; 0 sets no bound.
/// Returns 0, or the errno of the step that failed; then there is no child and nothing to close.
int media_child_start(const char *path, char *const arguments[], char *const environment[], const char *directory,
                      uint64_t data_bytes, uint64_t file_bytes, struct media_child *child);

#endif
