#ifndef CARTIFACT_H
#define CARTIFACT_H

/// Opens `path` beneath `directory` for reading, following no symbolic link on the way and at its end, never blocking
/// and never leaving the directory. Returns a close-on-exec descriptor, or -1 with errno set.
///
/// Uses openat2 (Linux 5.6). Where the kernel or a seccomp filter lacks it, `path` must be one component and plain
/// openat with O_NOFOLLOW does the same.
int cartifact_open_beneath(int directory, const char *path);

#endif
