"""System calls that have broken out of other sandboxes, made directly: each is refused by its number.

All are made in one run with arguments of zeros, at which an allowed call answers something else than EPERM.
"""

import errno
import json
import platform
import subprocess
import sys

import pytest

from agents.sandbox import Limits, run_python

# name: number on x86_64, number on aarch64 (None: it has no such call)
OLD = {
    "fork": (57, None), "vfork": (58, None), "clone": (56, 220), "kill": (62, 129), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kcmp": (312, 272), "setsid": (112, 157), "setpgid": (109, 154),
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "setsockopt": (54, 208), "sendmmsg": (307, 269), "recvmmsg": (299, 243),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "setuid": (105, 146), "setgid": (106, 144), "setresuid": (117, 147), "setresgid": (119, 149),
    "setgroups": (116, 159), "setfsuid": (122, 151), "capset": (126, 91), "prctl": (157, 167), "seccomp": (317, 277),
    "mknod": (133, None), "mknodat": (259, 33), "chown": (92, None), "fchown": (93, 55), "fchownat": (260, 54),
    "setxattr": (188, 5), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "memfd_create": (319, 279),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "inotify_init1": (294, 26), "vmsplice": (278, 75), "splice": (275, 76), "tee": (276, 77), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104), "reboot": (169, 142),
    "swapon": (167, 224), "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171), "acct": (163, 89),
    "syslog": (103, 116), "quotactl": (179, 60), "personality": (135, 92), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "mlock": (149, 228), "mlockall": (151, 230), "mbind": (237, 235), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "timer_create": (222, 107), "io_setup": (206, 0), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "vhangup": (153, 58), "nfsservctl": (180, 42), "sync": (162, 81),
}  # fmt: skip
NEW = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447,
    "process_mrelease": 448, "set_mempolicy_home_node": 450, "map_shadow_stack": 453, "lsm_set_self_attr": 460,
    "open_tree_attr": 467, "of the future": 999,
}  # fmt: skip
COLUMN = {"x86_64": 0, "aarch64": 1}
MACHINE = platform.machine()
CALLS = NEW | {name: numbers[COLUMN.get(MACHINE, 0)] for name, numbers in OLD.items()}
CALLS = {name: number for name, number in CALLS.items() if number is not None}
HARMLESS = ("socket", "kcmp", "memfd_create", "inotify_init1", "setsockopt", "capset", "setns", "ioprio_set", "bpf",
            "sched_setaffinity", "splice", "pidfd_open", "pidfd_getfd", "mq_open", "io_setup", "fsconfig")  # fmt: skip
CODE = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
answers = {}
for name, number in CALLS.items():
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)
    answers[name] = ctypes.get_errno() if result == -1 else 0
print(json.dumps(answers))
"""

pytestmark = pytest.mark.skipif(MACHINE not in COLUMN, reason=f"no numbers of system calls for {MACHINE}")


@pytest.fixture(scope="module")
def answers(sandbox):
    result = run_python(f"CALLS = {CALLS}\n{CODE}")
    assert result.ok, result.text
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", CALLS)
def test_a_system_call_is_refused(name, answers):
    assert answers[name] == (errno.ENOSYS if name == "clone3" else errno.EPERM)


def test_outside_the_sandbox_calls_answer_otherwise():
    calls = {name: CALLS[name] for name in HARMLESS}
    code = f"CALLS = {calls}\n{CODE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert errno.EPERM not in json.loads(done.stdout).values()


def native(code):
    """Python that runs machine code; the numbers below are instructions of x86_64."""
    return f"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex({code!r}))
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
print(ctypes.CFUNCTYPE(ctypes.c_long)(address)())
"""


@pytest.mark.skipif(MACHINE != "x86_64", reason="machine code of x86_64")
@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("the 32-bit door", "b814000000cd80c3"),  # mov eax, 20 (getpid of i386); int 0x80; ret
        ("the x32 numbers", "b8270000400f05c3"),  # mov eax, 0x40000027 (getpid of x32); syscall; ret
    ],
)
def test_calls_of_another_architecture_kill(way, code, sandbox):
    assert run_python(native("b8270000000f05c3")).stdout == "2\n"  # control: getpid of x86_64, by the same means
    result = run_python(native(code), limits=Limits(seconds=5))
    assert (result.reason, result.exit_status) == ("killed", 128 + 31), way  # SIGSYS
