#ifndef CARTIFACT_H
#define CARTIFACT_H

#include <stddef.h>
#include <sys/types.h>

/// Opens `path` beneath `directory` for reading, following no symbolic link on the way and at its end, never blocking
/// and never leaving the directory. Returns a close-on-exec descriptor, or -1 with errno set.
///
/// Uses openat2 (Linux 5.6). Where the kernel or a seccomp filter lacks it, `path` must be one component and plain
/// openat with O_NOFOLLOW does the same.
int cartifact_open_beneath(int directory, const char *path);

/// Makes `into` share all blocks of `from` (FICLONE). Returns 0, or -1 with errno set where the file system cannot.
int cartifact_clone(int from, int into);

/// Copies at most `count` bytes inside the kernel from one descriptor's position to the other's (copy_file_range).
/// Returns how many, 0 at the end, or -1 with errno set.
ssize_t cartifact_copy_range(int from, int into, size_t count);

#endif
