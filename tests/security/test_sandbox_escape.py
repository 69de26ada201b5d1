"""Code that tries to get out of the sandbox, written after published escapes from others: none touches the machine.

Every attempt runs in a sandbox of its own. After it, the machine is looked at (conftest.World): files, modes, mounts,
limits, listeners, a process that could be killed, secrets in what was printed and fetched, and processes left behind.
An attempt that says `control` is run without the sandbox too, and must then be seen: so the watching works, and the
attempt would have worked.
"""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from agents.sandbox import Limits, run_python

MEMORY = 256 * 2**20 + (os.getpid() % 60000) * 4096  # a number that marks this test run's sandboxes
LIMITS = Limits(seconds=1.0, cpu_seconds=3, memory=MEMORY, scratch=8 * 2**20, files=200, fetch=2**20)
PATIENT = replace(LIMITS, seconds=20.0)
HONEST = ("PermissionError", "FileNotFoundError", "NotADirectoryError", "OSError", "BlockingIOError", "MemoryError",
          "RuntimeError: can't start new thread", "socket.gaierror", "urllib.error.URLError", "ValueError: not allowed",
          "ModuleNotFoundError", "EOFError", "KeyError: 'HEARTH_CANARY'", "ProcessLookupError", "RecursionError",
          "ChildProcessError", "ImportError")  # fmt: skip
"""How a failed attempt may end: refused by what it asked, not by a mistake of its own."""

CONTROL = {  # with a control: harmless outside
    "subclass walk to a shell": "g=[c for c in ().__class__.__base__.__subclasses__() if c.__name__=='_wrap_close'][0]"
    ".__init__.__globals__\ng['system']('cat '+SECRET)",
    "import by string": "getattr(__import__('o'+'s'), 'sys'+'tem')('cat '+SECRET)",
    "builtins through a loader": "import sys\nsys.modules['subprocess']=None; del sys.modules['subprocess']\n"
    "print(__loader__ if 0 else __import__('subprocess').run(['cat',SECRET],capture_output=True,text=True).stdout)",
    "secrets in the garbage collector": "import gc,os\nfor o in gc.get_objects():\n"
    "  if isinstance(o,os._Environ): print(dict(o))",
    "libc system by ctypes": "import ctypes\nctypes.CDLL(None).system(('cat '+SECRET).encode())",
    "exec another program": "import os\nos.execv('/bin/cat',['cat',SECRET])",
    "exec through libc": "import ctypes\nctypes.CDLL(None).execl(b'/bin/cat',b'cat',SECRET.encode(),None); "
    "raise OSError(ctypes.get_errno(),'execl')",
    "the project's own code": "import sys\nsys.path.insert(0,ROOT)\nimport decoder.errors\nescaped()",
    "installed packages": "import sys\nimport pytest\nescaped()",
    "open the secret": "print(open(SECRET).read())",
    "climb with dots": "print(open('../'*40+SECRET.lstrip('/')).read())",
    "climb from a descriptor": "import os\nfd=os.open('/',os.O_PATH)\n"
    "print(os.read(os.open('../'*40+SECRET.lstrip('/'),os.O_RDONLY,dir_fd=fd),99))",
    "proc self environ": "print(open('/proc/self/environ').read())",
    "proc root of another": "print(open(f'/proc/{VICTIM}/root'+SECRET).read())",
    "proc self root": "print(open('/proc/self/root'+SECRET).read())",
    "proc memory of another": "open(f'/proc/{VICTIM}/mem','r+b')\nescaped()",
    "proc own memory": "open('/proc/self/mem','r+b')\nescaped()",
    "proc descriptors of the tester": "import os\nprint(open(f'/proc/{TESTER}/fd/{FD}').read())",
    "the process list": "import os\n[escaped() for p in os.listdir('/proc') if p==str(VICTIM)]",
    "the environment": "import os\nprint(os.environ['HEARTH_CANARY'])",
    "the environment by libc": "import ctypes\nl=ctypes.CDLL(None); l.getenv.restype=ctypes.c_char_p\n"
    "print(l.getenv(b'HEARTH_CANARY'))",
    "an inherited descriptor": "import os\nprint(os.pread(FD,99,0))",
    "any inherited descriptor": "import os\nfor fd in range(3,64):\n  try: print(os.pread(fd,99,0))\n"
    "  except OSError: pass",
    "a hard link to the secret": "import os\nos.link(SECRET,'leak.txt')\nprint(open('leak.txt').read())",
    "a symbolic link to the secret": "import os\nos.symlink(SECRET,'leak.txt')\nprint(open('leak.txt').read())",
    "write through a link": "import os\nos.symlink(TARGET,'d')\nopen('d/dropped','w')",
    "write beside": "open(TARGET+'/dropped','w')",
    "change to another folder": "import os\nos.chdir(TARGET)\nopen('dropped','w')",
    "move a file out": "import os\nopen('dropped','w').close()\nos.rename('dropped',TARGET+'/dropped')",
    "change a mode": "import os\nos.chmod(SECRET,0o777)",
    "touch a file": "import os\nos.utime(SECRET)",
    "list a folder": "import os\n[escaped() for n in os.listdir(TARGET+'/..') if n=='secret.txt']",
    "the users of the machine": "open('/etc/passwd').read()\nescaped()",
    "the temporary folder": "import os\nos.listdir('/tmp')\nescaped()",
    "the folder sys": "import os\nos.listdir('/sys')[0]\nescaped()",
    "shared memory by name": "open('/dev/shm/hearth-canary','w')\nescaped()\nimport os; os.remove('/dev/shm/hearth-canary')",
    "shared memory by module": "from multiprocessing import shared_memory as s\nm=s.SharedMemory(create=True,size=9)\n"
    "escaped()\nm.close(); m.unlink()",
    "System V shared memory": "import ctypes\nl=ctypes.CDLL(None,use_errno=True); l.shmat.restype=ctypes.c_void_p\n"
    "a=l.shmat(SHARED,None,0o10000)\nif a==ctypes.c_void_p(-1).value: raise OSError(ctypes.get_errno(),'shmat')\n"
    "print(ctypes.string_at(a,32))",
    "a memory file": "import os\nos.memfd_create('x')\nescaped()",
    "a terminal of its own": "import os\nos.openpty()\nescaped()",
    "a shell": "import subprocess\nsubprocess.run(['/bin/sh','-c',f'touch {TARGET}/dropped'])",
    "spawn by libc": "import os\np=os.posix_spawn('/bin/touch',['touch',TARGET+'/dropped'],{})\nos.waitpid(p,0)",
    "fork": "import os\nif os.fork(): os.wait()\nelse: escaped()",
    "a thread": "import threading\nthreading.Thread(target=escaped).start()",
    "a process pool": "import multiprocessing as m\np=m.get_context('fork').Process(target=escaped); p.start(); p.join()",
    "kill by its id": "import os\nos.kill(VICTIM,9)\nimport time; time.sleep(0.2)",
    "kill its group": "import os\nos.killpg(VICTIM,9)\nimport time; time.sleep(0.2)",
    "signal with a value": "import ctypes\nl=ctypes.CDLL(None,use_errno=True)\n"
    "if l.sigqueue(VICTIM,9,None): raise OSError(ctypes.get_errno(),'sigqueue')\nimport time; time.sleep(0.2)",
    "signal through a pidfd": "import os,signal\nsignal.pidfd_send_signal(os.pidfd_open(VICTIM),9)\nimport time; time.sleep(0.2)",
    "limits of another": "import resource\nresource.prlimit(VICTIM,resource.RLIMIT_NOFILE,(7,7))",
    "undo the tether": "import ctypes\nif ctypes.CDLL(None,use_errno=True).prctl(1,0): raise OSError(1,'prctl')\nescaped()",
    "choose its processors": "import os\nos.sched_setaffinity(0,os.sched_getaffinity(0))\nescaped()",
    "TCP to the machine": "import socket\nsocket.create_connection(('127.0.0.1',TCP),2)",
    "TCP to any address": "import socket\nsocket.create_connection(('0.0.0.0',TCP),2)",
    "TCP by the C module": "import _socket\n_socket.socket().connect(('127.0.0.1',TCP))",
    "TCP by libc": "import ctypes,socket\nl=ctypes.CDLL(None,use_errno=True); s=l.socket(2,1,0)\n"
    "a=(2).to_bytes(2,'little')+TCP.to_bytes(2,'big')+socket.inet_aton('127.0.0.1')+bytes(8)\n"
    "if l.connect(s,a,16): raise OSError(ctypes.get_errno(),'connect')",
    "HTTP": "import urllib.request as u\ntry: u.urlopen(f'http://127.0.0.1:{TCP}/',timeout=0.3)\nexcept TimeoutError: pass",
    "asyncio": "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1',TCP))",
    "UDP": "import socket\nsocket.socket(2,2).sendto(b'x',('127.0.0.1',UDP))",
    "a server": "import socket\nsocket.create_server(('127.0.0.1',0))\nescaped()",
    "an abstract socket": "import socket\nsocket.socket(1).connect(ABSTRACT)",
    "a datagram to an abstract socket": "import socket\nsocket.socket(1,2).sendto(b'x',ABSTRACT)",
    "a datagram from a pair": "import socket\nsocket.socketpair(1,2)[0].sendto(b'x',ABSTRACT)",
    "a message from a pair": "import socket\nsocket.socketpair(1,2)[0].sendmsg([b'x'],[],0,ABSTRACT)",
    "a socket in a folder": "import socket\nsocket.socket(1).connect(UNIX)",
    "netlink": "import socket\nsocket.socket(16,3,0)\nescaped()",
    "the kernel's ciphers": "import socket\nsocket.socket(socket.AF_UNIX,5)\nescaped()",
    "no end of a file": "open('huge','w').truncate(1<<40)\nescaped()",
}  # fmt: skip
ATTEMPTS = {  # without: they would hurt the machine, or need one that is not like others
    "frames back to the runner": "import sys\nf=sys._getframe()\nwhile f: print({k:str(v)[:200] for k,v in f.f_globals.items() if k!='SECRET'}); f=f.f_back",
    "answer on the parent's channel": "import socket\nfor fd in range(64):\n  try: socket.socket(fileno=fd).send(b'x'); escaped()\n  except OSError: pass",
    "descriptors beside the first three": "import os\nfor fd in range(3,64):\n  try: os.fstat(fd); escaped()\n  except OSError: pass",
    "overwrite the interpreter": "import sys\nopen(sys.executable,'r+b')\nescaped()",
    "overwrite by proc self exe": "open('/proc/self/exe','r+b')\nescaped()",
    "append to the library": "import os\nopen(os.__file__,'a')\nescaped()",
    "remove from the library": "import os\nos.remove(os.__file__)\nescaped()",
    "replace in the library": "import os\nos.rename(os.__file__,os.__file__+'x')\nescaped()",
    "mode of the library": "import os\nos.chmod(os.__file__,0o666)\nescaped()",
    "mode of the C library": "import os\nos.chmod('/lib/libc.so.6',0)\nescaped()",
    "poison the byte code": "import os\nopen(os.path.dirname(os.__file__)+'/__pycache__/os.cpython-311.pyc','r+b')\nescaped()",
    "a path file for next time": "import os\nopen(os.path.dirname(os.__file__)+'/site-packages/x.pth','w')\nescaped()",
    "the first lines of the sandbox": "open('/start.py','a')\nescaped()",
    "mode of the null device": "import os\nos.chmod('/dev/null',0o600)\nescaped()",
    "owner of the null device": "import os\nos.chown('/dev/null',1000,1000)\nescaped()",
    "remove the null device": "import os\nos.remove('/dev/null')\nescaped()",
    "the root folder": "open('/x','w')\nescaped()",
    "preload for all": "open('/etc/ld.so.preload','w')\nescaped()",
    "preload for the next": "import os,sys\nopen('x.so','w').write('x')\nos.execve(sys.executable,[sys.executable,'-ISc','print(open(\"%s\").read())'%SECRET],{'LD_PRELOAD':'/scratch/x.so'})",
    "a cron job": "open('/etc/cron.d/hearth-canary','w')\nescaped()",
    "a set-uid copy": "import os,shutil,sys\nshutil.copy(sys.executable,'p'); os.chmod('p',0o4755)\nos.execv('./p',[sys.executable,'-ISc','import os; os.geteuid() or print(\"ESC\"+\"APED\")'])",
    "become root": "import os\nos.setuid(0)\nescaped()",
    "become root by all ids": "import os\nos.setresuid(0,0,0)\nescaped()",
    "drop groups": "import os\nos.setgroups([])\nescaped()",
    "change root and climb": "import os\nos.mkdir('c'); fd=os.open('.',0); os.chroot('c'); os.fchdir(fd)\nfor _ in range(40): os.chdir('..')\nos.chroot('.'); print(open(SECRET).read())",
    "make a disk": "import os,stat\nos.mknod('disk',stat.S_IFBLK|0o666,os.makedev(254,0))\nescaped()",
    "make a character device": "import os,stat\nos.mknod('mem',stat.S_IFCHR|0o666,os.makedev(1,1))\nescaped()",
    "a fifo that would block the reader": "import os\nos.mkfifo('f')\nescaped()",
    "devices": "import os\nfor n in ('mem','kmsg','sda','vda','fuse','kvm','net/tun','ptmx','tty','console','pts/0'):\n  try: os.open('/dev/'+n,os.O_RDWR); escaped()\n  except OSError: pass",
    "core pattern": "open('/proc/sys/kernel/core_pattern','w').write('|/bin/sh')\nescaped()",
    "sysrq": "open('/proc/sysrq-trigger','w').write('h')\nescaped()",
    "binfmt": "open('/proc/sys/fs/binfmt_misc/register','w')\nescaped()",
    "release agent": "import os,ctypes\nos.mkdir('g')\nif ctypes.CDLL(None,use_errno=True).mount(b'cgroup',b'g',b'cgroup',0,b'rdma'): raise OSError(1,'mount')\nescaped()",
    "uevent helper": "open('/sys/kernel/uevent_helper','w')\nescaped()",
    "kernel memory": "open('/proc/kcore','rb')\nescaped()",
    "leaked working folder": "import os\nfor fd in range(64):\n  try: print(open(f'/proc/self/fd/{fd}/../../../..{SECRET}').read())\n  except OSError: pass",
    "a container's socket": "import socket\nfor p in ('/run/docker.sock','/var/run/docker.sock','/run/dbus/system_bus_socket'):\n  try: socket.socket(1).connect(p); escaped()\n  except OSError: pass",
    "mount a folder of the machine": "import ctypes,os\nos.mkdir('m')\nif ctypes.CDLL(None,use_errno=True).mount(b'/',b'm',None,4096,None): raise OSError(1,'mount')\nescaped()",
    "mount writable again": "import ctypes\nif ctypes.CDLL(None,use_errno=True).mount(None,b'/',None,32|4096,None): raise OSError(1,'mount')\nescaped()",
    "mount proc": "import ctypes,os\nos.mkdir('p')\nif ctypes.CDLL(None,use_errno=True).mount(b'proc',b'p',b'proc',0,None): raise OSError(1,'mount')\nescaped()",
    "unmount the scratch folder": "import ctypes\nif ctypes.CDLL(None,use_errno=True).umount2(b'/scratch',2): raise OSError(1,'umount')\nescaped()",
    "a user namespace": "import ctypes\nif ctypes.CDLL(None,use_errno=True).unshare(0x10000000): raise OSError(1,'unshare')\nescaped()",
    "another's namespace": "import ctypes,os\nfd=os.open(f'/proc/{VICTIM}/ns/mnt',0)\nctypes.CDLL(None).setns(fd,0)\nescaped()",
    "DNS": "import socket\nsocket.getaddrinfo('example.com',80)\nescaped()",
    "TCP over IPv6": "import socket\nsocket.create_connection(('::1',TCP),2)\nescaped()",
    "a raw socket": "import socket\nsocket.socket(2,3,1)\nescaped()",
    "a packet socket": "import socket\nsocket.socket(17,3,768)\nescaped()",
    "a socket to the hypervisor": "import socket\nsocket.socket(40,1)\nescaped()",
    "ciphers of the kernel": "import socket\nsocket.socket(38,5)\nescaped()",
    "fork bomb": "import os\nwhile True: os.fork()",
    "stubborn fork bomb": "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
    "thread bomb": "import threading,time\nthreading.stack_size(32768)\nwhile True: threading.Thread(target=time.sleep,args=(60,)).start()",
    "a daemon": "import os,time\nif os.fork()==0:\n  os.setsid()\n  if os.fork()==0: time.sleep(1); open(TARGET+'/dropped','w')",
    "a session of its own": "import os\nos.setsid()\nescaped()",
    "a group of its own": "import os\nos.setpgid(0,0)\nescaped()",
    "kill everything": "import os\nos.kill(-1,9)\nescaped()",
    "kill its parent": "import os\nos.kill(os.getppid(),9)\nescaped()",
    "kill its group and ours": "import os\nos.kill(0,19)\nescaped()",
    "kill the tester": "import os\nos.kill(TESTER,19)\nescaped()",
    "trace another": "import ctypes\nif ctypes.CDLL(None,use_errno=True).ptrace(16,VICTIM,0,0): raise OSError(1,'ptrace')\nescaped()",
    "deaf to every signal": "import signal\nfor s in range(1,65):\n  try: signal.signal(s,signal.SIG_IGN)\n  except (OSError,ValueError): pass\nwhile True: pass",
    "deaf and asleep": "import signal,time\nsignal.pthread_sigmask(0,range(1,65))\nwhile True: time.sleep(9)",
    "stop itself": "import signal\nsignal.raise_signal(signal.SIGSTOP)",
    "asleep without output": "import os,time\nfor fd in range(64):\n  try: os.close(fd)\n  except OSError: pass\ntime.sleep(60)",
    "live on at exit": "import atexit,time\natexit.register(time.sleep,60)",
    "live on in a destructor": "class A:\n  def __del__(s):\n    while True: pass\na=A()",
    "better priority": "import os\nos.nice(-5)\nescaped()",
    "real-time priority": "import os\nos.sched_setscheduler(0,os.SCHED_FIFO,os.sched_param(1))\nescaped()",
    "raise a limit": "import resource as r\nr.setrlimit(r.RLIMIT_AS,(r.RLIM_INFINITY,)*2)\nescaped()",
    "memory bomb": "x=[]\nwhile True: x.append(bytearray(1<<24))",
    "memory bomb by mapping": "import mmap\nx=[mmap.mmap(-1,1<<26) for _ in range(1000)]\nescaped()",
    "stubborn memory bomb": "x=[]\nwhile True:\n  try: x.append(bytearray(1<<20))\n  except MemoryError: pass",
    "locked memory": "import ctypes\nif ctypes.CDLL(None,use_errno=True).mlockall(3): raise OSError(1,'mlockall')\nescaped()",
    "a number without end": "9**9**9",
    "an expression without end": "import re\nre.match(r'(a+)+$','a'*64+'!')",
    "a zip bomb": "import zlib\nd=zlib.decompressobj(); z=zlib.compress(bytes(1<<24)); x=b''.join(zlib.decompress(z) for _ in range(99))\nescaped()",
    "recursion in C": "f=lambda:0\nfor _ in range(10**5): f=type('p',(),{'__call__':f})()\nf()",
    "fill the scratch folder": "f=open('full','wb')\nwhile True: f.write(bytes(1<<20)); f.flush()",
    "many files": "import itertools\nfor n in itertools.count(): open(str(n),'w').close()",
    "deep folders": "import os\nfor n in range(9999): os.mkdir('d'); os.chdir('d')",
    "many descriptors": "import os\nx=[os.dup(0) for _ in range(9999)]\nescaped()",
    "full pipes": "import os\nx=[]\nwhile True:\n  r,w=os.pipe(); os.set_blocking(w,False); x+=[r,w]; os.write(w,bytes(1<<16))",
    "flood": "while True: print('x'*4096)",
    "flood of errors": "import sys\nwhile True: print('x'*4096,file=sys.stderr)",
    "flood in one write": "import os\nos.write(1,b'x'*(100<<20))",
    "a dump of memory": "import os\nos.abort()",
    "type into the terminal": "import fcntl\nfor fd in range(3):\n  for n in (0x5412,0x541c,0x5412|1<<32):\n    try: fcntl.ioctl(fd,n&0xffffffff,b'x'); escaped()\n    except OSError: pass",
    "set the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME,time.time())\nescaped()",
    "name the machine": "import socket\nsocket.sethostname('owned')\nescaped()",
}  # fmt: skip


REASONS = {  # what bombs and stubborn code end with
    "deaf to every signal": "timeout", "deaf and asleep": "timeout", "stop itself": "timeout", "live on at exit": "timeout",
    "asleep without output": "timeout", "live on in a destructor": "timeout", "stubborn memory bomb": "timeout",
    "stubborn fork bomb": "timeout", "a number without end": "timeout", "an expression without end": "timeout",
    "memory bomb": "memory", "a zip bomb": "memory", "flood": "output", "flood of errors": "output",
    "flood in one write": "output", "many files": "output", "a dump of memory": "killed", "recursion in C": "killed",
    "fill the scratch folder": "error", "thread bomb": "error", "fork bomb": "error", "kill everything": "error",
}  # fmt: skip


def check(world, processes_of, code, limits):
    result = run_python(world.prelude() + code, limits=limits)
    fetched = [data.decode(errors="replace") for data in result.files.values()]
    assert world.effects(result.stdout, result.stderr, *fetched) == []
    assert processes_of(MEMORY) == []
    assert len(result.stdout) + len(result.stderr) < 2 * LIMITS.output + 200
    assert sum(map(len, fetched)) <= LIMITS.fetch
    assert result.seconds < limits.seconds + 5
    return result


def refused_honestly(result):
    """The attempt was stopped, and not by a mistake in it."""
    last = result.stderr.strip().rpartition("\n")[2]
    return result.reason != "error" or last.startswith(HONEST)


@pytest.mark.parametrize("name", CONTROL)
def test_code_does_not_get_out(name, world, sandbox, processes_of):
    result = check(world, processes_of, CONTROL[name], PATIENT)
    assert result.reason in ("ok", "error")
    assert refused_honestly(result), result.stderr


@pytest.mark.parametrize("name", ATTEMPTS)
def test_code_does_no_harm(name, world, sandbox, processes_of):
    result = check(world, processes_of, ATTEMPTS[name], LIMITS)
    assert refused_honestly(result), result.stderr
    assert result.reason == REASONS.get(name, result.reason)


@pytest.mark.parametrize("name", CONTROL)
def test_without_the_sandbox_the_same_code_is_seen(name, make_world, tmp_path):
    world = make_world()
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", world.prelude() + CONTROL[name]],
        cwd=tmp_path / "work", pass_fds=(world.fd,), capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert world.effects(done.stdout, done.stderr) != [], done.stderr
