#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// The system calls an engine does without. Which ones, and why:
//
// - sockets: none without the network, that of the internet with it. Never one of the local kind, because the control
//   sockets of this and other programs are files that a connection does not "open"; a pair of connected ones is fine.
// - other processes: no look into them and no change of their limits.
// - files: no descriptor for commands alone (access mode 3), for which Landlock wants no right, and no program that runs
//   with its owner's rights: Landlock does not see a change of mode.
// - memory and queues of System V and POSIX that outlive who made them.
// - the kernel: modules, mounts, clocks, keys, namespaces, programs for it, and the interfaces of the past years that
//   were ways into it (bpf, perf, userfaultfd, io_uring). io_uring would also go round the rules for sockets.
//
// A refused call fails with EPERM, a socket with EACCES as socket(2) has it, and what a program is known to do without
// with ENOSYS, as if the kernel were older: C libraries then fall back to what can be checked here.

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the numbers of system calls differ by architecture: add this one"
#endif
#define X32_BIT 0x40000000U  // on x86_64, the second table of system calls

// Younger than the oldest headers; these numbers are the same everywhere.
enum { CALL_OPEN_TREE_ATTR = 467, CALL_OPENAT2 = 437, CALL_FCHMODAT2 = 452 };

enum { CAPACITY = 512 };
struct program {
  struct sock_filter code[CAPACITY];
  unsigned short length;
};

static void emit(struct program *program, unsigned short code, unsigned value, unsigned char yes, unsigned char no) {
  if (program->length < CAPACITY)
    program->code[program->length++] = (struct sock_filter){.code = code, .k = value, .jt = yes, .jf = no};
}

static void load(struct program *program, size_t offset) {
  emit(program, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

// The low half of an argument: all that the kernel looks at in an int. Both architectures are little-endian.
static void load_argument(struct program *program, int index) {
  load(program, offsetof(struct seccomp_data, args) + sizeof(unsigned long long) * (unsigned)index);
}

static void answer(struct program *program, int error) {
  emit(program, BPF_RET | BPF_K, error ? SECCOMP_RET_ERRNO | (unsigned)error : SECCOMP_RET_ALLOW, 0, 0);
}

static void refuse(struct program *program, long call, int error) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1);
  answer(program, error);
}

// What follows, until `end`, decides about one call; it must answer on every way.
static unsigned short begin(struct program *program, long call) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 0);
  return (unsigned short)(program->length - 1);
}

static void end(struct program *program, unsigned short start) {
  program->code[start].jf = (unsigned char)(program->length - start - 1);
}

static void accept_value(struct program *program, unsigned value) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
  answer(program, 0);
}

static void refuse_bits(struct program *program, long call, int argument, unsigned bits) {
  unsigned short start = begin(program, call);
  load_argument(program, argument);
  emit(program, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
  answer(program, EPERM);
  answer(program, 0);
  end(program, start);
}

static void check_architecture(struct program *program) {
  load(program, offsetof(struct seccomp_data, arch));
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0);
  answer(program, ENOSYS);
  load(program, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
  emit(program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
  answer(program, ENOSYS);
#endif
}

static void check_sockets(struct program *program, bool network) {
  unsigned short start = begin(program, SYS_socket);
  if (network) {
    load_argument(program, 0);
    accept_value(program, AF_INET);
    accept_value(program, AF_INET6);
    accept_value(program, AF_NETLINK);  // looking up names asks it for the machine's addresses
  }
  answer(program, EACCES);
  end(program, start);

  // Not of datagrams: such a socket can be sent to anyone later.
  start = begin(program, SYS_socketpair);
  load_argument(program, 0);
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0);
  answer(program, EACCES);
  load_argument(program, 1);
  emit(program, BPF_ALU | BPF_AND | BPF_K, ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK), 0, 0);
  accept_value(program, SOCK_STREAM);
  accept_value(program, SOCK_SEQPACKET);
  answer(program, EACCES);
  end(program, start);
}

static void check_processes(struct program *program) {
  const unsigned namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                              CLONE_NEWPID | CLONE_NEWNET | 0x80 /* CLONE_NEWTIME */;
  refuse_bits(program, SYS_unshare, 0, namespaces);
  refuse_bits(program, SYS_clone, 0, namespaces & ~0xffU);  // the low byte is the signal of the child's end
  // Its flags lie in memory, where they cannot be checked.
  refuse(program, SYS_clone3, ENOSYS);
  unsigned short start = begin(program, SYS_prlimit64);
  load_argument(program, 0);
  accept_value(program, 0);
  answer(program, EPERM);
  end(program, start);
}

static void check_open(struct program *program, long call, int flags, int landlock) {
  const unsigned creates = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
  unsigned short start = begin(program, call);
  load_argument(program, flags);
  emit(program, BPF_ALU | BPF_AND | BPF_K, O_ACCMODE, 0, 0);
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, O_ACCMODE, 0, 1);
  answer(program, EACCES);
  if (landlock > 0 && landlock < 3) {  // does not see that opening for reading can shorten, too
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, O_RDONLY, 0, 3);
    load_argument(program, flags);
    emit(program, BPF_JMP | BPF_JSET | BPF_K, O_TRUNC, 0, 1);
    answer(program, EACCES);
  }
  load_argument(program, flags);
  emit(program, BPF_JMP | BPF_JSET | BPF_K, creates, 0, 3);
  load_argument(program, flags + 1);
  emit(program, BPF_JMP | BPF_JSET | BPF_K, S_ISUID | S_ISGID, 0, 1);
  answer(program, EPERM);
  answer(program, 0);
  end(program, start);
}

static void check_files(struct program *program, int landlock) {
  const unsigned bits = S_ISUID | S_ISGID;
  check_open(program, SYS_openat, 2, landlock);
  refuse_bits(program, SYS_fchmod, 1, bits);
  refuse_bits(program, SYS_fchmodat, 2, bits);
  refuse_bits(program, CALL_FCHMODAT2, 2, bits);
  refuse_bits(program, SYS_mknodat, 2, bits);
#ifdef SYS_open
  check_open(program, SYS_open, 1, landlock);
  refuse_bits(program, SYS_creat, 1, bits);
  refuse_bits(program, SYS_chmod, 1, bits);
  refuse_bits(program, SYS_mknod, 1, bits);
#endif
  // Its flags lie in memory, where they cannot be checked.
  refuse(program, CALL_OPENAT2, ENOSYS);
}

static const long refused[] = {
    // other processes
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise,
    SYS_migrate_pages,
    // the file system as a whole
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_open_tree, SYS_move_mount, SYS_fsopen,
    SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, CALL_OPEN_TREE_ATTR, SYS_quotactl, SYS_quotactl_fd,
    SYS_swapon, SYS_swapoff, SYS_acct, SYS_open_by_handle_at, SYS_fanotify_init,
    // the kernel
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_bpf, SYS_perf_event_open,
    SYS_userfaultfd, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_reboot, SYS_syslog, SYS_vhangup, SYS_settimeofday,
    SYS_clock_settime, SYS_sethostname, SYS_setdomainname,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm,
#endif
#ifdef SYS_lookup_dcookie
    SYS_lookup_dcookie,
#endif
};
static const long unknown[] = {
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_shmget, SYS_shmat, SYS_shmctl,
    SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_semget, SYS_semop,
    SYS_semtimedop, SYS_semctl, SYS_mq_open, SYS_mq_unlink,
};

bool filter_apply(const struct sandbox *sandbox) {
  struct program program = {.length = 0};
  check_architecture(&program);
  check_sockets(&program, sandbox->network);
  check_processes(&program);
  check_files(&program, sandbox->landlock);
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) refuse(&program, refused[i], EPERM);
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) refuse(&program, unknown[i], ENOSYS);
  // Before its version 3, Landlock does not see a file shortened by name.
  if (sandbox->landlock > 0 && sandbox->landlock < 3) refuse(&program, SYS_truncate, EPERM);
  answer(&program, 0);
  if (program.length == CAPACITY) {
    errno = E2BIG;
    return false;
  }
  struct sock_fprog whole = {.len = program.length, .filter = program.code};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole, 0, 0) == 0;
}
