"""The system calls that sandboxed Python may make: a list of what it needs, made into a filter by libseccomp.

Everything else answers "Operation not permitted" (and a call of another architecture kills), so a call that a future
kernel adds is refused before anybody heard of it. What matters most is what is missing: no new process or thread
(`clone`, `fork`), no socket other than a pair connected to itself, no mount, namespace, ptrace, `kill`, key, io_uring,
bpf, perf, userfaultfd, and no memory that the address space limit would not count (memory files, shared memory).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from functools import lru_cache

from agents.sandbox_errors import SandboxUnavailable

_NAMES = """
access alarm arch_prctl brk chdir chmod clock_getres clock_gettime clock_nanosleep close close_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve exit exit_group
faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fdatasync fgetxattr flistxattr fstat fstatfs
fsync ftruncate futex getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
gettimeofday getuid getxattr lgetxattr link linkat listxattr llistxattr lseek lstat madvise mkdir mkdirat mmap mprotect
mremap msync munmap nanosleep newfstatat open openat openat2 pause pipe pipe2 poll ppoll pread64 preadv preadv2
pselect6 pwrite64 pwritev pwritev2 read readlink readlinkat readv recvfrom recvmsg rename renameat renameat2
restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait
sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min sched_yield select
sendmsg setitimer setrlimit set_robust_list set_tid_address shutdown sigaltstack stat statfs statx symlink symlinkat
sysinfo tgkill time times truncate umask uname unlink unlinkat utime utimensat utimes wait4 waitid write writev
"""
ALLOWED = tuple(_NAMES.split())
ALLOWED_BY_NUMBER = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
"""Named the same on every architecture; older copies of libseccomp do not know them by name."""
UNKNOWN = ("clone3", "fchmodat2")
"""Answered with "not implemented", at which the C library takes the older call."""
IOCTLS = {
    "TCGETS": 0x5401,
    "TIOCGWINSZ": 0x5413,
    "FIONREAD": 0x541B,
    "FIONBIO": 0x5421,
    "FIONCLEX": 0x5450,
    "FIOCLEX": 0x5451,
}
"""What Python asks of a file descriptor. TIOCSTI, which types into a terminal, is not among them."""
FCNTLS = {
    **{"F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_SETFL": 4, "F_GETLK": 5, "F_SETLK": 6, "F_SETLKW": 7},
    **{"F_SETOWN": 8, "F_SETSIG": 10},  # sandbox_child.tether; reaches processes of the pid namespace alone
    **{"F_OFD_GETLK": 36, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38, "F_DUPFD_CLOEXEC": 1030, "F_GETPIPE_SZ": 1032},
}
"""No lease: one on a file that the machine shares with the sandbox would make others wait who open it."""
AF_UNIX, SOCK_STREAM, SOCK_TYPE_MASK, LOW_WORD = 1, 1, 0xF, 0xFFFFFFFF

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
MASKED_EQ = 7
EQ = 4


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError as error:
        raise SandboxUnavailable(
            "preparing the sandbox",
            "libseccomp is not installed",
            "apt-get install libseccomp2, or your system's package.",
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Compare)
    ]  # fmt: skip
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def _rules() -> Iterator[tuple[str, int, int, tuple[_Compare, ...]]]:
    """Name, number where the name may be unknown, action, conditions."""
    yield from ((name, -1, ALLOW, ()) for name in ALLOWED)
    yield from ((name, number, ALLOW, ()) for name, number in ALLOWED_BY_NUMBER.items())
    yield from ((name, -1, ERRNO | errno.ENOSYS, ()) for name in UNKNOWN)
    # The kernel reads 32 bits of a request; a filter that compared 64 could be passed by setting a higher one.
    yield from (("ioctl", -1, ALLOW, (_Compare(1, MASKED_EQ, LOW_WORD, request),)) for request in IOCTLS.values())
    yield from (("fcntl", -1, ALLOW, (_Compare(1, MASKED_EQ, LOW_WORD, command),)) for command in FCNTLS.values())
    # asyncio wakes itself through a pair of streams. A pair of datagram sockets could be sent to an address.
    pair = (_Compare(0, MASKED_EQ, LOW_WORD, AF_UNIX), _Compare(1, MASKED_EQ, SOCK_TYPE_MASK, SOCK_STREAM))
    yield ("socketpair", -1, ALLOW, pair)
    yield ("prlimit64", -1, ALLOW, (_Compare(0, MASKED_EQ, LOW_WORD, 0),))  # its own limits alone
    yield ("sendto", -1, ALLOW, (_Compare(4, EQ, 0, 0),))


def _add_rules(library: ctypes.CDLL, context: int) -> None:
    for name, number, action, conditions in _rules():
        known = library.seccomp_syscall_resolve_name(name.encode())
        number = known if known >= 0 or number < 0 else number
        if number < 0:
            continue  # not a call of this architecture, or one that libseccomp is too old for: it stays refused
        array = (_Compare * max(1, len(conditions)))(*conditions)
        if library.seccomp_rule_add_array(context, action, number, len(conditions), array) < 0:
            raise SandboxUnavailable(
                "preparing the sandbox", f"libseccomp took no rule for {name}", "Update libseccomp."
            )


@lru_cache(maxsize=1)
def filter_program() -> bytes:
    """The filter as the kernel takes it (struct sock_filter[]), for this machine's architecture.

    Raises SandboxUnavailable where libseccomp is missing or too old.
    """
    library = _library()
    context = library.seccomp_init(ERRNO | errno.EPERM)
    file = os.memfd_create("filter")
    try:
        _add_rules(library, context)
        if not context or library.seccomp_export_bpf(context, file) < 0:
            raise SandboxUnavailable(
                "preparing the sandbox", "libseccomp could not make a filter", "Update libseccomp."
            )
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)
        library.seccomp_release(context)
