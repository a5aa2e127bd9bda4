"""Tests of namedmap.

On Windows, and on Windows Pythons under Wine, they use kernel32 in real processes; on Linux the layer for Linux.
NAMEDMAP_PEER may name the compiled examples/peer.c; otherwise gcc is looked for. NAMEDMAP_OTHER_PYTHON may name a
Windows Python of the other word size, 32 or 64 bit, and NAMEDMAP_FROZEN the frozen program of the README.
NAMEDMAP_TEST_ROUNDS, a number, makes the random tests longer.
They replace methods of namedmap._layer, by the fixture `fault`, and in child processes functions of os and fcntl.
"""
import _thread
import array
import collections
import contextlib
import copy
import ctypes
import errno
import gc
import hashlib
import importlib
import inspect
import io
import itertools
import math
import mmap
import multiprocessing
import os
import pickle
import queue
import random
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
import types
import typing
import weakref
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from ctypes import wintypes

import pytest

import namedmap
from namedmap import Event, Mutex, NamedMap, Semaphore, View, wait_any

HERE = os.path.dirname(os.path.abspath(__file__))
ON_WINDOWS = sys.platform == "win32"
PAGE = mmap.PAGESIZE
ROUNDS = int(os.environ.get("NAMEDMAP_TEST_ROUNDS", "1"))
windows = pytest.mark.skipif(not ON_WINDOWS, reason="needs kernel32: runs on Windows and under Wine")
linux = pytest.mark.skipif(ON_WINDOWS, reason="is about the layer for Linux")
_counter = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def frozen_heap():
    """What there is before the first test need not be looked at by each of thousands of collections."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def name():
    return f"Local\\namedmap test {os.getpid()}-{next(_counter)}"


@pytest.fixture
def memory(name):
    with NamedMap.create(name, 100) as m:
        yield m


@pytest.fixture
def mutex(name):
    with contextlib.closing(Mutex.create(name)) as m:
        yield m


@pytest.fixture
def path(tmp_path):
    """A file of 10 bytes."""
    path = tmp_path / "caf\u00e9 file.bin"
    path.write_bytes(b"0123456789")
    return path


# ---------------------------------------------------------------- the four classes

class Kind:
    """What the tests need to know of a class; ready() makes what one thread, and no second one, can get by take()."""

    def __init__(self, cls, what, ready=None, take=None):
        self.cls, self.what, self.open, self.ready, self.take = cls, what, cls.open, ready, take

    def create(self, name=None, **arguments):
        return self.cls.create(name, *[100] * (self.cls is NamedMap), **arguments)

    def __repr__(self):
        return self.cls.__name__


MEMORY = Kind(NamedMap, "a file mapping object")
MUTEX = Kind(Mutex, "a mutex", Mutex.create, lambda thing, timeout=0: thing.acquire(timeout=timeout))
EVENT = Kind(Event, "an event", lambda name=None: Event.create(name, manual_reset=False, initial_state=True),
             lambda thing, timeout=0: thing.wait(timeout))
SEMAPHORE = Kind(Semaphore, "a semaphore", lambda name=None: Semaphore.create(name, 1, 1), MUTEX.take)
WAITABLES = [MUTEX, EVENT, SEMAPHORE]
KINDS = [MEMORY, *WAITABLES]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=repr)
every_waitable = pytest.mark.parametrize("kind", WAITABLES, ids=repr)
WAITS = {"its own method": lambda kind, thing, timeout: kind.take(thing, timeout),
         "wait_any": lambda kind, thing, timeout: wait_any([thing], timeout) is thing,
         "wait_any of two": lambda kind, thing, timeout: wait_any([Event.create(), thing], timeout) is thing}
every_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)

# What maps memory at its first use: of views, too, and of maps only.
USES_OF_MEMORY = [lambda m: m[0], lambda m: m[0:1], lambda m: m.__setitem__(0, 1), lambda m: m.read(1), list,
                  lambda m: m.write(b"x"), lambda m: m.buf, lambda m: m.overlay(ctypes.c_char), lambda m: m.address,
                  lambda m: m.snapshot(ctypes.c_char), lambda m: m.flush(), lambda m: 7 in m]
FIRST_USES = [*USES_OF_MEMORY, lambda m: m.view(5)]


def gone(name):
    return namedmap._layer.kind_of_name(name) is None


# ---------------------------------------------------------------- faults, interrupts, threads and leaks

# For the errors that both systems have, errno and the Win32 code.
CODES = {errno.ENOENT: 2, errno.EACCES: 5, errno.EBADF: 6, errno.ENOMEM: 8, errno.EEXIST: 183, errno.EINVAL: 1006,
         errno.ENOSPC: 1455}
ERRNOS = {code: number for number, code in CODES.items()}


def told(caught):
    """The Win32 error code, of errno where there is no winerror, and the name that an exception has."""
    error = caught.value
    return error.winerror if ON_WINDOWS else CODES[error.errno], error.filename


@pytest.fixture
def fault(monkeypatch):
    """Changes a method of the layer.

    code=5 makes it fail with that Win32 error (the errno that stands for it, elsewhere), and raises= with an exception;
    before= and after= are called before it, and when it has succeeded.  It returns the list of all calls' arguments.
    """
    def fault(method, *, code=None, raises=None, before=int, after=int, times=math.inf):
        real, calls = getattr(namedmap._layer, method), []

        def replaced(*arguments, **named):
            calls.append(arguments)
            if len(calls) > times:
                return real(*arguments, **named)
            before()
            if code is not None or raises is not None:
                raise raises or OSError(ERRNOS.get(code, 0), "injected", None, code)
            result = real(*arguments, **named)
            after()
            return result

        monkeypatch.setattr(namedmap._layer, method, replaced)
        return calls

    return fault


class Interrupt(KeyboardInterrupt):
    """What a signal handler raises in the tests."""


def raise_interrupt(*_):
    raise Interrupt


def send(number=signal.SIGINT):
    """A signal for this process, such as Ctrl+C; on Windows only a console could send one."""
    signal.raise_signal(number) if ON_WINDOWS else os.kill(os.getpid(), number)


def threads(*functions):
    """Run functions at once, each in a thread of its own; return what they return, or raise what one of them raised."""
    def run(future, function):
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    futures = [Future() for _ in functions]
    running = [threading.Thread(target=run, args=pair, daemon=True) for pair in zip(futures, functions)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
        assert not thread.is_alive(), "a thread goes on for ever"
    return [future.result() for future in futures]


def in_thread(function, *arguments):
    """What a function returns in a thread that has ended."""
    return threads(lambda: function(*arguments))[0]


def is_free_for_others(thing):
    """Whether another thread gets a mutex or semaphore, which it gives back."""
    return in_thread(lambda: thing.acquire(blocking=False) and thing.release() is not False)


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def assert_no_growth(work, rounds=20):
    """Repeating the work leaves no handle, descriptor or mapping open; what its first calls load may stay."""
    for _ in range(2):
        work()
    gc.collect()
    before = handle_count(), mapped_regions()
    for _ in range(rounds):
        work()
    gc.collect()
    handles, regions = handle_count() - before[0], mapped_regions() - before[1]
    assert handles < rounds / 2 and regions < rounds / 2, (handles, regions)


# ---------------------------------------------------------------- the other side

if ON_WINDOWS:
    import msvcrt
    from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR, LPVOID
    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    for function, restype, *argtypes in (
        ("CloseHandle", BOOL, HANDLE),
        ("CreateFileMappingW", HANDLE, HANDLE, LPVOID, DWORD, DWORD, DWORD, LPCWSTR),
        ("DuplicateHandle", BOOL, HANDLE, HANDLE, HANDLE, LPVOID, DWORD, BOOL, DWORD),
        ("GetHandleInformation", BOOL, HANDLE, LPVOID),
        ("K32GetProcessMemoryInfo", BOOL, HANDLE, LPVOID, DWORD),
        ("VirtualQuery", ctypes.c_size_t, LPVOID, LPVOID, ctypes.c_size_t),
    ):
        getattr(kernel32, function).restype, getattr(kernel32, function).argtypes = restype, argtypes

    def regions(address=0):
        """What VirtualQuery reports from an address on."""
        region = namedmap.MEMORY_BASIC_INFORMATION()
        while kernel32.VirtualQuery(address, ctypes.byref(region), ctypes.sizeof(region)):
            yield region
            address += region.RegionSize

    def region_at(address):
        return next(regions(address))

    def is_committed(memory):
        """Whether all pages may be touched: Wine, unlike Windows, forgives touching those that are only reserved."""
        end = memory.address + memory.size
        parts = itertools.takewhile(lambda region: region.BaseAddress < end, regions(memory.address))
        return all(region.State == namedmap.MEM_COMMIT for region in parts)

    def is_free(address):
        return region_at(address).State == 0x10000  # MEM_FREE

    def mapped_regions():
        return sum(region.Type == 0x40000 for region in regions())  # MEM_MAPPED

    def handle_count():
        """Counted one by one, because under Wine GetProcessHandleCount returns 0."""
        count, last, value, flags = 0, 0, 0, DWORD()
        while value < last + 4000:
            value += 4
            if kernel32.GetHandleInformation(value, ctypes.byref(flags)):
                count, last = count + 1, value
        return count
else:
    def mappings():
        """Where each mapping of this process begins and ends, and its line in the list of the system."""
        with open("/proc/self/maps") as file:
            for line in file:
                yield (*(int(number, 16) for number in line.split(" ")[0].split("-")), line.rstrip("\n"))

    def is_committed(memory):
        """Whether the file behind the memory has at least that much space of its own."""
        address = memory.address  # before the mappings are read, because this may make one
        line = next(line for start, end, line in mappings() if start <= address < end)
        return os.stat(line[line.index("/"):]).st_blocks * 512 >= memory.size

    def is_free(address):
        return not any(start <= address < end for start, end, _ in mappings())

    def mapped_regions():
        return sum(line.split(" ", 2)[1].endswith("s") or "/namedmap-" in line for _, _, line in mappings())

    def handle_count():
        return len(os.listdir("/dev/fd"))


def free_memory():
    """How much memory in the paging file, or its counterpart, can be had."""
    if not ON_WINDOWS:
        found = os.statvfs("/dev/shm")
        return found.f_bavail * found.f_frsize
    status = (ctypes.c_uint64 * 8)(64)  # MEMORYSTATUSEX: its size, ullTotalPhys, ullAvailPhys, ullTotalPageFile...
    assert kernel32.GlobalMemoryStatusEx(status)
    return status[4]  # ullAvailPageFile


@pytest.fixture
def secured_mapping(name):
    """A function that makes a mapping of 4096 bytes under `name` with a security descriptor."""
    with contextlib.ExitStack() as stack:
        yield lambda sddl: stack.enter_context(NamedMap.create(name, 4096, sddl=sddl))


class Process:
    """A process that talks by lines."""

    def __init__(self, *command, **environment):
        self.popen = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONFAULTHANDLER": "1", **environment},
            start_new_session=not ON_WINDOWS)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.popen.stdout:
            self.lines.put(line.decode("utf-8", "backslashreplace").rstrip("\r\n"))
        self.lines.put(None)

    def line(self, timeout=60):
        """The next line of standard output; None at its end."""
        return self.lines.get(timeout=timeout)

    def enter(self):
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()

    def end(self, timeout=60):
        """(exit status, the other lines of standard output, standard error)"""
        status = self.popen.wait(timeout)
        self.reader.join(timeout)
        error = self.popen.stderr.read().decode("utf-8").replace("\r\n", "\n")
        return status, [line for line in self.lines.queue if line is not None], error

    def kill(self):
        """Kill it, and its children, which would keep its output open."""
        with contextlib.suppress(OSError):  # all have ended
            self.popen.kill() if ON_WINDOWS else os.killpg(self.popen.pid, signal.SIGKILL)
        with contextlib.suppress(OSError), self.popen:  # what was not yet written to a process that is gone
            self.reader.join(60)


@pytest.fixture
def start():
    """Starts processes and ends them after the test."""
    with contextlib.ExitStack() as stack:
        def start(*command, **environment):
            process = Process(*command, **environment)
            stack.callback(process.kill)
            return process
        yield start


@pytest.fixture
def python(start):
    return lambda code, *arguments: start(sys.executable, "-c", code, *arguments)


@pytest.fixture
def cli(start):
    return lambda *arguments: start(sys.executable, "-m", "namedmap", *arguments)


def run(capsys, *arguments):
    """The command line in this process: (exit status, standard output, standard error)."""
    try:
        status = namedmap.main(list(arguments))
    except SystemExit as end:
        status = end.code
    return (status, *capsys.readouterr())


# ---------------------------------------------------------------- arguments

class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int32), ("y", ctypes.c_double)]


class Ten:
    """What has __index__ alone, as some integers of numpy."""

    def __index__(self):
        return 10


UNUSED = f"unused {os.getpid()}"
BYTES, KERNEL, LOCKS = [NamedMap, View], [NamedMap, Mutex, Event, Semaphore], [Mutex, Semaphore]
NO_INT, HUGE = [-1.0, 1.5, "1"], 2 ** 70
TOP = 2 ** (47 if sys.maxsize > 2 ** 32 else 32)  # of the addresses that programs may use


def make(thing, name, **arguments):
    return thing.create(name, *[100] * isinstance(thing, NamedMap), **arguments)


BAD_CALLS = [  # classes; a use of an object, and bad values for it; the exception, and a part of its text
    *[(KERNEL, use, names, ValueError, text) for use in (make, lambda x, bad: x.open(bad)) for text, names in (
        ("empty or only a prefix", ["", "Local\\", "Global\\", "Local", "Global", "Session"]),
        ("a backslash may only follow", ["a\\b", "\\x", "x\\", "local\\x", "GLOBAL\\x", "Local\\a\\b", "Local\\\\x",
                                         "Session\\x\\a", "Session\\\\a", "Session\\1\\a\\b", "Session\\\u0663\\a"]),
        ("must not contain NUL", ["a\0b"]), ('write r"Global\\test"', ["Global\test"]),
        ('write r"Local\\name"', ["Local\name"]), ('write r"Global\\x"', ["Global/x"]),
        ('write r"Local\\x1fx"', ["Local\x1fx"]), ('write r"Local\\x7f"', ["Local\x7f"]))],
    (KERNEL, make, ["Session\\1\\x"], ValueError, "a backslash may only follow"),
    (KERNEL, make, ["x" * 260, "Global\\" + "x" * 253, "\U0001f600" * 130], ValueError, "at most 259 UTF-16 units"),
    (KERNEL, lambda x, bad: x.open(bad), ["x" * 32767], ValueError, "at most 32766 UTF-16 units"),
    (KERNEL, lambda x, bad: x.open(bad), ["Session\\1\\"], ValueError, "empty or only a prefix"),
    (KERNEL, make, [b"x", 5], TypeError, "a name must be a str, not "),
    (KERNEL, lambda x, bad: x.open(bad), [b"x", None], TypeError, "a name must be a str, not "),
    (KERNEL, lambda x, bad: make(x, UNUSED, sddl=bad), ["", "D:\0"], ValueError, "must not be empty or contain NUL"),
    (KERNEL, lambda x, bad: make(x, UNUSED, sddl=bad), [5, b"D:"], TypeError, "must be a str in SDDL, not "),
    *[([cls], lambda x, bad: type(x)(*bad), [(), (UNUSED,)], TypeError, f"{cls.__name__} cannot be called: use cr")
      for cls in (View, *KERNEL)],
    *[(classes, use, values, error, "a timeout must be ") for classes, use in (
        (KERNEL, lambda x, bad: x.open(UNUSED, timeout=bad)), (LOCKS, lambda x, bad: x.acquire(timeout=bad)),
        ([Event], lambda x, bad: x.wait(bad)), ([Event], lambda x, bad: wait_any([x], bad)))
      for values, error in (([-0.001, math.nan, math.inf], ValueError), (["1"], TypeError))],
    (LOCKS, lambda x, bad: x.acquire(False, bad), [0, 1], ValueError, "takes no timeout"),
    ([Event], lambda x, bad: wait_any([x] * bad), [0, 65], ValueError, "1 to 64 objects, not for "),
    ([Event], lambda x, bad: wait_any([x, bad]), ["e", 5, Event], TypeError, "not for "),
    ([Semaphore], lambda x, bad: x.release(bad), [0, -1, 2 ** 31], ValueError, "n must be 1 to "),
    *[([Semaphore], use, NO_INT, TypeError, "an int") for use in (Semaphore.release, lambda x, n: x.create(None, n))],
    ([Semaphore], lambda x, bad: x.create(None, *bad), [(-1,), (3, 2)], ValueError, "a value must be 0 to "),
    ([Semaphore], lambda x, bad: x.create(None, 0, bad), [0, 2 ** 31], ValueError, "a maximum must be 1 to "),
    *[([NamedMap], use, values, error, text)
      for use in (lambda x, bad: x.create(UNUSED, **bad), lambda x, bad: x.open(UNUSED, **bad))
      for values, error, text in (
          ([{"size": size} for size in (0, -1, 2 ** 63, HUGE)], ValueError, "a size must be 1 to 2"),
          ([{"size": size} for size in NO_INT], TypeError, "a size must be an int"),
          ([{"size": 10, "access": access} for access in ("", "w", "R")], ValueError, "access must be "),
          ([{"size": 10, "access": access} for access in (None, b"r")], TypeError, "access must be "))],
    ([NamedMap], lambda x, bad: x.create(bad), [UNUSED, None], ValueError, "needs a size"),
    ([NamedMap], lambda x, bad: x.create(UNUSED, 9, access=bad), ["r", "c"], ValueError, 'is made with access="rw"'),
    ([NamedMap], lambda x, bad: x.create(UNUSED, 9, file=bad, reserve=1), [__file__], ValueError, "not for a file"),
    ([NamedMap], lambda x, bad: x.view(*bad), [(0, 101), (100, 1), (-1,), (-1, 1), (HUGE, 1), (100,)], ValueError,
     "not inside the memory, which has 100 bytes"),
    ([NamedMap], lambda x, bad: x.view(0, bad), [0, -1, HUGE], ValueError, "a size must be 1 to 2"),
    ([NamedMap], lambda x, bad: x.view(access=bad), ["w", ""], ValueError, "access must be "),
    ([NamedMap], lambda x, bad: x.view(0, 10, address=bad), [0, -65536, HUGE, TOP - 9, TOP - 65536 + 2 ** 48],
     ValueError, "which programs may use"),
    ([NamedMap], lambda x, bad: x.view(bad, 9, address=0x10000001), [0, 2], ValueError, "congruent modulo"),
    *[([NamedMap], lambda x, bad, name=name: x.view(**{name: bad}), NO_INT, TypeError, "")
      for name in ("offset", "size", "address")],
    *[(BYTES, use, NO_INT, TypeError, "") for use in (
        lambda x, bad: x.read(1, bad), lambda x, bad: x.read_text(1, bad), lambda x, bad: x.write(b"y", bad),
        lambda x, bad: x.write(b"", bad), lambda x, bad: x.write_text("a", bad), lambda x, bad: x.flush(bad),
        lambda x, bad: x.overlay(ctypes.c_char, bad), lambda x, bad: x.read(bad), lambda x, bad: x.read_text(bad),
        lambda x, bad: x.write_text("a", 0, bad), lambda x, bad: x.flush(0, bad))],
    (BYTES, lambda x, bad: x[bad], [100, -101, HUGE], IndexError, ""),
    (BYTES, lambda x, bad: x[bad], [None, *NO_INT, slice(1.5, None), (0, 1)], TypeError, ""),
    (BYTES, lambda x, bad: x.__setitem__(bad, 0), [100, -101, HUGE], IndexError, ""),
    (BYTES, lambda x, bad: x.__setitem__(bad, b"x"), ["a", None, 0, slice(1.5, None), (0, 1)], TypeError, ""),
    (BYTES, lambda x, bad: x.__setitem__(0, bad), [256, -1, HUGE], ValueError, ""),
    (BYTES, lambda x, bad: x.__setitem__(slice(0, 4), bad), ["abcd", 5, [1, 2, 3, 4]], TypeError, "bytes-like"),
    (BYTES, lambda x, bad: x.__setitem__(bad, array.array("I", [1, 2])), [
        slice(4), slice(98, 200), slice(5, 2), slice(0, 10, 3)], ValueError, "8 bytes do not fit a slice of "),
    (BYTES, lambda x, bad: x.read(1, bad), [-1, -HUGE], ValueError, "an offset must not be negative: -"),
    (BYTES, lambda x, bad: x.write(*bad), [(b"y", 100), (b"y", -1), (b"y", -10), (b"y", HUGE), (b"", 101), (b"", -1),
                                           (b"y" * 101,), (array.array("I", [1]), 97)], ValueError, "not inside the"),
    (BYTES, lambda x, bad: x.write(bad), [5, None, [1], (ctypes.py_object * 1)(1)], TypeError, ""),
    (BYTES, lambda x, bad: x.write(bad), ["text", ""], TypeError, "encode the text first"),
    (BYTES, lambda x, bad: x.write_text("x", *bad), [(97,), (98, 2), (HUGE,), (-4,), (0, 3), (0, 101)], ValueError, ""),
    (BYTES, lambda x, bad: x.write_text("", *bad), [(99,), (101,), (0, 1)], ValueError, ""),
    (BYTES, lambda x, bad: x.write_text(bad), ["a\0", "\0b"], ValueError, "has a NUL"),
    (BYTES, lambda x, bad: x.write_text(bad), ["a\ud800"], UnicodeEncodeError, ""),
    (BYTES, lambda x, bad: x.write_text(bad), [b"ab", None], TypeError, "write() takes bytes"),
    (BYTES, lambda x, bad: x.write_text("a", encoding=bad), ["no-such"], LookupError, ""),
    (BYTES, lambda x, bad: x.read_text(encoding=bad), ["no-such", "hex"], LookupError, ""),
    (BYTES, lambda x, bad: x.flush(*bad), [(-1,), (101,), (0, 101), (50, 51), (0, -1), (-1, 1), (HUGE,)], ValueError,
     "not inside the memory"),
    *[(BYTES, lambda x, bad, use=use: getattr(x, use)(*bad), values, error, text) for use in ("overlay", "snapshot")
      for values, error, text in (
          ([(Point, 101 - ctypes.sizeof(Point)), (Point, -1), (ctypes.c_char, HUGE)], ValueError, "not inside the mem"),
          ([(5,), (None,), (Point(),)], TypeError, "a ctypes type is required, not "),
          ([(int,), (ctypes.Structure,)], TypeError, ""),
          ([(ctypes.c_char_p,), (ctypes.c_wchar_p,), (ctypes.py_object,)], TypeError, "is a pointer to what only "))]]


@pytest.mark.parametrize("classes, use, values, error, text", BAD_CALLS)
def test_call_with_a_bad_argument_is_refused_and_changes_nothing(classes, use, values, error, text, name):
    def refuse():
        for thing, bad in itertools.product(things, values):
            with pytest.raises(error) as caught:
                use(thing, bad)
            assert text in str(caught.value)

    with NamedMap.create(name, 300) as whole, whole.view(101, 100) as view, NamedMap.open(name, 100) as m:
        whole[:] = before = bytes(range(250)) + bytes(50)
        waitables = [kind for kind in WAITABLES if kind.cls in classes]
        things = [each for each in (m, view) if type(each) in classes] + [kind.ready() for kind in waitables]
        assert_no_growth(refuse, 3)
        assert whole[:] == before and gone(UNUSED)
        for kind, thing in zip(waitables, things[-len(waitables):]):
            assert in_thread(kind.take, thing) and (kind is MUTEX or not in_thread(kind.take, thing))


def test_call_with_what_has_index_alone_takes_it_for_an_int(name):
    with NamedMap.create(name, Ten()) as ten, NamedMap.open(name, Ten()) as part, NamedMap.create(None, 100) as m:
        m[10:14] = b"1234"
        assert (ten.size, part.size, m[Ten()], m.read(Ten(), Ten())) == (10, 10, 49, b"1234" + bytes(6))
        assert m.write(b"ab", Ten()) == 2 and m.view(Ten(), Ten())[:3] == b"ab3"
        assert m.overlay(ctypes.c_char, Ten()).value == m.snapshot(ctypes.c_char, Ten()).value == b"a"
        assert m.write_text("a", Ten(), Ten()) == 4
        m.flush(Ten(), Ten())


def test_create_with_any_object_as_a_flag_takes_its_truth(name):
    for flag in "", "x":
        with NamedMap.create(name, 100, exist_ok=flag, reserve=flag) as m:
            assert m[:] == bytes(100)
        with Event.create(name, manual_reset=flag, initial_state=flag, exist_ok=flag) as event:
            assert [event.wait(0), event.wait(0)] == 2 * [bool(flag)]


STRANGE = [
    None, True, -1, 0, 101, 2 ** 63, 10 ** 30, -10 ** 30, 0.001, math.nan, 1j, "", "x", "Local", "r", "\ud800", b"",
    b"x" * 101, memoryview(b"xyzt")[::2], array.array("d", [1.5]), object(), object, [1], {}, (), print, Ten(),
    slice("a"), slice(None, None, 0), slice(10 ** 30, None, -9), ctypes.c_int, ctypes.c_int(1), ctypes.c_char * 0,
    ctypes.c_char * 2 ** 20, ctypes.Structure, ctypes.CFUNCTYPE(None), ctypes.POINTER(ctypes.c_int)]
USUAL = {"ctype": ctypes.c_uint8, "data": b"x", "flags": 0, "handle": 0, "key": 0, "pid": 0, "size": 100, "text": "x",
         "timeout": 0.001, "value": 1}  # what is not here has a default


@pytest.mark.parametrize("new", [lambda: NamedMap.create(None, 100).view(), *(kind.create for kind in KINDS)])
def test_call_with_strange_arguments_does_no_harm(new, name, tmp_path, monkeypatch):
    def work():
        thing = new()
        for entry in sorted(set(dir(type(thing))) - set(dir(object))):
            if callable(getattr(type(thing), entry)) and re.match("__|[^_]", entry):
                method = getattr(thing, entry)
                usual = {each: {"name": name, **USUAL}.get(each, parameter.default)
                         for each, parameter in inspect.signature(method).parameters.items()}
                # What is no usual handle may be that of something else, and some times are long.
                for changed, value in itertools.product(set(usual) - {"handle", "pid", "timeout"}, STRANGE):
                    with contextlib.suppress(TypeError, ValueError, LookupError, OSError, RuntimeError):
                        method(**{**usual, changed: value})
        with contextlib.suppress(RuntimeError):
            while isinstance(thing, Mutex):
                thing.release()
        if isinstance(thing, (NamedMap, View)):
            assert thing.write(b"ab", 98) == 2 and thing[98:] == b"ab" and len(list(thing)) == 100

    monkeypatch.chdir(tmp_path)  # where files are made
    assert_no_growth(work, 2)


# ---------------------------------------------------------------- names

@pytest.mark.parametrize("text", [
    "", " a ", "\u65e5\u672c\U0001f600", "a/b:c*?<>|\"'..", "\t\x7f\ud800", "Global/x", "Local\tx", "Localx/"])
@pytest.mark.parametrize("prefix", ["Local\\", ""])
def test_open_finds_a_name_with_any_characters_and_no_other(prefix, text, name):
    bare = ("" if prefix else "x") + text + name[len("Local\\"):]
    bare = bare if text else bare.ljust(259 - len(prefix), "x")
    with NamedMap.create(prefix + bare, 10) as m, NamedMap.open(prefix + bare) as other:
        m[0] = 5
        assert (other[0], other.name) == (5, prefix + bare)
        assert not gone("Local\\" + bare) and (gone("Global\\" + bare) or session() == 0)
        for similar in bare.swapcase(), bare[:-1], bare.replace("\ud800", "?"):
            assert similar == bare or gone(prefix + similar)


@every_kind
def test_name_of_another_kind_is_refused_and_leaks_nothing(kind, name):
    def refuse():
        for other in set(KINDS) - {kind}:
            for use in other.create, other.open, lambda name: other.create(name, exist_ok=True):
                with pytest.raises(OSError, match=f"this is the name of {kind.what}, and") as caught:
                    use(name)
                assert told(caught) == (6, name)

    with contextlib.closing(kind.create(name)):
        assert_no_growth(refuse, 5)


@every_kind
def test_open_of_a_missing_name_says_if_the_other_namespace_has_it(kind, name):
    bare = name[len("Local\\"):]
    other, here = "Global\\" + bare, f"Session\\{session()}\\"
    with contextlib.closing(kind.create(name)):
        if ON_WINDOWS and session():
            kind.open(here + bare).close()
        for missing in name + " x", here + bare + " x", "Session\\4000000000\\" + bare:
            with pytest.raises(FileNotFoundError, match="nothing has this name now: ") as caught:
                kind.open(missing)
            assert caught.value.filename == missing and ("shm_open" in caught.value.strerror) != ON_WINDOWS
    for made, missing in ((name, other), (other, name), (other, bare)) if session() else ():
        with contextlib.closing(kind.create(made)), pytest.raises(FileNotFoundError) as caught:
            kind.open(missing)
        assert told(caught) == (2, missing) and caught.value.strerror.endswith(f"now, but {made} exists")


# ---------------------------------------------------------------- the owner and the lifetime

# What is borrowed, and what reads its second byte.
BORROWED = {
    "numpy": (lambda m: pytest.importorskip("numpy").frombuffer(m.buf, "u1")[1:], lambda array: int(array[0])),
    "buf": (lambda m: m.buf, lambda buf: buf[1]), "slice": (lambda m: m.buf[1:5].cast("h"), lambda part: part[0]),
    "overlay": (lambda m: m.overlay(ctypes.c_uint8 * 2 * 2)[0], lambda inner: inner[1]),
    "pointer": (lambda m: ctypes.pointer(m.overlay(ctypes.c_uint8, 1)), lambda pointer: pointer.contents.value)}


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("of_view", [False, True], ids=["map", "view"])
@pytest.mark.parametrize("borrow, read", BORROWED.values(), ids=BORROWED)
def test_borrowed_memory_outlives_the_object_but_the_name_does_not(borrow, read, of_view, is_closed, name):
    m = NamedMap.create(name, 2 * PAGE)
    m[1] = 42
    source = m.view() if of_view else m
    address, taken = source.address, borrow(source)
    if is_closed:
        m.close()
        source.close()
    del m, source
    assert gone(name) and not is_free(address) and read(taken) == 42
    del taken
    gc.collect()
    assert is_free(address) and is_free(address + PAGE)


@every_kind
def test_each_copy_has_a_handle_that_is_closed_once(kind, name, fault):
    closed, things = fault("close_handle"), [kind.create(name)]
    for make in (copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        things.append(make(things[-1]))
        assert things[-1].name == name and not things[-1].created
    handles = [(thing.handle,) for thing in things]
    for _ in range(2):
        things[0].close()
        assert closed == handles[:1] and things[0].closed
    del things
    assert sorted(closed) == sorted(handles) and gone(name)


def test_finalizer_in_a_cycle_can_still_read(name):
    class Holder(list):
        def __del__(self):
            m, view, buf, overlay, _ = self
            seen.append((m[0], view[0], buf[0], overlay.value))
            m.close()

    seen, regions, m = [], mapped_regions(), NamedMap.create(name, 10)
    m[0] = 42
    things = m, m.view(), m.buf, m.view().overlay(ctypes.c_uint8)
    holder = Holder(things)  # made last, so that the collector comes to it last
    holder.append(holder)
    del m, things, holder
    gc.collect()
    assert gone(name) and mapped_regions() == regions and seen == [(42, 42, 42, 42)]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind, method, call, error", [
    (MEMORY, "flush_view", lambda m: m.flush(), None), (MEMORY, "map_view", lambda m: m.view().read(1), None),
    (MEMORY, "map_view", lambda m: m.read(1), ValueError), (EVENT, "query_event", Event.is_set, None),
    (SEMAPHORE, "release_semaphore", Semaphore.release, None)])
def test_close_during_a_call_lets_it_finish(kind, method, call, error, moment, name, fault):
    def close():
        in_thread(thing.close)
        assert thing.closed and not given_back

    regions, thing = mapped_regions(), kind.create(name)
    given_back = fault("unmap_view" if method == "flush_view" else "close_handle")
    calls = fault(method, **{moment: close})
    with pytest.raises(error, match="is closed") if error else contextlib.nullcontext():
        call(thing)
    assert len(given_back) == len(calls) == 1 and gone(name)
    given_back.clear()  # both keep a handle
    calls.clear()
    assert mapped_regions() == regions


def test_use_after_close_raises_value_error(memory):
    uses = [*USES_OF_MEMORY, lambda m: m.__setitem__(slice(2), b"ab"), lambda m: m.access, len, lambda m: m.__enter__()]
    view = memory.view()
    for thing, more in (view, []), (memory, [lambda m: m.view(1, 2)[0], lambda m: m.handle, pickle.dumps]):
        thing.flush()
        thing.close()
        for use in uses + more:
            with pytest.raises(ValueError, match="is closed") as caught:
                use(thing)
            assert caught.value.__context__ is None  # nothing that nobody understands is shown with it
        assert (thing.closed, thing.size) == (True, 100) and "closed" in repr(thing)


def test_first_use_in_many_threads_maps_once_and_loses_no_store(name, fault):
    with NamedMap.create(name, 10), NamedMap.open(name, access="c") as m:
        gc.collect()
        regions, barrier = mapped_regions(), threading.Barrier(4)
        calls = fault("map_view", after=lambda: barrier.wait(60), times=4)
        threads(*[lambda i=i: m.__setitem__(i, 7) for i in range(4)])
        assert len(calls) == 4 and m[:4] == b"\7\7\7\7"
        gc.collect()
        assert mapped_regions() == regions + 1


def test_first_use_that_fails_uses_what_another_thread_has_mapped(memory, fault):
    fault("map_view", before=lambda: in_thread(memory.write, b"x"), code=8, times=1)
    assert memory.read(1) == b"x"


@pytest.mark.parametrize("kind, call", [
    (MEMORY, lambda m: m.flush(1, 100)), (MEMORY, lambda m: m.view(200)), (MEMORY, lambda m: Mutex.open(m.name)),
    (MEMORY, lambda m: NamedMap.create(m.name, 5000, exist_ok=True)), (MEMORY, lambda m: NamedMap.create(m.name, 100)),
    (MUTEX, Mutex.release), (MUTEX, lambda m: Mutex.create(m.name))])
def test_refused_call_keeps_no_name_by_its_exception(kind, call, name):
    thing, handles = kind.create(name), handle_count()
    with pytest.raises((OSError, ValueError, RuntimeError)) as caught:
        call(thing)
    assert handle_count() == handles
    thing.close()
    assert caught.value.__traceback__ and gone(name)


ENDING = """
import atexit, ctypes, os, sys, threading, time, namedmap
atexit.register(time.sleep, 0.05)  # daemon threads go on meanwhile
from namedmap import Event, Mutex, NamedMap, Semaphore
name, path = sys.argv[1:]

def everything(name):
    m = NamedMap.create(name, 5000, exist_ok=True)
    with open(path, "r+b") as file:  # a path could be mapped only once on Windows
        over_file = NamedMap.create(None, file=file)
    return [m, over_file, m.view(4096, 1), over_file.view(),
            *(cls.create(name + cls.__name__, exist_ok=True) for cls in (Mutex, Event, Semaphore))]

def use(m, over_file, view, other_view, mutex, event, semaphore):
    m[:4], over_file.buf[0], view[0], m.overlay(ctypes.c_int).value, m.read(), bytes(other_view.buf)
    with mutex, semaphore:
        event.set(), event.wait(0)
"""
ENDS = ENDING + """
class Holder(list):
    def __del__(self):
        self[0].read(), self[2][0], self[0].close()

def repeat():
    while True:
        for each in everything(name + "0"), shared:
            use(*each)
        started.release()

sys.kept, held, shared, things, kept = everything(name + "1"), *(everything(name) for _ in range(4))
sys.kept[4].acquire(), use(*held)
borrowed, held = (held[0].buf, held[2].overlay(ctypes.c_char)), Holder(held)
held.append(held)
# At last nothing is unmapped, since daemon threads may still read.  As a lambda it would keep these globals alive.
exec("def unmap_view(*view): write(1, b'unmapped') if is_finalizing() else unmap(*view)", {
    "write": os.write, "is_finalizing": sys.is_finalizing, "unmap": namedmap._layer.unmap_view}, vars(namedmap._layer))
started = threading.Semaphore(0)
for _ in range(3):
    threading.Thread(target=repeat, daemon=True).start()
    started.acquire()
atexit.register(lambda: [use(*kept), kept.clear(), use(*everything(name)), kept.extend(everything(name))])
end = threading.main_thread().join
threading.Thread(target=lambda: [end(), use(*things), use(*everything(name)), things.clear()]).start()
"""


def test_interpreter_that_ends_with_everything_open_is_quiet(name, path, python):
    for _ in range(3 * ROUNDS):
        assert python(ENDS, name, str(path)).end() == (0, [], "")
        assert all(gone(name + end + kind) for end in ("", "0", "1") for kind in ("", "Mutex", "Event", "Semaphore"))


@windows
def test_last_error_survives_what_is_collected(name):
    thing, view = NamedMap.create(name, 100, sddl="D:(A;;GA;;;WD)"), NamedMap.create(None, 10).view()
    assert kernel32.CloseHandle(thing.handle)  # so that closing it fails, with an error
    ctypes.set_last_error(1234)
    del thing, view
    assert ctypes.get_last_error() == 1234 and gone(name)


# ---------------------------------------------------------------- injected errors and interrupts

def use_memory(name, path):
    NamedMap.create(None, 5000, file=path).close()
    os.truncate(path, 10)
    with NamedMap.create(name, file=path) as m, NamedMap.create(name, 10, file=path, exist_ok=True) as other:
        m.flush()
        assert other.read(1) == b"0"
    with NamedMap.create(name, 100, reserve=True), NamedMap.open(name, access="r") as other:
        assert other.view(access="c").read(1) == b"\0"


def use_waitables(name, path):
    with contextlib.closing(Mutex.create(name)) as mutex, contextlib.closing(Mutex.open(name)) as other:
        assert mutex.acquire()
        try:
            mutex.release()
        finally:
            if ", held" in repr(mutex):  # it was not released
                mutex.release()
            assert is_free_for_others(other)
    with Event.create(name + "e") as event, pickle.loads(pickle.dumps(event)) as other:
        event.set()
        assert other.is_set() and other.wait()
        event.clear()
    with contextlib.closing(Semaphore.create(name + "s", 0, 2)) as semaphore:
        assert semaphore.release() == 0 and semaphore.acquire()


# What uses which methods of the layer; and what an error without a filename gets as that, or "-" if they never fail.
CALLS = [(use, *method.split(":")) for use, methods in [
    (use_memory, "kind_of_name: open_file: create_file_mapping:path open_object: query_section:name "
                 "map_view:name flush_view:path security_attributes:- close_handle:- unmap_view:-"),
    (use_waitables, "create_waitable: open_object: wait:name release_mutex:name set_event:namee query_event:namee "
                    "reset_event:namee release_semaphore:names security_attributes:- close_handle:-")]
    for method in methods.split()]
# Where an interrupt would lose what belongs to nothing yet, or not any more.
LOSSES = re.compile("map_view after|open_file after|unmap_view before" +
                    "|create_.* after|open_.* after|close_handle before" * ON_WINDOWS)
MOMENTS = [(use, method, moment) for use, method, _ in CALLS for moment in ("before", "after")
           if not LOSSES.match(f"{method} {moment}")]


@pytest.mark.parametrize("use, method, code, blamed, moment", [
    *[(use, method, code, blamed, {}) for use, method, blamed in CALLS for code in (5, 8) * (blamed != "-")],
    *[(use, method, None, "", {moment: raise_interrupt}) for use, method, moment in MOMENTS]])
def test_error_or_interrupt_anywhere_leaves_nothing(use, method, code, blamed, moment, name, path, fault, monkeypatch):
    def refuse():
        with pytest.raises(OSError) as caught:
            use(name, str(path))
        assert caught.value.__traceback__ and all(map(gone, names))  # although the exception lives
        os.rename(path, path)  # which Windows refuses while it is open
        assert told(caught) == (code, {"": None, "path": str(path)}.get(blamed, blamed.replace("name", name, 1)))

    def interrupt():
        seen = []
        monkeypatch.setattr(sys, "unraisablehook", lambda found: seen.append(found.exc_type))  # of a __del__
        try:
            use(name, str(path))
        except Interrupt:
            seen.append(Interrupt)
        assert seen == [Interrupt]

    def work():
        gc.collect()  # the exception of the round before
        path.write_bytes(b"0123456789")
        calls = fault(method, times=1, code=code, **moment)
        refuse() if code else interrupt()
        monkeypatch.undo()
        assert calls
        calls.clear()  # which keeps handles
        assert all(map(gone, names)) and list(path.parent.iterdir()) == [path] and path.stat().st_size == 10

    names = [name, name + "e", name + "s"]
    assert_no_growth(work, 6)


# ---------------------------------------------------------------- Windows

SYNCHRONIZE = namedmap.SYNCHRONIZE
everybody = "D:(A;;{:#x};;;WD)".format


def duplicated(handle, rights):
    process, found = kernel32.GetCurrentProcess(), wintypes.HANDLE()
    assert kernel32.DuplicateHandle(process, handle, process, ctypes.byref(found), rights, False, 0)
    return found.value


@windows
@pytest.mark.parametrize("kind, rights, allowed", [
    (EVENT, SYNCHRONIZE | 3, "set is_set wait"), (EVENT, SYNCHRONIZE | 2, "set wait"),
    (EVENT, SYNCHRONIZE | 1, "is_set wait"), (EVENT, SYNCHRONIZE, "wait"), (EVENT, 2, "set"),
    (SEMAPHORE, SYNCHRONIZE | 2, "release acquire"), (SEMAPHORE, SYNCHRONIZE, "acquire"), (SEMAPHORE, 2, "release"),
    (MUTEX, SYNCHRONIZE, "acquire release")])
def test_use_is_allowed_by_the_rights_that_were_granted(kind, rights, allowed, name):
    uses, arguments = {EVENT: ("set is_set wait", {"initial_state": True}), MUTEX: ("acquire release", {}),
                       SEMAPHORE: ("release acquire", {"value": 2})}[kind]
    with contextlib.closing(kind.create(name, sddl=everybody(rights), **arguments)) as made:
        with pytest.raises(FileExistsError) as caught:
            kind.create(name)
        assert told(caught) == (183, name)
        opened = kind.create(name, exist_ok=True, inheritable=True)
        assert not opened.created and os.get_handle_inheritable(opened.handle)
        duplicate = kind.cls.from_handle(duplicated(made.handle, rights))
        for thing, use in itertools.product([opened, duplicate], uses.split()):
            if use in allowed.split():
                getattr(thing, use)()
            elif rights & SYNCHRONIZE or thing is duplicate:  # Wine grants SYNCHRONIZE whatever the descriptor
                with pytest.raises(PermissionError, match="this handle does not allow it") as caught:
                    getattr(thing, use)()
                assert told(caught) == (5, thing.name)


@windows
@pytest.mark.parametrize("rights, allowed", [(7, "rw r c"), (6, "rw r c"), (5, "r c"), (4, "r c"), (3, "")])
def test_memory_has_the_access_that_the_descriptor_grants(rights, allowed, name, secured_mapping):
    secured_mapping(everybody(rights))
    with pytest.raises(FileExistsError) as caught:
        NamedMap.create(name, 100)
    assert told(caught) == (183, name)
    ways = [(access, NamedMap.open) for access in ("rw", "r", "c")]
    for access, get in [*ways, ("rw", lambda name, access: NamedMap.create(name, 4096, exist_ok=True))]:
        if access in allowed.split():
            regions = mapped_regions()
            with get(name, access=access) as m:
                assert (m.size, m.access) == (4096, access)  # also where a view has to show the size
                assert mapped_regions() == regions and m[:4] == bytes(4)
        else:
            with pytest.raises(PermissionError) as caught:
                get(name, access=access)
            assert told(caught) == (5, name)
            assert ("this process may not write to it" in str(caught.value)) == (access == "rw")


@windows
@pytest.mark.parametrize("scope", ["Local", "Global"])
@pytest.mark.parametrize("what, function, arguments", [
    ("timer", "CreateWaitableTimerW", [None, False]), ("job", "CreateJobObjectW", [None])])
def test_object_of_others_is_listed_and_named_in_errors(what, function, arguments, scope, name, path, capsys):
    taken = scope + name[len("Local"):]
    handle = getattr(kernel32, function)(*arguments, taken)
    lines = [line for line in run(capsys, "list", "--all")[1].splitlines() if line.endswith("  " + taken)]
    assert [line.split()[0] for line in lines] == [what]
    for call in [*(kind.open for kind in KINDS), *(kind.create for kind in KINDS),
                 *(lambda name, kind=kind: kind.create(name, exist_ok=True) for kind in KINDS),
                 lambda name: NamedMap.create(name, file=path)]:
        with pytest.raises(OSError, match=f"this is the name of a {what}, and objects of different kinds") as caught:
            call(taken)
        assert told(caught) == (6, taken)
    assert kernel32.CloseHandle(handle)


@windows
def test_name_that_is_longer_than_create_makes_can_be_listed_and_opened(name, capsys):
    longer = name.ljust(300, "x")
    handle = kernel32.CreateFileMappingW(namedmap.INVALID_HANDLE_VALUE, None, namedmap.PAGE_READWRITE, 0, 100, longer)
    assert run(capsys, "list", longer) == (0, f"        4096  {longer}\n", "")
    NamedMap.open(longer).close()
    assert kernel32.CloseHandle(handle)


@windows
def test_create_that_the_system_refuses_says_why(name):
    with pytest.raises(ValueError, match=re.escape("not a security descriptor in SDDL: 'D:(A;;GA;;;QQ)'")):
        NamedMap.create(name, 100, sddl="D:(A;;GA;;;QQ)")
    for reserve in False, True:
        with pytest.raises(OSError, match="there is not that much memory or free address space") as caught:
            NamedMap.create(name, 2 ** 63 - 1, reserve=reserve)
        assert caught.value.winerror in (8, 87, 1450, 1455) and caught.value.filename == name
    for size in [0x70000000, 0xF0000000] * (sys.maxsize < 2 ** 32):  # 64 bits have addresses for all that can be made
        with NamedMap.create(name, size, reserve=True) as m:
            for use in (lambda: m[0], m.view):
                with pytest.raises(OSError, match=r"map parts of a large object with view\(\)") as caught:
                    use()
                assert told(caught) == (8, name)
            with m.view(0, 10) as view:
                view[0] = 1


@windows
@every_kind
def test_from_handle_and_duplicate_refuse_what_does_not_belong_to_them(kind, name, path):
    def work():
        with contextlib.closing(kind.create(name)) as thing:
            handle = thing.duplicate(os.getpid())
            assert not os.get_handle_inheritable(handle)
            with contextlib.closing(kind.cls.from_handle(handle)) as other:
                assert (other.handle, other.name, other.created) == (handle, None, False)
            for call, error, text, *values in [
                    (kind.cls.from_handle, OSError, "6. handle 0x[0-9a-f]+ is closed, or belongs to another", handle),
                    (kind.cls.from_handle, ValueError, "a handle must be positive", 0, -1, 2 ** 64),
                    (kind.cls.from_handle, TypeError, "a handle must be an int, not", "1", None),
                    *((kind.cls.from_handle, OSError, f"6. .*another kind of object: {what}", wrong[what])
                      for what in wrong),
                    (thing.duplicate, OSError, f"87. there is no process with this id.*{name[6:]}", 0xFFFFFFF0),
                    (thing.duplicate, OSError, "the process has ended|there is no process", ended.pid),
                    (thing.duplicate, ValueError, "a pid must be 0 to", -1, 2 ** 32),
                    (thing.duplicate, TypeError, "a pid must be an int, not", "1", None)]:
                for value in values:
                    with pytest.raises(error, match=text):
                        call(value)

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    words = {"Section": MEMORY, "Mutant": MUTEX, "Event": EVENT, "Semaphore": SEMAPHORE}
    made = {word: words[word].create() for word in words if words[word] is not kind}
    with open(path, "rb") as file:
        wrong = {"File": msvcrt.get_osfhandle(file.fileno()), **{word: made[word].handle for word in made}}
        assert_no_growth(work, 3)
        assert not any(map(os.get_handle_inheritable, wrong.values()))  # it is still open


@windows
@pytest.mark.parametrize("rights, access", [(2, "rw"), (4, "r"), (6, "rw"), (5, "r"), (1, None)])
def test_from_handle_of_memory_finds_its_access_or_leaves_it_open(rights, access, memory):
    memory[0], handle = 7, duplicated(memory.handle, rights)
    with pytest.raises(ValueError, match="a size must be"):
        NamedMap.from_handle(handle, 0)
    if access is None:
        with pytest.raises(PermissionError, match="handle 0x[0-9a-f]+ does not allow reading the memory"):
            NamedMap.from_handle(handle)
        assert kernel32.CloseHandle(handle)
        return
    with pytest.raises(ValueError, match="the memory has 4096 bytes, and 5000 were asked for"):
        NamedMap.from_handle(handle, 5000)
    with NamedMap.from_handle(handle, 50) as m:
        assert (m.size, m.access, m[0]) == (50, access, 7)
        with contextlib.nullcontext() if access == "rw" else pytest.raises(TypeError):
            m[0] = 8


@pytest.fixture
def give_memory(start):
    """A function that starts a Python, and gives memory to it; the process, which prints what it got."""
    code = ("import os, namedmap\n"
            "m = namedmap.NamedMap.from_handle(int(input(f'{os.getpid()}\\n')))\n"
            "print(m.size, m.access, m.name, m.created, m[0], flush=True)\n"
            "if not input() and m.access == 'rw': m[0] = 8\n")

    def give_memory(python, m):
        process = start(python, "-c", code)
        process.popen.stdin.write(b"%d\n" % m.duplicate(int(process.line())))
        process.popen.stdin.flush()
        return process
    return give_memory


@windows
@pytest.mark.parametrize("access, shown", [("r", "r"), ("rw", "rw"), ("c", "r")])
def test_duplicate_keeps_the_memory_in_the_other_process(access, shown, name, give_memory):
    with NamedMap.create(name, 5000) as made, NamedMap.open(name, access=access) as m:
        made[0] = 7
        process = give_memory(sys.executable, m)
        assert process.line() == f"8192 {shown} None False 7"
    assert not gone(name)
    process.enter()
    assert process.end() == (0, [], "") and gone(name)


@windows
@every_kind
def test_inheritable_is_what_was_asked_for(kind, name, tmp_path):
    over_file = {"file": tmp_path / "file"} if kind is MEMORY else {}
    for arguments, wanted in itertools.product([{}, over_file], (False, True)):
        with contextlib.closing(kind.create(name, inheritable=wanted, **arguments)) as made:
            others = [kind.open(name, inheritable=not wanted),
                      kind.create(name, exist_ok=True, inheritable=not wanted, **arguments)]
            assert [os.get_handle_inheritable(each.handle) for each in (made, *others)] == [wanted, *2 * [not wanted]]
        del others


@windows
@pytest.mark.parametrize("kind, use", [(MEMORY, NamedMap.read), (MUTEX, Mutex.release), (EVENT, Event.set),
                                       (EVENT, Event.wait), (SEMAPHORE, Semaphore.release)])
def test_use_of_a_handle_that_something_else_closed_says_so(kind, use, name):
    with contextlib.closing(kind.create(name)) as thing:
        if kind is MUTEX:
            thing.acquire()
        kernel32.CloseHandle(thing.handle)
        with pytest.raises(OSError, match="closed by something other than this object") as caught:
            use(thing)
        assert told(caught) == (6, name)


@windows
def test_create_frees_the_security_descriptor_that_it_made():
    def memory_in_use():
        counters = (ctypes.c_size_t * (9 if sys.maxsize > 2 ** 32 else 10))()  # PROCESS_MEMORY_COUNTERS
        assert kernel32.K32GetProcessMemoryInfo(kernel32.GetCurrentProcess(), counters, ctypes.sizeof(counters))
        return counters[-2]  # PagefileUsage

    def work():
        for _ in range(100):
            Event.create(sddl="D:" + 2000 * "(A;;GA;;;WD)").close()  # 40,000 bytes

    work()
    before = memory_in_use()
    work()
    assert memory_in_use() < before + 2000000


@windows
def test_memory_that_was_made_read_only_is_opened_for_writing_but_not_mapped(name, path, capsys):
    with NamedMap.create(name, file=path, access="r"), NamedMap.open(name) as m:
        with pytest.raises(PermissionError, match='created read-only; .*access="r"') as caught:
            m.read()
        assert caught.value.filename == name
        assert "\naccess: r\n" in run(capsys, "info", name)[1]


# ---------------------------------------------------------------- Linux: processes that are killed

def directory(scope="Local"):
    return f"/dev/shm/namedmap-{os.geteuid()}/{scope}"


def file_of(name):
    """The path of the file of an object."""
    scope, _, rest = name.rpartition("\\")
    return f"{directory(scope or 'Local')}/{hashlib.sha256(rest.encode('utf-16-le')).hexdigest()[:32]}"


def forked(work):
    """The id of a child that does some work; its exit status is 0 unless that raises."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it does not outlive the tests
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def end_of(pid, number=0):
    """Send a signal to a child; return its exit status, or the negative number of the signal that has ended it."""
    os.kill(pid, number)
    status = os.waitpid(pid, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def is_stopped(pid):
    return os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])


# What uses an object up, and whether it is as it was made.
USE_UP = {MEMORY: lambda m: m.write(b"x" * 100), MUTEX: Mutex.acquire, EVENT: Event.set, SEMAPHORE: Semaphore.acquire}
IS_FRESH = {MEMORY: lambda m: not any(m), EVENT: lambda event: not event.is_set(),
            MUTEX: lambda mutex: mutex.acquire(timeout=5) and [mutex.abandoned, mutex.release()] == [False, None],
            SEMAPHORE: lambda semaphore: semaphore.acquire(timeout=5) and semaphore.release() == 0}


@linux
@pytest.mark.parametrize("kind, tmpfile_error", [*((kind, None) for kind in KINDS), (MEMORY, errno.EOPNOTSUPP),
                                                 (MUTEX, errno.EISDIR), (EVENT, errno.EINVAL)])
def test_kill_before_any_system_call_leaves_nothing(kind, tmpfile_error, name, monkeypatch, capfd):
    def open_file(path, flags, *arguments, real=os.open):
        if tmpfile_error and flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(tmpfile_error, "")
        return real(path, flags, *arguments)

    def work():
        libc.ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
        stop()
        made = kind.create(name, exist_ok=True)
        if kind is MUTEX or not keeps:
            USE_UP[kind](made)
        kind.open(name).close()
        if kind is MUTEX:
            made.release()
        made.close()

    libc, left, unnamed = ctypes.CDLL(None), [], b"%16d".__mod__
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    if end_of(forked(lambda: os._exit(bool(libc.ptrace(0, 0, 0, 0))))):
        pytest.skip("this process may not trace another one")
    monkeypatch.setattr(os, "urandom", lambda _: unnamed(os.getpid()))
    monkeypatch.setattr(os, "open", open_file)
    for keeps in False, True:
        number, status = 0, -1
        while status:  # until a child ends by itself
            number += 1
            with contextlib.closing(kind.create(name)) if keeps else contextlib.nullcontext() as kept:
                child = forked(work)
                status = os.waitpid(child, 0)[1]
                for _ in range(2 * number - 1):  # it stops at the begin and at the end of each system call
                    if os.WIFSTOPPED(status):
                        libc.ptrace(24, child, 0, 0)  # PTRACE_SYSCALL
                        status = os.waitpid(child, 0)[1]
                spare = f"{directory('new')}/{unnamed(child).hex()}"
                left.append(os.path.exists(spare) and not os.unlink(spare))
                assert not status or os.WIFSTOPPED(status) and end_of(child, signal.SIGKILL) == -signal.SIGKILL
                if keeps:
                    assert not gone(name), number
                    assert IS_FRESH[kind](kept) or kind is MUTEX and IS_FRESH[kind](kept), number
            assert gone(name)
            with contextlib.closing(kind.create(name)) as again:
                assert again.created and IS_FRESH[kind](again), (keeps, number)
            assert not os.path.exists(file_of(name)), (keeps, number)
        assert number > 20 and not left[-1]
    assert capfd.readouterr() == ("", "") and any(left) == bool(tmpfile_error)


@linux
def test_close_of_the_last_two_holders_at_once_removes_the_file(name):
    for _ in range(300):
        threads(NamedMap.create(name, 10).close, NamedMap.open(name).close)
        assert not os.path.exists(file_of(name))


@linux
@pytest.mark.parametrize("opens, at", [
    (True, "open"), (True, "preadv"), (False, "open"), (False, "pwrite"), (False, "link")])
def test_process_that_is_stopped_in_a_call_holds_no_other_up_and_finds_what_there_is_later(opens, at, name):
    def create():
        return NamedMap.create(name, 10, exist_ok=True)

    def stop_after(*arguments, real=getattr(os, at), **named):
        result = real(*arguments, **named)
        setattr(os, at, real)
        stop()
        return result

    def work():
        stop()
        setattr(os, at, stop_after)
        (NamedMap.open(name) if opens else create()).write(b"x")

    child = forked(work)
    assert is_stopped(child)
    with create() if opens else contextlib.nullcontext():
        os.kill(child, signal.SIGCONT)
        assert is_stopped(child)
    with create() as m:
        assert m.created is (at != "link")
        assert end_of(child, signal.SIGCONT) == 0 and m[0] == ord("x")
    assert gone(name)


@linux
def test_create_waits_a_second_for_a_process_that_fails_to_remove_the_name(name, python):
    code = ("import os, sys\n"
            "os.unlink = lambda path: (print('unlink', flush=True), sys.stdin.readline(), 1 / 0)\n"
            "import namedmap\n"
            "try: namedmap.NamedMap.open(sys.argv[1])\n"
            "except ZeroDivisionError as error:\n"  # which keeps all that its traceback refers to
            "    print(error, flush=True), sys.stdin.readline()\n")
    assert end_of(forked(lambda: [NamedMap.create(name, 100), os._exit(7)])) == 7  # which leaves its file
    process, begin = python(code, name), time.monotonic()
    assert process.line() == "unlink"
    with pytest.raises(FileNotFoundError, match="nothing has this name now"):
        NamedMap.open(name)
    with pytest.raises(OSError, match="just removing it, but does not go on") as caught:
        NamedMap.create(name, 100)
    assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, name) and time.monotonic() - begin < 20
    threading.Timer(0.3, process.enter).start()
    NamedMap.create(name, 100).close()
    assert process.line() == "division by zero"


# ---------------------------------------------------------------- Linux: forks

@linux
@every_kind
def test_forked_child_keeps_a_name_until_it_closes_or_ends(kind, name):
    def work():
        stop()
        made.close()
        stop()

    made = kind.create(name)
    borrowed = made.buf if kind is MEMORY else None  # which keeps no name, here and in the child
    assert end_of(forked(made.close)) == 0
    children = [forked(work), forked(work)]
    assert all(map(is_stopped, children))
    made.close()
    assert end_of(children.pop(), signal.SIGKILL) == -signal.SIGKILL
    kind.open(name).close()
    os.kill(children[0], signal.SIGCONT)
    assert is_stopped(children[0]) and not os.path.exists(file_of(name))
    assert end_of(children[0], signal.SIGCONT) == 0 and not (borrowed and borrowed[0])


@linux
def test_fork_shares_what_is_made_meanwhile_and_finds_all_modules_imported(name, python):
    """A child that is forked in the middle of an import by another thread could never finish it."""
    code = ("import os, sys\n"
            "made = []\n"
            "os.register_at_fork(before=lambda: made.extend(\n"  # in the middle of a fork, as another thread can
            "    ['hashlib' in sys.modules, namedmap.NamedMap.create(sys.argv[1], 10)]))\n"
            "import namedmap\n"
            "if not os.fork(): os._exit(len(sys.stdin.readline()) - 1)\n"
            "made[1].close()\n"
            "print(made[0], flush=True)\n"
            "os.wait()\n")
    process = python(code, name)
    assert process.line() == "True" and not gone(name)
    process.enter()
    assert process.end() == (0, [], "") and gone(name)


@linux
def test_close_asks_again_while_a_child_that_starts_a_program_has_the_name(name, monkeypatch):
    """Such a child has copies of all descriptors for a moment."""
    m, path = NamedMap.create(name, 10), file_of(name)
    child = forked(signal.pause)
    monkeypatch.setattr(time, "sleep", lambda seconds: end_of(child, signal.SIGKILL))
    m.close()
    assert not os.path.exists(path)


# ---------------------------------------------------------------- Linux: other users

USER = 62000 + os.getpid() % 3000  # which has nothing; another one for each run of the tests
PLACE = f"/dev/shm/namedmap-{USER}"


@pytest.fixture
def as_user():
    """Does some work as another user, whose directory is removed afterwards."""
    if os.geteuid():
        pytest.skip("only root can become another user")

    def as_user(work):
        assert end_of(forked(lambda: (os.setgroups([]), os.setgid(USER), os.setuid(USER), work()))) == 0

    yield as_user
    subprocess.run(["rm", "-rf", PLACE, PLACE + "x"])


@linux
def test_create_by_another_user_is_apart_and_needs_no_umask_and_no_directory(name, memory, as_user):
    def work():
        os.umask(0o777)
        with pytest.raises(FileNotFoundError):
            NamedMap.open(name)
        with pytest.raises(PermissionError):
            os.open(path, os.O_RDONLY)
        with NamedMap.create(name, 10) as m:
            NamedMap.open(name).close()
            for place in PLACE, PLACE + "/Local":
                shutil.rmtree(place)
                other = NamedMap.create(name, 10)
                assert other.created
            m.close()
            assert not gone(name)

    path = file_of(name)
    as_user(work)


@linux
@pytest.mark.parametrize("place, owner, mode", [
    (PLACE, 0, 0o700), (PLACE, USER, 0o755), (PLACE + "x", USER, 0o700)], ids=["another's", "open to all", "link"])
def test_create_in_a_directory_that_is_not_safe_raises(place, owner, mode, name, as_user):
    def work():
        for use in (lambda: NamedMap.create(name, 10), lambda: NamedMap.open(name),
                    lambda: list(namedmap._layer.named_objects())):
            with pytest.raises(PermissionError, match="must be a directory of this user.*remove it"):
                use()

    old = place + "/new/old"
    os.makedirs(place + "/new")
    open(old, "w").close()
    for each, rights in (old, 0o777), (place + "/new", 0o777), (place, mode):
        os.chmod(each, rights)
        os.utime(each, (0, 0))
    os.chown(place, owner, 0)
    if place != PLACE:
        os.symlink(place, PLACE)
    as_user(work)
    assert os.path.exists(old)  # what may be of another user is not swept


@linux
def test_open_over_a_file_that_the_user_may_only_read_needs_access_r(name, as_user):
    def work():
        with NamedMap.create(name, file="/etc/passwd", access="r"), NamedMap.open(name, access="r") as m:
            assert m[:4] == b"root"
            with pytest.raises(PermissionError, match='created read-only.*access="r" may be allowed'):
                NamedMap.open(name)
        with pytest.raises(PermissionError):
            NamedMap.create(name, file="/etc/passwd")
        path = PLACE + "/file"
        with NamedMap.create(name, 10, file=path):
            os.chmod(path, 0)
            with pytest.raises(PermissionError, match="access to the file behind the memory is denied") as caught:
                NamedMap.open(name)
            assert caught.value.filename == path

    as_user(work)


# ---------------------------------------------------------------- Linux: what the system lacks

def in_namespace(mounts, code, *arguments):
    """The output of a Python in a mount namespace of its own."""
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs root, and a system on which unshare(1) makes mount namespaces")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", mounts + '; exec "$@"', "sh"]
    output = subprocess.check_output([*command, sys.executable, "-c", code, *arguments], cwd=HERE, timeout=60)
    return output.decode().splitlines()


EACH_KIND = """
import sys, namedmap
for cls in namedmap.NamedMap, namedmap.Mutex, namedmap.Event, namedmap.Semaphore:
    for name in f"{sys.argv[1]} {cls.__name__}", None:
        try:
            with cls.create(name, *[2 << 20] * (cls is namedmap.NamedMap), exist_ok=True):
                print("works")
        except (OSError, NotImplementedError) as error:
            print(error)
"""


@linux
@pytest.mark.parametrize("mounts, named_memory, memory, named, nameless", [
    ("mount -t tmpfs -o size=1m,mode=1777 tmpfs /dev/shm", *2 * ["(/dev/shm) has no room for it"], "works", "works"),
    ("mount -t tmpfs tmpfs /dev", *4 * ["this needs /dev/shm, which cannot be used: No such file or directory"]),
    ("mount -t tmpfs -o ro tmpfs /dev/shm", *4 * ["this needs /dev/shm, which cannot be used: Read-only file system"]),
    ("mount -t tmpfs tmpfs /proc", *2 * ["a name needs /proc, which this system lacks", "works"]),
    ('exec unshare --pid --fork --mount-proc "$@"', "works", "works", "or in another PID namespace", "works")],
    ids=["full", "no /dev/shm", "read-only", "no /proc", "another PID namespace"])
def test_create_on_a_system_that_lacks_something_says_what(mounts, named_memory, memory, named, nameless, name):
    held = [kind.cls.create(f"{name} {kind}", *[2 << 20] * (kind is MEMORY)) for kind in KINDS if "pid" in mounts]
    lines, texts = in_namespace(mounts, EACH_KIND, name), [named_memory, memory, *3 * [named, nameless]]
    assert len(lines) == 8 and all(text in line for text, line in zip(texts, lines)), (lines, held)


@linux
def test_what_only_looks_at_a_name_takes_no_lock_and_works_with_descriptor_0(name, memory, python):
    """With a lock it would be a holder for a moment, and others would be told that their own name is taken."""
    code = ("import errno, fcntl, os, sys\n"
            "def refuse(descriptor, command, *arguments, real=fcntl.fcntl):\n"
            "    if command == 37: raise OSError(errno.EINVAL, 'Invalid argument')  # F_OFD_SETLK\n"
            "    return real(descriptor, command, *arguments)\n"
            "fcntl.fcntl, os.uname = refuse, lambda real=os.uname(): os.uname_result((*real[:4], 'unknown'))\n"
            "from namedmap import Event, NamedMap, _layer, main\n"
            "assert main(['list']) == main(['info', sys.argv[1]]) == 0\n"
            "os.close(0)\n"  # which the next one gets
            "print(_layer.kind_of_name(sys.argv[1]), dict(_layer.named_objects())[sys.argv[1]])\n"
            "for call, size in (Event.open, ()), (NamedMap.create, (10,)):\n"
            "    try: call(sys.argv[1], *size)\n"
            "    except OSError as error: print(error.strerror)\n")
    status, lines, err = python(code + EACH_KIND, name).end()
    needs = "a name needs locks of open files (F_OFD_SETLK), which this system lacks"
    no_futex = "the number of the system call futex is not known for unknown"
    assert (status, err, lines[-11]) == (0, "", "Section Section")
    assert "different kinds" in lines[-10] and "the name is taken" in lines[-9]
    assert [line.split("] ")[-1].split(":")[0] for line in lines[-8:]] == [needs, "works", *3 * [needs, no_futex]]


@linux
def test_create_of_more_than_dev_shm_can_hold_takes_none_from_others(name, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", None)  # it is refused before it takes what there is
    with pytest.raises(OSError, match=r"the memory file system \(/dev/shm\) has no room") as caught:
        NamedMap.create(name, 1 << 46)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, name) and gone(name)


@linux
def test_acquire_with_an_old_c_library_waits_by_the_clock_it_has(python):
    code = ("import ctypes, threading, time\n"
            "ctypes.CDLL.__getattr__ = lambda library, name, real=ctypes.CDLL.__getattr__: (\n"
            "    real(library, 'what has no such name' if name == 'sem_clockwait' else name))\n"
            "import namedmap\n"
            "semaphore, begin = namedmap.Semaphore.create(None, 0), time.process_time()\n"
            "print(semaphore.acquire(timeout=0.5), time.process_time() - begin < 0.1)\n"
            "threading.Timer(0.1, semaphore.release).start()\n"
            "print(semaphore.acquire(timeout=9))\n")
    assert python(code).end() == (0, ["False True", "True"], "")


@linux
@every_kind
def test_argument_that_only_windows_has_is_refused_before_anything_is_made(kind, name):
    with contextlib.closing(kind.create()) as made:
        for use in (lambda: kind.create(name, sddl="D:(A;;GA;;;WD)"), lambda: kind.create(name, inheritable=True),
                    lambda: kind.open(name, inheritable=True), lambda: kind.cls.from_handle(5),
                    lambda: made.duplicate(os.getpid()), lambda: NamedMap.create(None, 10).view(address=1 << 40)):
            with pytest.raises(NotImplementedError, match="needs Windows"):
                use()
    assert gone(name)


# ---------------------------------------------------------------- Linux: files of objects

@linux
@pytest.mark.parametrize("junk, last", [
    (lambda path: open(path, "x").close(), -2), (lambda path: shutil.copy(__file__, path), 3600), (os.mkdir, -2),
    (lambda path: os.mkfifo(path), -2), (lambda path: os.symlink(file_of("Local\\linked"), path), -2)],
    ids=["empty", "another's, swept in the future", "directory", "FIFO", "link"])
def test_create_removes_what_killed_processes_left_and_nothing_else(junk, last, name):
    names, user, now = [name, name.replace("Local", "Global")], os.path.dirname(directory()), time.time()
    young, old = user + "/new/young", user + "/new/old"
    left = [*map(file_of, names), old]
    assert end_of(forked(lambda: [list(map(Event.create, names)), os._exit(7)])) == 7
    os.makedirs(directory("new"), 0o700, exist_ok=True)
    others = [file_of(name + " junk"), directory() + "/junk", directory() + "/" + 32 * "f"]
    try:
        for path in others:
            junk(path)
        for path in young, old:
            open(path, "w").close()
        os.utime(old, (now - 61, now - 61))
        os.utime(user)  # as if another process had just swept
        with NamedMap.create(name + " held", 10), NamedMap.create("Local\\linked", 10):
            assert all(map(os.path.exists, left))
            eventually(lambda: [  # at once, unless another process of this user sweeps just then
                os.utime(user, (now + last, now + last)), NamedMap.create(name + " 2", 10).close(),
                not any(map(os.path.exists, left))][-1])
            assert all(map(os.path.lexists, [*others, young]))
            assert abs(os.stat(user).st_mtime - now) < 60
            assert (name + " held", "Section") in list(namedmap._layer.named_objects())
            for use in MEMORY.create, MEMORY.open:
                with pytest.raises(OSError) as caught:
                    use(name + " junk")
                assert caught.value.filename == name + " junk"
    finally:
        subprocess.run(["rm", "-rf", *others, young])


@linux
@every_kind
def test_open_of_another_version_or_width_is_refused_unless_it_is_memory_of_another_width(kind, name):
    with contextlib.closing(kind.create(name)), open(file_of(name), "r+b") as file:
        page = mmap.mmap(file.fileno(), 100)
        page[7] ^= 1  # the last one of the magic number
        with pytest.raises(OSError, match="of another version of this module") as caught:
            kind.open(name)
        assert caught.value.filename == name
        page[7] ^= 1
        page[22] ^= 1  # the size of a pointer, and whether it is the GNU C library
        with contextlib.nullcontext() if kind is MEMORY else pytest.raises(OSError, match="of another width"):
            kind.open(name).close()


@linux
@every_kind
def test_signal_at_a_random_moment_leaves_no_descriptor_and_no_name(kind, name, monkeypatch, signals):
    def work():
        things = []
        with contextlib.suppress(Interrupt):
            signals(random.uniform(1e-6, 4e-4))
            things += kind.create(name), kind.open(name)
            things[1].close()
            things[0].close()
            time.sleep(0.001)
        for thing in things:
            thing.close()
        assert gone(name)

    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)  # pytest's keeps what a __del__ has
    assert_no_growth(work, 200 * ROUNDS)


@linux
def test_memory_over_a_file_that_is_elsewhere_or_has_shrunk_or_too_long_a_path_is_refused(name, path, monkeypatch):
    elsewhere = path.with_name("elsewhere")
    with NamedMap.create(name, file=path), NamedMap.open(name) as unmapped:
        path.rename(elsewhere)
        for _ in range(2):
            with pytest.raises(FileNotFoundError, match="behind the memory was renamed or deleted") as caught:
                NamedMap.open(name, timeout=60)
            assert caught.value.filename == str(path)
            path.write_bytes(b"0123456789")
        elsewhere.write_bytes(b"A")
        with pytest.raises(OSError, match="has become smaller"):
            unmapped[0]
    monkeypatch.setattr(os, "readlink", lambda _: 3000 * "d")
    with pytest.raises(OSError, match="the path of the file is too long"):
        NamedMap.create(name, file=path)
    assert gone(name)
    NamedMap.create(None, file=path).close()  # nothing is noted without a name


# ---------------------------------------------------------------- kernel objects

def test_size_is_exact_where_created_and_whole_pages_where_opened(name):
    size = PAGE + 904
    with NamedMap.create(name, size) as m, NamedMap.open(name) as whole, NamedMap.open(name, size - 1) as part:
        for each, expected in (m, size), (whole, 2 * PAGE), (part, size - 1):
            assert each.size == len(each) == len(each.buf) == expected and each[:] == bytes(expected)
        with pytest.raises(ValueError, match=f"has {2 * PAGE} bytes, and {2 * PAGE + 1} were asked for"):
            NamedMap.open(name, 2 * PAGE + 1)


def test_create_of_a_taken_name_raises_or_attaches(name):
    with NamedMap.create(name, 100) as m:
        m[0] = 7
        with NamedMap.create(name, 50, exist_ok=True) as again:
            assert (m.created, again.created, again.size, again[0]) == (True, False, 50, 7)
        reader = NamedMap.open(name, access="r")
    with pytest.raises(FileExistsError, match=r"a reader counts; exist_ok=True \(--exist-ok\) attaches") as caught:
        NamedMap.create(name, 100)
    assert told(caught) == (183, name)
    reader.close()
    with NamedMap.create(name, 50, exist_ok=True) as fresh:
        assert (fresh.created, fresh[0]) == (True, 0)


def test_open_of_a_missing_name_waits_for_its_publisher_as_long_as_it_shall(name):
    for timeout in 0, 0.2:
        with pytest.raises(FileNotFoundError, match="nothing has this name now: ") as caught:
            NamedMap.open(name, timeout=timeout)
        assert told(caught) == (2, name)
    for timeout in 30, None:
        with ThreadPoolExecutor(1) as publisher:
            made = publisher.submit(lambda: time.sleep(0.2) or NamedMap.create(name, 10))
            NamedMap.open(name, timeout=timeout).close()
        made.result().close()


@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_reserve_commits_pages_when_they_are_mapped(access, name):
    with NamedMap.create(name, 1 << 20, reserve=True) as m, NamedMap.open(name, access=access) as other:
        with other.view(0, 70000) as view, m.view(0, 10) as first:
            assert m.size == other.size == 1 << 20 and is_committed(view) and view[:] == bytes(70000)
            if access != "r":
                view[69999] = 1
            first[0] = 5  # what was committed at offset 0 shows in other views
            assert view[0] == 5
        assert other[:] == b"\5" + bytes(69998) + (b"\1" if access == "rw" else b"\0") + bytes((1 << 20) - 70000)


@windows
def test_create_with_the_documented_security_descriptors_can_be_read(name):
    documented = re.findall(r'``"([DS]:.*?)"``', NamedMap.create.__doc__)
    assert len(documented) == 2
    for sddl in documented:
        with NamedMap.create(name, 100, sddl=sddl) as m, NamedMap.open(name, access="r") as other:
            m[0] = 1
            assert other[0] == 1


def test_pickle_opens_the_name_again_with_the_same_size_and_access(name):
    with NamedMap.create(name, 5000) as made, made.view() as view, NamedMap.create(None, 100) as nameless:
        made[:5] = b"hello"
        data = pickle.dumps(made)
        for access in "c", "r", "rw":
            with NamedMap.open(name, 100, access=access) as m, pickle.loads(pickle.dumps(m)) as again:
                found = again.name, again.size, again.access, again.created, again[:5]
                assert found == (name, 100, access, False, b"hello")
        with pickle.loads(data) as again:
            again[0] = 74
            assert made[:5] == b"Jello" and again.size == 5000
        for thing, text in (nameless, "without a name cannot be pickled"), (view, "pickle its NamedMap"):
            with pytest.raises(TypeError, match=text):
                pickle.dumps(thing)
    with NamedMap.create(name, 10), pickle.loads(data) as m, pytest.raises(ValueError, match="and 5000 were asked for"):
        m.read(1)


class Reduced:
    """What is pickled as the function, and its arguments, that another one returns."""

    def __init__(self, reduce):
        self.reduce = reduce

    def __reduce__(self):
        return self.reduce()


def use_in_child(was_forked, things, go):
    """Use objects, the last of which is the first one again, and close them."""
    assert go.wait(60) and things.pop() is things[0]
    for thing in things:
        assert (thing.name is None or not gone(thing.name)) and (was_forked or not thing.created)
        if isinstance(thing, NamedMap):
            thing[0] += 1
            assert (thing.size, thing[50:60]) == (100, b"0123456789")
        else:
            assert wait_any([thing], 30) is thing
            thing.set() if isinstance(thing, Event) else thing.release()
        thing.close()
    del thing
    with open(__file__) as file:  # which gets the number of a descriptor that was closed
        things.clear()
        gc.collect()
        assert file.read(3) == '"""'


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_process_gets_objects_that_its_parent_does_not_keep(method, name, path):
    def start(function, argument):
        things = [NamedMap.create(names[0], 100), NamedMap.open(names[0], 100), NamedMap.create(None, 100, file=path)]
        for each in things:
            each[50:60] = b"0123456789"
        for kind, named in zip(WAITABLES, names[1:]):
            things += [kind.ready(named), kind.open(named), kind.ready()]
        process = context.Process(target=function, args=(argument, [*things, things[0]], go))
        process.start()
        return process

    def work():
        process = start(use_in_child, method == "fork")
        assert not any(map(gone, names))
        go.set()
        process.join(60)
        assert process.exitcode == 0
        eventually(lambda: all(map(gone, names)))  # although the parent still has the Process
        assert path.read_bytes()[0] == next(counts)
        if method != "fork":  # which does not unpickle
            process = start(print, Reduced(lambda: (os._exit, (3,))))
            process.join(60)
            assert process.exitcode == 3
            del process
            eventually(lambda: all(map(gone, names)))
        go.clear()

    context, counts, names = multiprocessing.get_context(method), itertools.count(49), [f"{name} {k}" for k in KINDS]
    with Event.create() as go:
        assert_no_growth(work, 3)


def keep(nameless, data):
    keep.nameless, keep.first, keep.second = nameless, pickle.loads(data), pickle.loads(data)


def use_kept():
    keep.nameless[0] = keep.first[0] + 1
    with pytest.raises(OSError, match="unpickled before"):
        keep.second.read()


def test_pool_gets_one_object_of_each_pickle_in_initargs_and_named_ones_as_arguments(name):
    def copy_and_pickle():  # while it is passed on to the process
        with copy.copy(m) as other:
            other[0] = 7
        return bytes, (pickle.dumps(m),)

    with NamedMap.create(name, 10) as m, NamedMap.create(None, 10) as nameless:
        with multiprocessing.get_context("spawn").Pool(1, keep, (nameless, Reduced(copy_and_pickle))) as pool:
            assert pool.apply_async(NamedMap.read, (m, 1)).get(60) == b"\7"
            pool.apply_async(use_kept).get(60)
            assert nameless[0] == 8


LOST_USES = {MEMORY: FIRST_USES, EVENT: [Event.set, Event.clear, Event.is_set, Event.wait],
             **{kind: [kind.cls.acquire, lambda x: x.acquire(False), kind.cls.release, kind.cls.__enter__]
                for kind in (MUTEX, SEMAPHORE)}}


@every_kind
@pytest.mark.parametrize("code", [2, 5])
def test_unpickled_object_that_cannot_be_opened_raises_that_at_each_use(code, kind, name, fault, monkeypatch):
    made, caught = kind.create(name), []
    data = pickle.dumps(made)
    if code == 2:
        made.close()
    else:
        fault("open_object", code=5)
    lost = pickle.loads(data)
    monkeypatch.undo()
    made.close()
    uses = [*LOST_USES[kind], lambda x: x.handle, *[lambda x: wait_any([x], 0)] * (kind is not MEMORY)]
    with contextlib.closing(kind.create(name)):  # which changes nothing
        for use in uses * 2:
            with pytest.raises(OSError, match="unpickled.*open" if code == 2 else "injected: ") as each:
                use(lost)
            assert told(each) == (code, name)
            caught.append(each.value)
    assert len(set(map(id, caught))) == len(caught)
    assert (lost.name, lost.closed) == (name, False) and f"{name!r}, not opened>" in repr(lost)
    if kind in (MEMORY, EVENT):
        assert lost.__enter__() is lost
    lost.close()
    assert lost.closed


# ---------------------------------------------------------------- memory and views

@pytest.fixture(params=["map", "view", "opened"])
def either(request, name):
    with NamedMap.create(name, 300) as m, m.view(101, 100) as view, NamedMap.open(name, 100) as opened:
        yield {"map": NamedMap.create(None, 100), "view": view, "opened": opened}[request.param]
        if request.param == "view":
            assert m[:101] + m[201:] == bytes(200)


KEYS = [slice(None), slice(-3, None), slice(90, 200), slice(200, 300), slice(5, 2), slice(10, 20, 3),
        slice(20, 10, -3), slice(None, None, -1), slice(2 ** 64, -2 ** 64, -9), 0, 4, -1, -100]


def test_index_slice_and_read_are_those_of_a_bytearray(either):
    model, chance, live = bytearray(100), random.Random(1), iter(either)
    assert next(live) == 0
    for key in KEYS:
        either[key] = model[key] = (bytes(chance.choices(range(256), k=len(model[key]))) if isinstance(key, slice)
                                    else chance.randrange(256))
        assert either[:] == either.read() == bytes(either.buf) == model
        for key in KEYS:
            assert either[key] == model[key] and type(either[key]) is (bytes if isinstance(key, slice) else int)
    assert [0, *live] == [0, *model[1:]] and list(reversed(either)) == list(reversed(model))
    assert [byte in either for byte in range(256)] == [byte in model for byte in range(256)]
    for size, offset in itertools.product((-1, None, 0, 1, 100, HUGE, -HUGE), (0, 5, 98, 100, HUGE)):
        assert either.read(size, offset) == model[offset:][:size if size is not None and size >= 0 else None]


def test_write_and_slice_assignment_take_all_that_is_bytes_like(either):
    for data in (b"1234", bytearray(b"1234"), array.array("I", [0x34333231]), memoryview(b"11223344")[::2],
                 memoryview(array.array("H", [0x3231, 0, 0x3433, 0]))[::2], memoryview(b"1234").cast("B", (2, 2)),
                 memoryview(b"4321")[::-1], (ctypes.c_uint32 * 1)(0x34333231)):
        for store in either.write, lambda data: either.__setitem__(slice(0, 4), data):
            either[:5] = b"    x"
            assert store(data) in (4, None) and either[:5] == b"1234x"
    for empty in b"", memoryview(b"").cast("B"), array.array("d"):
        assert either.write(empty) == either.write(empty, 100) == 0
    either[0:8] = array.array("I", [1, 2])
    either[2:10] = either.buf[0:8]  # which overlaps
    assert either[:11] == b"\1\0\1\0\0\0\2\0\0\0\0" and either.write(array.array("I", [3])) == 4
    assert either.write(b"x" * 100) == 100 and either.write(b"ab", 98) == 2 and either[:] == b"x" * 98 + b"ab"


def test_buf_is_one_memoryview_and_what_is_made_of_it_is_independent(either):
    assert either.buf is either.buf
    for source in [either.buf, either] if sys.version_info >= (3, 12) else [either.buf]:
        with memoryview(source) as part:
            part[0] = 7
            assert (part.nbytes, part.format) == (100, "B")
    with either.buf as buf:
        assert (buf[0], buf.nbytes, buf.format, buf.readonly) == (7, 100, "B", False)
    with pytest.raises(ValueError, match="released"):
        either.buf[0]
    either[0] += 1
    assert either[0] == either.read(1)[0] == either.snapshot(ctypes.c_uint8).value == 8


def test_overlay_lives_in_the_memory_and_snapshot_does_not(either):
    point, copied = either.overlay(Point, 8), either.snapshot(Point, 8)
    point.x, point.y = 7, 2.5
    assert either[8:12] == b"\7\0\0\0"
    either[8] = 9
    assert (point.x, point.y, copied.x, copied.y, either.snapshot(Point, 8).x) == (9, 2.5, 0, 0, 9)
    assert list(either.overlay(ctypes.c_uint8 * 3, 97)) == [0, 0, 0]


STORES = [lambda m: m.write(b"x"), lambda m: m.__setitem__(0, 1), lambda m: m.__setitem__(slice(0, 1), b"x"),
          lambda m: m.write(array.array("H", [1])), lambda m: m.write_text("x"), lambda m: m.buf.__setitem__(0, 1),
          lambda m: m.overlay(ctypes.c_int), lambda m: ctypes.c_int.from_buffer(m.buf)]


@pytest.mark.parametrize("access", ["r", "c"])
def test_access_that_is_not_rw_leaves_the_memory_alone(access, name, path):
    def try_to_store(*memories):
        for each, store in itertools.product(memories, STORES):
            with pytest.raises(TypeError) if access == "r" else contextlib.nullcontext():
                store(each)
            each.flush()
            assert (each.access, each.buf.readonly) == (access, access == "r")
            assert each.snapshot(ctypes.c_char).value == each[:1] and (each[0] == 48) == (access == "r")

    with NamedMap.create(name, 10) as memory:
        memory[:] = b"0123456789"
        with NamedMap.open(name, 10, access=access) as m, memory.view(access=access) as view, m.view() as part:
            try_to_store(m, view, part)
            with m.view(access={"r": "c", "c": "r"}[access]) as narrower:
                assert narrower[:] == memory[:] == b"0123456789"
            with pytest.raises(ValueError, match=f"access='rw' is wider than its map, which has access='{access}'"):
                m.view(access="rw")
    with NamedMap.create(name, file=path, access=access) as m, m.view() as view:
        try_to_store(m, view, NamedMap.open(name, access=access))
        assert NamedMap.open(name, access="r")[:] == b"0123456789"
    assert path.read_bytes() == b"0123456789"


TEXTS = [  # an encoding, bytes of memory, and the text in front of their first NUL
    ("utf-16-le", b"a\0b\0\0\0\x3d\xd8", "ab"),  # half a surrogate pair of an older text
    ("utf-16-le", b"\xfc\0\x3d\xd8\0\xde", "\u00fc\U0001f600"), ("utf-16-le", b"\0\0a\0", ""), ("utf-16-le", b"", ""),
    ("utf-16-le", b"\x3d\xd8a\0\0\0", "\ufffda"), ("utf-16-le", b"\1\0\0\1\0\0x\0", "\1\u0100"),
    ("utf-16-be", b"a\0\0b\0\0\xd8\x3d", "\u6100b"), ("utf-16-le", b"a\0b", "a\ufffd"),
    ("utf-8", b"a\xffb\xe2\x82\0b", "a\ufffdb\ufffd"),
    ("cp1252", b"caf\xe9\x81\0\x81", "caf\u00e9\ufffd"), ("utf-8-sig", b"\xef\xbb\xbfx\0\xff", "x"),
    ("utf-32", b"a\0\0\0\0\0\0\0\xff\xff\xff\xff", "a"), ("shift_jis", b"\x93\xfa\0\x93", "\u65e5")]


@pytest.mark.parametrize("encoding, data, text", TEXTS)
def test_read_text_ends_at_the_first_nul_or_with_the_range(encoding, data, text, either):
    either[:] = b"\x81" * 100
    either.write(data, 7)
    assert either.read_text(len(data), 7, encoding) == text
    either.write(data, 100 - len(data))
    for size in [len(data), -1, None, HUGE] if data else [0]:
        assert either.read_text(size, 100 - len(data), encoding=encoding) == text
    assert either.read_text(offset=100) == either.read_text(offset=HUGE) == either.read_text(0) == ""


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16", "utf-8", "utf-8-sig", "utf-7", "cp1252", "cp037"])
def test_write_text_writes_the_text_and_a_nul_and_nothing_else(encoding, either):
    for text in "", "caf\u00e9", "x" * 20:
        data = (text + "\0").encode(encoding)
        for offset, named in (3, {"size": len(data)}), (100 - len(data), {}):
            either[:] = b"\xdd" * 100
            assert either.write_text(text, offset, encoding=encoding, **named) == len(data)
            assert either[:] == b"\xdd" * offset + data + b"\xdd" * (100 - len(data) - offset)
            assert either.read_text(97, offset, encoding) == either.read_text(-1, offset, encoding) == text
    assert either.write_text("\u00fc") == 4 and either[:4] == b"\xfc\0\0\0" and either.read_text() == "\u00fc"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-8", "gb18030"])
def test_read_text_of_a_long_text_is_whole(encoding):
    with NamedMap.create(None, 50000) as m:
        for shift in range(4):  # so that each byte of a character ends what is decoded at once
            text = shift * "a" + 3000 * "\U0001f600" + "\u00fc"
            written = m.write_text(text, shift, encoding=encoding)
            m[shift + written:shift + written + 4] = b"\xff" * 4
            assert m.read_text(offset=shift, encoding=encoding) == m.read_text(written, shift, encoding) == text


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the hints are written for Python 3.10")
def test_type_hints_of_all_that_is_public_can_be_evaluated():
    for public in [namedmap.main, *(getattr(namedmap, name) for name in namedmap.__all__)]:
        typing.get_type_hints(public)
        for entry in dir(public) if inspect.isclass(public) else ():
            member = getattr(public, entry)
            if entry[0] != "_" or inspect.isfunction(member) and entry.endswith("__"):
                typing.get_type_hints(getattr(member, "fget", member))


def test_views_of_a_thousand_ranges_show_the_same_memory(name):
    size, chance = 300000, random.Random(2)
    ranges = [(0, 1), (65535, 2), (65536, 100), (65537, 70000), (size - 1, 1), (0, size)]
    ranges += [(chance.randrange(size - 100), chance.randrange(1, 100)) for _ in range(1000)]
    with contextlib.ExitStack() as stack, NamedMap.create(name, size) as m:
        m[:] = model = bytearray(index * 7 % 251 for index in range(size))
        for (offset, length), view in [(each, stack.enter_context(m.view(*each))) for each in ranges]:
            view[-1] = model[offset + length - 1] = chance.randrange(256)
            assert view.size == len(view) == length and view[:] == model[offset:offset + length]
            assert (view.address - m.address - offset) % mmap.ALLOCATIONGRANULARITY == 0
        assert m[:] == model


def test_view_keeps_its_map_and_outlives_its_close(name):
    view = NamedMap.create(name, 100).view()
    assert not gone(name)
    view.close()
    assert gone(name)
    with NamedMap.create(name, 100) as m:
        view = m.view(10, 10)
    view[0] = 1
    address = view.address
    assert gone(name) and view[:2] == b"\1\0" and not is_free(address)
    view.close()
    assert is_free(address) and bool(view) and bool(m)


def test_view_of_a_huge_object_maps_only_its_own_pages(name, fault):
    size, free, calls = 5 * 2 ** 30, free_memory(), fault("map_view")
    with NamedMap.create(name, size, reserve=Ten) as m:
        assert (m.size, bool(m), m.created, m.access, m.name) == (size, True, True, "rw", name)
        assert repr(m) == f"<NamedMap {name!r}, size={size}, access='rw', handle={m.handle:#x}>" and not calls
        high, same, low, last = map(m.view, (2 ** 32 + 70000, 2 ** 32 + 70000, 70000, size - 1), (10, 10, 10, 1))
        assert free_memory() > free - size // 2
        high[:] = b"0123456789"
        last[0] = 1
        assert same[:] == b"0123456789" and low[:] == bytes(10)


@pytest.mark.skipif(sys.maxsize < 2 ** 32 or ON_WINDOWS and free_memory() < 5 * 2 ** 30, reason="needs more memory")
def test_memory_beyond_4_gib_is_read_and_written(name, path):
    size = 2 ** 32 + 65541
    if not ON_WINDOWS:
        os.truncate(path, size)  # a file with holes, which takes no space
    with NamedMap.create(name, size, file=None if ON_WINDOWS else path) as m:
        m[2 ** 32 + 1] = 77
        m.write(b"end", size - 3)
        assert m[1] != 77 and (m[2 ** 32 + 1], m.read(3, size - 3)) == (77, b"end")


@windows
def test_view_at_an_address_begins_there_or_is_refused(name):
    free = 0x20000000000 if sys.maxsize > 2 ** 32 else 0x10000000  # above 4 GiB, a truncated pointer would crash
    while not is_free(free) or region_at(free).RegionSize < 0x400000:
        free = region_at(free).BaseAddress + region_at(free).RegionSize + 0xFFFF & ~0xFFFF
    above = free + 0x100000 + 70001 % 65536
    with NamedMap.create(name, 300000) as m:
        with m.view(0, 70000, address=free) as view, m.view(70001, 10, address=above) as other:
            assert (view.address, other.address) == (free, above)
            view[0] = other[0] = view.overlay(ctypes.c_uint8, 69999).value = 77
            assert (m[0], m[70001], m[69999]) == (77, 77, 77)
            with pytest.raises(OSError, match="not free") as caught:
                m.view(0, 10, access="r", address=free)
            assert told(caught) == (487, name)
        assert is_free(free)


# ---------------------------------------------------------------- file mapping objects

FILE, DIGITS = "caf\u00e9 file.bin", b"0123456789"  # of the fixture `path`


@pytest.mark.parametrize("form", [str, os.fsencode, lambda path: path, lambda path: path.name])
def test_create_over_a_path_of_any_form_reads_and_writes_the_file(form, name, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with NamedMap.create(name, 20, file=form(path)) as m, NamedMap.open(name) as other:
        assert (m.size, m.access, m.created, m[:]) == (20, "rw", True, b"0123456789" + bytes(10))
        other[15:20] = b"there"
        assert (other.size, other[:10]) == (20, b"0123456789")  # the size of a file is exact
    assert path.read_bytes() == b"0123456789" + bytes(5) + b"there"


@pytest.mark.parametrize("mode, access", [("r+b", "r"), ("r+b", "rw"), ("a+b", "rw"), ("rb", "r"), ("rb", "c")])
def test_create_over_an_open_file_duplicates_it(mode, access, path, name):
    contents = b"012X456789" if mode == "r+b" else b"0123456789"
    with path.open(mode) as file:
        file.seek(3)
        if mode == "r+b":
            file.write(b"X")  # still in the buffer of Python
        position, forgotten = file.tell(), weakref.ref(file)
        m = NamedMap.create(name, file=file, access=access)
        assert m[:] == contents and file.tell() == position
    del file
    assert forgotten() is None
    with m, path.open("rb") as file:
        assert m[:] == file.read() == contents  # it is shared as it was opened


def test_create_with_a_size_makes_a_file_larger_and_never_smaller(path):
    missing, empty = path.with_name("missing"), path.with_name("empty")
    empty.write_bytes(b"")
    for file, before in (path, b"0123456789"), (missing, b""), (empty, b""):
        with NamedMap.create(None, 70000, file=file) as m:
            assert m.created and m.size == 70000 and is_committed(m) and m[:] == before + bytes(70000 - len(before))
            m.view(69998)[1] = 1
        for size, access in (12, "r"), (12, "rw"), (12, "c"), (70000, "r"):
            with NamedMap.create(None, size, file=file, access=access) as m:
                assert m.size == size and m[:12] == (before + bytes(12))[:12]
        assert file.read_bytes() == before + bytes(69999 - len(before)) + b"\1"


# What is given as the file, or opens it, other arguments, the exception, a part of its text, and the Win32 code.
REFUSED_FILES = [
    *[("missing", {"access": access, "size": size}, FileNotFoundError, 'a file is made if a size is given, with ', 2)
      for access, size in (("rw", None), ("r", 10))],
    *[(file, {"size": 10}, FileNotFoundError, None, None) for file in (os.path.join("missing folder", "file"), "")],
    ("empty", {}, OSError, "the file is empty; a size", 1006),
    *[(file, {"access": "r", "size": 11}, ValueError, 'bytes, 11 were asked for, and only access="rw"', None)
      for file in (FILE, "empty", lambda: open(FILE, "rb"))],
    *[("folder", {"access": access, "size": 10}, OSError, "^((?!may be allowed).)*$", None) for access in ("r", "rw")],
    (os.devnull, {"size": 10}, OSError, "this is not a file on a disk", None),
    ("a\0b", {"size": 10}, ValueError, "a path must not contain NUL", None),
    (5, {}, TypeError, None, None),
    *[(file, {"size": 2 ** 63 - 1}, OSError, "no room|too large", None) for file in (FILE, "new")],
    (lambda: io.BytesIO(b"abc"), {}, TypeError, "a path or a file of the system is required, not BytesIO", None),
    (types.SimpleNamespace(fileno=lambda: 2 ** 40), {}, OverflowError, None, None),
    (types.SimpleNamespace(fileno=lambda: 987, name="a"), {}, OSError, None, None),
    *[(lambda mode=mode: open(FILE, mode), {"access": access}, PermissionError, f"not opened for access='{access}'", 5)
      for mode, access in (("rb", "rw"), ("ab", "r"), ("ab", "rw"))],
    ("new", {"size": 100, "sddl": "D:(A;;GA;;;WD"}, (ValueError, NotImplementedError), None, None),
    pytest.param("fifo", {"size": 10, "access": "r"}, OSError, "this is not a file on a disk", None, marks=linux),
    pytest.param("link", {"size": 10}, FileNotFoundError, None, None, marks=linux)]


@pytest.mark.parametrize("file, arguments, error, text, code", REFUSED_FILES)
def test_create_over_what_cannot_be_mapped_leaves_it_alone(file, arguments, error, text, code, name, path, monkeypatch):
    def refuse():
        with file() if callable(file) else contextlib.nullcontext(file) as opened:
            with pytest.raises(error, match=text) as caught:
                NamedMap.create(name, file=opened, **arguments)
        if isinstance(caught.value, OSError):
            assert caught.value.filename == getattr(opened, "name", opened)
        assert code is None or told(caught)[0] == code

    monkeypatch.chdir(path.parent)
    path.with_name("empty").write_bytes(b"")
    path.with_name("folder").mkdir()
    if not ON_WINDOWS:
        os.mkfifo("fifo")  # whose other end is not waited for
        os.symlink("nowhere", "link")
    before = os.listdir(".")
    assert_no_growth(refuse, 3)
    assert gone(name) and sorted(os.listdir(".")) == sorted(before)
    assert os.path.getsize("empty") == 0 and path.read_bytes() == b"0123456789"


@linux
def test_create_over_a_file_on_a_full_disk_leaves_it_alone(name, tmp_path):
    code = ("import os, sys, namedmap\n"
            "os.chdir(sys.argv[1])\n"
            "open('file', 'wb').write(b'0123456789')\n"
            "for given in 'file', open('file', 'r+b'), 'new':\n"
            "    try: namedmap.NamedMap.create(sys.argv[2], 1 << 20, file=given)\n"
            "    except OSError as error: print(error.strerror, os.path.getsize('file'), os.listdir('.'))\n")
    lines = in_namespace(f"mount -t tmpfs -o size=64k tmpfs '{tmp_path}'", code, str(tmp_path), name)
    assert lines == 3 * ["No space left on device 10 ['file']"]


@windows
@pytest.mark.parametrize("access", ["r", "rw"])
def test_create_over_a_path_has_the_file_for_itself(access, path, name):
    def refuse():
        with pytest.raises(PermissionError, match="the file is open elsewhere") as caught:
            NamedMap.create(name + " 2", 5, file=path, access=access)
        assert told(caught) == (32, str(path)) and "access=" not in str(caught.value)

    with path.open("r+b"):
        refuse()
    with NamedMap.create(name, file=path, access=access):
        refuse()
        with pytest.raises(PermissionError):
            path.open("rb").close()


@windows
def test_create_over_a_file_that_another_program_has_open_for_a_moment_waits_for_it(path, fault):
    calls = fault("open_file", code=namedmap.ERROR_SHARING_VIOLATION, times=4)
    with NamedMap.create(None, file=path) as m:
        assert m[:] == b"0123456789" and len(calls) == 5


def test_create_over_a_file_looks_at_the_name_first(path, name):
    missing = path.parent / "missing"
    with NamedMap.create(name, PAGE) as memory:
        memory[:5] = b"there"
        for file in path, missing:
            with pytest.raises(FileExistsError):
                NamedMap.create(name, 2 * PAGE, file=file)
            for size, access in (10, "rw"), (None, "r"):
                with NamedMap.create(name, size, file=file, exist_ok=True, access=access) as m:
                    assert (m.created, m.access, m.size, m[:5]) == (False, access, size or PAGE, b"there")
            with pytest.raises(ValueError, match=f"has {PAGE} bytes, and {2 * PAGE} were asked for"):
                NamedMap.create(name, 2 * PAGE, file=file, exist_ok=True)
    with Event.create(name), pytest.raises(OSError, match="this is the name of an event"):
        NamedMap.create(name, file=missing)
    assert path.read_bytes() == b"0123456789" and not missing.exists()


def test_create_over_a_file_that_another_process_has_just_made_opens_it(path, fault):
    new = path.parent / "new"
    calls = fault("open_file", before=lambda: len(calls) == 2 and new.write_bytes(b"0123456789"))
    with NamedMap.create(None, 5, file=new) as m:
        assert m[:] == b"01234"
    assert [is_new for _, _, is_new in calls] == [False, True, False] and new.read_bytes() == b"0123456789"


@pytest.mark.parametrize("exist_ok", [False, True])
@pytest.mark.parametrize("is_mapped", [False, pytest.param(True, marks=linux)])  # Windows opens no file twice
def test_create_over_a_file_leaves_it_to_memory_that_was_just_made(is_mapped, exist_ok, name, path, fault):
    def make():
        others.append(NamedMap.create(name, 20000, file=file if is_mapped else None))

    for file in path, path.with_name("new"):
        others = []
        fault("create_file_mapping", times=1, before=make)
        with contextlib.nullcontext() if exist_ok else pytest.raises(FileExistsError) as caught:
            NamedMap.create(name, 20000, file=file, exist_ok=exist_ok).close()
        assert exist_ok or told(caught) == (183, name)
        if is_mapped:
            assert file.stat().st_size == 20000 and others[0][19999] == 0
        file.open("r+b").close()
        others[0].close()


@pytest.mark.parametrize("is_new, size, written, left", [  # written: None for another file; left: None for no file
    (False, 50, b"", DIGITS), (False, 50, bytes(40), DIGITS),
    *[(False, size, added, DIGITS + added) for size, added in (
        (None, b"added"), (5, b"added"), (20, b"added"), (50, bytes(40) + b"added"))],
    (True, 10, b"", None), (True, 10, bytes(10), None), (True, 10, b"added", b"added"),
    (True, 10, DIGITS + b"added", DIGITS + b"added"), pytest.param(True, 10, None, DIGITS, marks=linux)])
def test_create_over_a_file_that_fails_takes_back_only_its_own_changes(is_new, size, written, left, name, path, fault,
                                                                       monkeypatch):
    def meddle():  # as the system, before it refuses the name, and other programs meanwhile
        if written is None:
            path.unlink()
            path.write_bytes(DIGITS)
        else:
            os.lseek(calls[-1][5].value, 0, os.SEEK_END)
            os.write(calls[-1][5].value, written)
        os.chdir(other.parent)

    other = path.with_name("other") / FILE
    other.parent.mkdir()
    other.write_bytes(b"another file")
    if is_new:
        path.unlink()
    monkeypatch.chdir(path.parent)
    calls = fault("create_file_mapping", before=meddle, code=8)
    with pytest.raises(OSError, match="injected") as caught:
        NamedMap.create(name, size, file=FILE)
    assert told(caught) == (8, FILE) and other.read_bytes() == b"another file"
    assert (path.read_bytes() if path.exists() else None) == left


def test_create_over_a_file_that_is_denied_says_what_would_help(path, fault):
    fault("open_file", code=5)
    for access, hint in ("rw", '; opening it for reading with access="r" may be allowed'), ("r", ""):
        with pytest.raises(PermissionError) as caught:
            NamedMap.create(None, file=path, access=access)
        assert caught.value.strerror == "injected" + hint


@linux
def test_first_use_of_what_the_system_cannot_map_raises_its_errno(name):
    with open(f"/dev/shm/namedmap test {os.getpid()}", "w+b") as file:
        os.unlink(file.name)
        file.truncate(2 ** 62)
        with NamedMap.create(name, file=file, access="r") as m:
            with pytest.raises(OSError, match=r"map parts of a large object with view\(\)") as caught:
                m.read(1)
            assert (caught.value.errno, caught.value.filename) == (errno.ENOMEM, name)
            assert m.view(2 ** 61, 10)[:] == bytes(10)
    device = "/sys/kernel/mm/transparent_hugepage/enabled"  # a file that cannot be mapped
    if os.path.exists(device):
        with NamedMap.create(name, 1, file=device, access="r") as m, pytest.raises(OSError) as caught:
            m.read()
        assert (caught.value.errno, caught.value.filename) == (errno.ENODEV, name)


def test_flush_that_cannot_sync_the_file_blames_it_and_keeps_nothing(name, path, monkeypatch):
    def refuse():
        with NamedMap.create(name, file=path) as m, m.view(3) as view:
            for each in m, view:
                with pytest.raises(OSError) as caught:
                    each.flush()
                assert (caught.value.errno, caught.value.filename) == (errno.EBADF, str(path))
        assert gone(name)
        path.open("r+b").close()

    monkeypatch.setattr(os, "fsync", lambda _: os.close(-1))  # an error
    assert_no_growth(refuse, 3)


def test_flush_hands_over_its_pages_and_then_syncs_the_file(path, name, fault, monkeypatch):
    done, fsync, size, found = [], os.fsync, 50 * PAGE + 1, path.stat()
    views = fault("flush_view", after=lambda: done.append(views[-1]))
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.fstat(file)) or fsync(file))

    def synced(memory, offset=0, length=None):
        """Flush, which has to hand over the pages from the first to the last byte; return which files it has synced."""
        done.clear()
        memory.flush(offset, length)
        begin, count = done.pop(0)
        end = memory.size if length is None else offset + length
        assert [begin // PAGE, (begin + count - 1) // PAGE] == [
            (memory.address + offset) // PAGE, (memory.address + end - 1) // PAGE]
        return [os.path.samestat(found, each) for each in done]

    with NamedMap.create(name, size, file=path) as m, NamedMap.open(name) as other:
        m[size - 1] = m[0] = 65
        for part in (), (PAGE - 1, 2), (5 * PAGE,), (PAGE, PAGE), (size - 1,):
            assert synced(m, *part) == [True] and synced(other, *part) == []  # which has no file
        view, reader, private = m.view(3 * PAGE - 7, 2 * PAGE), m.view(access="r"), m.view(access="c")
        assert synced(view, 10) == synced(view, 7, PAGE) == synced(reader) == synced(private) == [True]
        done.clear()
        m.flush(size)  # nothing, which FlushViewOfFile would take for everything
        assert [os.path.samestat(found, each) for each in done] == [True]
        with pytest.raises(OSError):
            namedmap._layer.flush_view(m.address, 2 ** 30)  # which is beyond the view
    assert synced(view) == []  # its map is closed
    del view, reader, private
    for arguments in {"file": path, "access": "r"}, {"file": path, "access": "c"}, {"size": 100}:
        with NamedMap.create(name, **arguments) as m:
            assert synced(m) == []
    assert path.read_bytes()[::size - 1] == b"AA"


@linux
def test_flush_writes_its_pages_to_the_disk(path, name):
    def is_dirty():
        with open("/proc/self/smaps") as file:
            facts = file.read().split(f"\n{m.address:x}-")[1].split("VmFlags")[0]
        return any(map(int, re.findall(r"_Dirty: *(\d+)", facts)))

    with NamedMap.create(name, 4 * PAGE, file=path), NamedMap.open(name) as m:  # which has no file to sync
        m[0] = 1
        with path.open("rb") as file:
            os.fsync(file.fileno())
        if is_dirty():
            pytest.skip("a file system in memory: what is written stays dirty")
        m[PAGE - 1:PAGE + 1] = b"xx"
        assert is_dirty()
        m.flush(PAGE - 1, 2)
        assert not is_dirty()


@windows
def test_flush_of_pages_that_the_system_is_just_writing_is_tried_again(path, fault):
    with NamedMap.create(None, file=path) as m:
        calls = fault("flush_view", code=namedmap.ERROR_LOCK_VIOLATION, times=3)
        m.flush()
        assert len(calls) == 4
        fault("flush_view", code=namedmap.ERROR_LOCK_VIOLATION)
        with pytest.raises(OSError, match="injected"):
            m.flush()


# ---------------------------------------------------------------- mutexes, events and semaphores

def session():
    """The number of the session: in 0 of Windows, Local and Global are the same."""
    number = wintypes.DWORD(1)
    assert not ON_WINDOWS or kernel32.ProcessIdToSessionId(os.getpid(), ctypes.byref(number))
    return number.value


@every_waitable
def test_create_and_open_of_a_name_give_handles_of_one_object(kind, name):
    opened, made = threads(lambda: kind.open(name, timeout=30), lambda: time.sleep(0.2) or kind.ready(name))
    others = [opened, kind.create(name, exist_ok=True)]
    assert [(type(each), each.name, each.created) for each in (made, *others)] == [
        (kind.cls, name, created) for created in (True, False, False)]
    assert repr(made) == f"<{kind} {name!r}, handle={made.handle:#x}>" and not made.closed
    assert kind.take(made) and not any(in_thread(kind.take, each) for each in others)
    if kind is MUTEX:
        made.release()
    for use, error in (kind.create, FileExistsError), (MEMORY.open, OSError):
        with pytest.raises(error):
            use(name)
    for each in (made, *others):
        assert not gone(name)
        each.close()
    assert gone(name) and made.closed and made.created and repr(made) == f"<{kind} {name!r}, closed>"


def test_release_by_another_thread_or_object_raises(mutex, name):
    other = Mutex.open(name)
    with mutex as entered:
        assert entered is mutex and mutex.acquire(False) and mutex.acquire(timeout=None)
        assert repr(mutex).endswith(f", held, handle={mutex.handle:#x}>") and "held" not in repr(other)
        for _ in range(2):
            assert not in_thread(mutex.acquire, False)
            with pytest.raises(RuntimeError, match="does not hold"):
                in_thread(mutex.release)
            with pytest.raises(RuntimeError, match="through this object"):
                other.release()
            mutex.release()
        with other:
            pass
        other.close()
        assert not is_free_for_others(mutex)
    assert is_free_for_others(mutex) and "held" not in repr(mutex)


def test_mutex_is_held_until_its_thread_ends_and_abandoned_once(mutex, name):
    """Python's own object for a thread that it did not start would never end."""
    held, end = threading.Event(), threading.Event()
    _thread.start_new_thread(lambda: [mutex.acquire(), mutex.acquire(), held.set(), end.wait(60)], ())
    assert held.wait(60)
    with pytest.raises(RuntimeError, match="is held, and has to be released"):
        mutex.close()
    assert not mutex.closed
    end.set()
    eventually(lambda: "held" not in repr(mutex), 60)
    for _ in range(50):
        assert in_thread(lambda: [mutex.acquire(timeout=10), mutex.abandoned]) == [True, True]
        with pytest.raises(RuntimeError):
            in_thread(mutex.release)  # by a thread that may have the number of the one that ended
    with contextlib.closing(Mutex.open(name)) as other:
        with other:
            assert other.abandoned
            with other:
                assert other.abandoned  # the owner acquires it once more
        with mutex:
            assert not mutex.abandoned and not in_thread(other.acquire, False) and other.abandoned
        with other:
            assert not other.abandoned
    assert is_free_for_others(mutex)
    mutex.close()
    with pytest.raises(ValueError, match="is closed"):
        mutex.abandoned


@linux
def test_collected_mutex_stays_locked_until_its_thread_ends(mutex, name):
    def forget():
        Mutex.open(name).acquire()
        gc.collect()
        for _ in range(3):
            Mutex.create().acquire()  # the list of what this thread holds goes on
        stop()

    child = forked(lambda: [mutex.close(), in_thread(forget), signal.pause()])
    assert is_stopped(child) and not mutex.acquire(False)
    os.kill(child, signal.SIGCONT)
    assert mutex.acquire(timeout=60) and mutex.abandoned
    mutex.release()
    assert end_of(child, signal.SIGKILL) == -signal.SIGKILL


@windows
def test_release_of_a_mutex_that_other_code_has_released_raises(mutex):
    def acquire_and_let_other_code_release():
        for function in [mutex.acquire, lambda: kernel32.ReleaseMutex(wintypes.HANDLE(mutex.handle))]:
            assert function() and function()

    acquire_and_let_other_code_release()
    with pytest.raises(RuntimeError, match="does not hold"):
        mutex.release()
    assert "held" not in repr(mutex)
    acquire_and_let_other_code_release()
    in_thread(mutex.acquire)
    assert in_thread(lambda: [mutex.acquire(timeout=10), mutex.abandoned, mutex.release()]) == [True, True, None]
    assert "held" not in repr(mutex)


@linux
def test_fork_leaves_no_mutex_held_in_the_child(mutex):
    def work():
        for each in (mutex, other):
            assert "held" not in repr(each) and not each.acquire(False)
            with pytest.raises(RuntimeError):
                each.release()
            each.close()

    other = Mutex.create()
    with ThreadPoolExecutor(1) as holder, mutex:
        assert holder.submit(other.acquire).result(60)
        assert end_of(forked(work)) == 0
        assert "held" in repr(other) and not is_free_for_others(mutex)
    assert is_free_for_others(mutex)


@linux
def test_release_by_several_processes_loses_nothing(memory):
    semaphore, added = Semaphore.create(None, 0, 5), memory.overlay(ctypes.c_int * 3)

    def work(number):
        for _ in range(2000):
            try:
                added[number] += semaphore.release() < 5
            except ValueError:
                added[number] -= semaphore.acquire(False)

    children = [forked(lambda: work(number)) for number in range(3)]
    assert [end_of(child) for child in children] == [0, 0, 0]
    assert sum(added) == sum(semaphore.acquire(False) for _ in range(7)) <= 5


@pytest.mark.parametrize("manual_reset, lets_go_on", [(True, 3), (False, 1)])
def test_set_lets_all_threads_go_on_or_one(manual_reset, lets_go_on, fault):
    with Event.create(manual_reset=manual_reset) as event:
        assert not event.is_set()
        event.set()
        event.set()  # twice is once
        assert event.is_set() and event.is_set()
        assert threads(*[lambda: event.wait(0.3)] * 3).count(True) == lets_go_on
        event.clear()
        event.clear()
        assert not event.is_set() and not event.wait(0)
        _, *went_on = threads(lambda: time.sleep(0.2) or event.set(), *[lambda: event.wait(1)] * 3)
        assert went_on.count(True) == lets_go_on and event.is_set() == manual_reset
        event.set()
        fault("wait", after=lambda: (event.clear(), raise_interrupt()))
        with pytest.raises(Interrupt):
            event.wait()
        assert event.is_set() != manual_reset  # what reset it in order to go on sets it again


@linux
def test_set_and_clear_at_once_let_waiting_threads_go_on():
    """As threading.Event promises; on Windows the threads may miss it."""
    with Event.create() as event, Event.create(manual_reset=False) as auto:
        def change():
            time.sleep(0.3)
            for function in (event.set, event.clear, auto.set, auto.clear):
                function()

        waits = [lambda: event.wait(30), lambda: event.wait(30), lambda: wait_any([auto, event], 30)]
        assert threads(change, *waits) == [None, True, True, event]
        assert not event.is_set() and not auto.wait(0)


def test_release_of_a_semaphore_returns_the_count_and_never_exceeds_the_maximum():
    semaphore, usual, full = Semaphore.create(None, 2, 4), Semaphore.create(), Semaphore.create(None, 2 ** 31 - 1)
    assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]
    assert [semaphore.release(), semaphore.release(2)] == [0, 1]
    with pytest.raises(ValueError, match="2 more would exceed the maximum"):
        semaphore.release(2)
    assert [semaphore.release(), semaphore.acquire(), semaphore.release()] == [3, True, 3]
    assert [usual.acquire(False), usual.acquire(False)] == [True, False]
    with pytest.raises(ValueError, match="would exceed"):
        full.release()


@linux
def test_release_after_a_process_was_killed_in_release_adds():
    semaphore = Semaphore.create(None, 0)
    child = forked(lambda: semaphore.release(2 ** 31 - 100))
    eventually(lambda: semaphore.acquire(False), 60)
    assert end_of(child, signal.SIGKILL) == -signal.SIGKILL
    before = semaphore.release()
    assert [semaphore.release(), semaphore.release()] == [before + 1, before + 2]


# ---------------------------------------------------------------- waiting

@pytest.fixture
def signals():
    """A function that lets a signal raise Interrupt in this thread after some seconds; on Linux, 0 calls it off."""
    number = signal.SIGINT if ON_WINDOWS else signal.SIGALRM
    old = signal.signal(number, raise_interrupt)
    if ON_WINDOWS:
        yield lambda seconds: threading.Timer(seconds, _thread.interrupt_main).start()
    else:
        yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
        signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(number, old)


@every_wait
@pytest.mark.parametrize("kind, is_killed", [*[(kind, False) for kind in WAITABLES], (MUTEX, True)])
def test_wait_ends_by_time_signal_close_or_another_process(kind, is_killed, wait, name, signals, python, fault):
    code = ("import sys, namedmap\n"
            "_, cls, name, give_back = sys.argv\n"
            "thing = namedmap.wait_any([getattr(namedmap, cls).open(name)])\n"
            "input('ready\\n')\n"
            "getattr(thing, give_back)()\n")
    with contextlib.closing(kind.ready(name)) as thing, contextlib.closing(kind.open(name)) as other:
        process = python(code, str(kind), name, "set" if kind is EVENT else "release")
        assert process.line() == "ready"
        calls, used = fault("wait"), time.process_time()
        for timeout in 0, 0.25:
            begin = time.perf_counter()
            assert not wait(kind, thing, timeout)
            assert time.perf_counter() - begin >= timeout
        for end, error in (lambda: signals(0.2), Interrupt), (threading.Timer(0.2, other.close).start, ValueError):
            end()
            with pytest.raises(error):
                wait(kind, other, None)
        slices = [seconds for _, seconds, _ in calls]
        assert slices[0] == 0 < slices[1] and max(slices) <= 0.1 and len(slices) < 99  # nothing ends one early
        assert time.process_time() - used < 0.3  # it does not spin
        threading.Timer(0.2, process.popen.kill if is_killed else process.enter).start()
        assert wait(kind, thing, 60) and not in_thread(kind.take, thing)
        if kind is MUTEX:
            assert thing.abandoned is is_killed
            thing.release()


@pytest.mark.parametrize("happens, error", [
    (lambda thing, other: raise_interrupt(), Interrupt),
    (lambda thing, other: in_thread(thing.close), ValueError),
    (lambda thing, other: (in_thread(thing.close), raise_interrupt()), Interrupt),
    (lambda thing, other: other.close(), ValueError),
], ids=["interrupt", "close", "close and interrupt", "close of another"])
@every_waitable
@pytest.mark.parametrize("is_first", [True, False])
def test_wait_that_fails_after_a_slice_gives_back_what_it_got(is_first, kind, happens, error, name, fault):
    with contextlib.closing(kind.ready(name)) as same, Event.create() as other:
        thing = kind.open(name)
        handle, closed, stays_open = thing.handle, fault("close_handle"), []
        fault("wait", times=1, after=lambda: (happens(thing, other), stays_open.append((handle,) not in closed)))
        with pytest.raises(error):
            wait_any([thing, other] if is_first else [other, thing], 60)
        thing.close()
        assert in_thread(kind.take, same) and all(stays_open)
        assert kind is MUTEX or not kind.take(same)
    assert gone(name)


@pytest.mark.parametrize("call, method, moment, undone", [
    (Mutex.acquire, "wait", "after", 0), (Mutex.release, "release_mutex", "before", 0),
    (Mutex.release, "release_mutex", "after", 1)])
def test_interrupt_of_a_call_leaves_a_mutex_held_as_often_as_it_says(call, method, moment, undone, mutex, fault):
    def interrupt():
        other_got.append(other.submit(mutex.acquire, False).result(60))
        raise_interrupt()

    other_got = []
    in_thread(mutex.acquire)  # which the first time is abandoned
    for held in range(call is Mutex.release, 3):
        for _ in range(held):
            mutex.acquire()
        with ThreadPoolExecutor(1) as other:
            fault(method, times=1, **{moment: interrupt})
            with pytest.raises(Interrupt):
                call(mutex)
            for _ in range(held - undone):
                assert ", held" in repr(mutex) and not is_free_for_others(mutex)
                mutex.release()
            with pytest.raises(RuntimeError):
                mutex.release()
            assert (", held" in repr(mutex)) is other_got[-1] is (held == undone == 1)
            if other_got[-1]:
                other.submit(mutex.release).result(60)
        assert "held" not in repr(mutex) and is_free_for_others(mutex)


@pytest.mark.parametrize("kind, method, error", [
    (MUTEX, "release_mutex", RuntimeError), (EVENT, "set_event", PermissionError),
    (SEMAPHORE, "release_semaphore", ValueError)])
def test_interrupt_is_raised_although_what_was_got_cannot_be_given_back(kind, method, error, fault):
    fault(method, raises=error("injected"))
    fault("wait", after=raise_interrupt)
    with pytest.raises(Interrupt):
        kind.take(kind.ready())


@linux
@every_waitable
def test_wait_with_signals_at_random_moments_loses_nothing(kind, signals):
    """An exception that is raised inside of acquire() or wait(), not on the way in or out, leaves nothing got."""
    chance, inside = random.Random(7), 0
    for _ in range(500 * ROUNDS):
        thing, got, where = kind.ready(), [], ""
        try:
            signals(chance.uniform(1e-6, 2e-5))
            got[:] = map(kind.take, (thing,))
            time.sleep(0.001)
        except Interrupt as error:
            where = traceback.extract_tb(error.__traceback__)[-2].name  # the last one is the handler
        signals(0)
        if got or where not in ("acquire", "wait", "<lambda>"):
            assert in_thread(kind.take, thing) is (not got), where
            inside += bool(where and not got)
        if got and kind is MUTEX:
            thing.release()
    assert inside


@linux
def test_release_with_signals_at_random_moments_blocks_no_other_thread(signals):
    def handle(*_):  # which may use the mutex, too
        mutex.acquire()
        mutex.release()
        done.append(raise_interrupt() if done else signals(5e-5))

    signal.signal(signal.SIGINT if ON_WINDOWS else signal.SIGALRM, handle)
    chance = random.Random(7)
    for number in range(300 * ROUNDS):
        semaphore, mutex, done = Semaphore.create(None, 0, 10), Mutex.create(), []
        calls = [mutex.acquire, mutex.release] if number % 2 else [semaphore.release, semaphore.acquire]
        with contextlib.suppress(Interrupt):
            signals(chance.uniform(1e-5, 6e-5))
            while True:
                calls[0]()
                calls[1]()
        assert in_thread(semaphore.release) in (0, 1)
        while ", held" in repr(mutex):
            mutex.release()
        assert is_free_for_others(mutex)


def test_wait_any_gets_the_first_that_is_free_of_64_and_leaves_the_others(mutex):
    with Event.create(manual_reset=False) as event, Event.create(initial_state=True) as manual:
        semaphore = Semaphore.create(None, 2, 2)
        assert wait_any([event, semaphore, semaphore, mutex], 0) is semaphore
        assert semaphore.release() == 1
        assert wait_any([event, mutex, semaphore, mutex], 0) is mutex
        event.set()
        assert wait_any(iter([mutex, event]), 0) is mutex  # which this thread holds, once more
        assert event.is_set()
        mutex.release()
        mutex.release()
        assert wait_any((each for each in [event, event, mutex]), None) is event
        assert not event.is_set() and is_free_for_others(mutex)
        assert wait_any([event, manual]) is manual and manual.is_set()
    in_thread(mutex.acquire)
    events = [Event.create() for _ in range(63)]
    for event in events[::2]:
        event.set()
        event.clear()
    assert wait_any(events, 0.05) is None
    for is_abandoned in (True, False):
        assert wait_any([*events, mutex], 10) is mutex and mutex.abandoned is is_abandoned
        mutex.release()


# ---------------------------------------------------------------- random steps

def test_random_steps_of_mutexes_do_what_their_holders_say(name):
    chance, seen, things = random.Random(1), collections.Counter(), []

    def step():
        if chance.randrange(12) >= len(things):
            key = f"{name} {chance.randrange(9)}"
            mutex = Mutex.create(key, exist_ok=True)
            assert mutex.created is all(each.key != key for each in things)
            things.append(types.SimpleNamespace(mutex=mutex, key=key, holders=[]))
            return
        thing, me = chance.choice(things), threading.get_ident()
        call = chance.choice(["acquire", "acquire", "release", "release", "release", "close"])
        if call == "acquire":
            works = {holder for each in things if each.key == thing.key for holder in each.holders} <= {me}
            assert thing.mutex.acquire(False) is works
            thing.holders += [me] * works
        else:
            works = me in thing.holders if call == "release" else not thing.holders
            with contextlib.nullcontext() if works else pytest.raises(RuntimeError):
                getattr(thing.mutex, call)()
            del thing.holders[:works]
            if works and call == "close" or not thing.holders and chance.random() < 0.1:
                things.remove(thing)  # closed or forgotten
        seen[call, works] += 1

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for _ in range(6000 * ROUNDS):  # in one of two threads at a time
            chance.choice([one, other]).submit(step).result(60)
    assert len(seen) == 6 and min(seen.values()) > 50, seen
    things.clear()
    assert all(gone(f"{name} {number}") for number in range(9))


@pytest.mark.parametrize("kind, uses", [
    (MEMORY, [lambda m: m.write(b"x" * 100), lambda m: m.read(), lambda m: m.overlay(ctypes.c_int).value,
              lambda m: m.view().read(), lambda m: m.flush(), lambda m: m.close()]),
    (MUTEX, [lambda mutex: mutex.acquire(False) and mutex.release()]),  # one that is closed could not be released
    (EVENT, [Event.set, Event.clear, Event.is_set, Event.close, lambda event: wait_any([event, event], 0.001)]),
    (SEMAPHORE, [lambda semaphore: semaphore.acquire(False), Semaphore.release, Semaphore.close])])
def test_random_calls_of_two_threads_at_once_do_no_harm(kind, uses, name):
    def work():
        for _ in range(500 * ROUNDS):
            try:
                if chance.random() < 0.2:
                    slots[chance.randrange(3)] = chance.choice([kind.open, make])(name)
                chance.choice(uses)(chance.choice(slots))
            except (FileNotFoundError, ValueError) as error:  # the other thread has closed it
                assert re.search("nothing has this name|is closed", str(error))

    def make(name):
        return kind.create(name, exist_ok=True)

    def both():
        slots[:] = [make(name) for _ in range(3)]
        threads(work, work)
        slots.clear()
        gc.collect()
        assert gone(name)

    slots, chance, interval = [], random.Random(7), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        assert_no_growth(both, 4)
    finally:
        sys.setswitchinterval(interval)


# ---------------------------------------------------------------- the command line

# What is typed, with the exit status behind it unless it is 0, and what is printed, without the usage; "…" stands for
# anything.  What follows ">" is typed elsewhere in the next pause of the command above; then a signal ends the command.
# There are the memory demo (4096 bytes) and ten (10 bytes of a file, 0123456789), a mutex named lock and an event named
# Global\bell; in the current folder lies a file with the same 10 bytes.  Nothing has the name new.
TRANSCRIPTS = r"""
# Memory has a name as long as it is held.
$ create new "Grüße"
new: 256 bytes, held until Enter or Ctrl+C
> read new
Grüße
$ read new  # 1
namedmap: new: nothing has this name now: is the publisher running…
# New memory has 256 bytes, or what its contents need.
$ create new xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx --encoding utf-32 --hold 0.001
new: 268 bytes, held for 0.001 seconds, or until Enter or Ctrl+C
# Contents that do not fit in --size are refused.
$ create new 0123456789 --size 21 --hold 0  # 2
namedmap create: error: 22 bytes do not fit in 21 bytes (--size)
# A name that is taken is an error.
$ create demo text  # 1
namedmap: demo: the name is taken: a process still has it open…; info shows what has it open
# With --exist-ok, memory that is there is used.
$ create demo --exist-ok text --hold 0
demo: 4096 bytes that were there, held for 0 seconds, or until Enter or Ctrl+C
$ read demo
text
# Memory that is smaller than --size is refused.
$ create 'Local\demo' --exist-ok --size 8K  # 1
namedmap: Local\demo: 'Local\demo' has 4096 bytes, and 8192 were asked for
# Memory over a file has the size of the file, unless it is to be larger.
$ create new --file file
new: 10 bytes, held until Enter or Ctrl+C
$ create new --file file --size 12 text
new: 12 bytes, held until Enter or Ctrl+C
# Text is written with a NUL behind it, and not at all if both do not fit.
$ write ten xy --encoding ascii
$ read ten --hex
00000000  78 79 00 33 34 35 36 37 38 39                    |xy.3456789|
0000000a
$ write ten 12345  # 1
namedmap: ten: 12 bytes at offset 0 are not inside the memory, which has 10 bytes
# Text may come after options, and begin with a minus.
$ write demo --offset 2 --encoding ascii one
$ write demo --offset 5 --encoding ascii -- -2-
$ read demo --offset 2 --size 9 --hex
00000002  6f 6e 65 2d 32 2d 00 00 00                       |one-2-...|
0000000b
# In a dump of bytes, rows that repeat are folded.
$ write demo --from-hex "4d65737361676500 FEff" --offset 1K
$ read demo --hex
00000000  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|
*
00000400  4d 65 73 73 61 67 65 00 fe ff 00 00 00 00 00 00  |Message.........|
00000410  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|
*
00001000
# What is hardly text is printed, with a hint.
$ write demo --from-hex 610001d86200
$ read demo
a�b
namedmap: this is hardly text in utf-16-le: --hex shows the bytes
# Ends of lines become those of the system.
$ write demo --from-hex 610d0a620d63
$ read demo --encoding utf-8
a
b
c
# New memory can have the contents of a file.
$ create new --input file
new: 256 bytes, held until Enter or Ctrl+C
> read new --encoding ascii
0123456789
# The contents of a file are written if there is room.
$ create new --input file --size 9  # 1
namedmap: new: file has more than the 9 bytes that there is room for
$ write demo --input file --offset 4086
$ write demo --input file --offset 4087  # 1
namedmap: demo: file has more than the 9 bytes that there is room for
$ read demo --offset 4086 --encoding ascii
0123456789
# A missing file of contents is an error.
$ write demo --input missing  # 1
namedmap: demo: missing: No such file or directory
# Of records the first is printed, or as many as --size has.
$ write demo --from-hex 4857695301000000ffffffff000000000000f03f
$ read demo --struct "<4sIid"
b'HWiS' 1 -1 1.0
$ read demo --struct "<HxxI" --size 16
22344 1
65535 0
$ read demo --struct "<H" --size 1000 --offset 4093
0
# In records, text ends at its first NUL, and W is wide text in the byte order of the format.
$ write demo --from-hex 61620063ff7a004700fc00000000d8
$ read demo --struct "<5sc2xBp"
b'ab' b'z' 0 b''
$ read demo --struct "<7x4W"
'Gü'
$ read demo --struct ">cW"
b'a' '戀'
# Where more is asked for than there is, there is less.
$ write demo end --offset 4088
$ read demo --offset 4088 --size 1M --hex
00000ff8  65 00 6e 00 64 00 00 00                          |e.n.d...|
00001000
# A record is read whole.
$ read demo --offset 4090 --struct "<Q"  # 1
namedmap: demo: 8 bytes at offset 4090 are not inside the memory, which has 4096 bytes
$ read demo --struct 400000000i  # 1
namedmap: demo: 1600000000 bytes at offset 0 are not inside the memory, which has 4096 bytes
# Numbers may be hexadecimal; an offset behind the end is an error.
$ read ten --offset 0XA  # 1
namedmap: ten: 1 bytes at offset 10 are not inside the memory, which has 10 bytes
# With --timeout, text is waited for, unless Ctrl+C ends it.
$ read demo --timeout 60
> write demo text
text
$ read new --timeout 60  # 1
namedmap: new: interrupted
# A watched dump goes on with the time of day and the rows that changed.
$ read demo --hex --watch --size 48
00000000  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|
*
00000030
> write demo --from-hex 01 --offset 40
…:…:….…
00000020  00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00  |................|
# Watched text is printed again when it changes, but not for what is behind its NUL.
$ read demo --watch 0.05

> write demo text
text
> write demo --from-hex ff --offset 10
> write demo next
next
# Watched records are printed again when they change, but not for what they do not show.
$ read demo --struct "<2xBs" --watch --size 4
0 b''
> write demo --from-hex ffff0000ff
> write demo --from-hex ffff01
1 b''
# Of a name, info says what has it.
$ info lock
name:   lock
kind:   mutex
open:   …
$ info new  # 1
namedmap: new: nothing has this name now: is the publisher running…
# Of memory, info says more.
$ info demo
name:   demo
kind:   file mapping object
size:   4096 bytes; the system rounds sizes up to whole pages
pages:  committed
access: rw
open:   …
# Of memory over a file, info says the exact size.
$ info ten
name:   ten
kind:   file mapping object
size:   10 bytes
pages:  of a file
…
# A list has all memory, or what a pattern matches.
$ list
…        4096  Local\demo…
$ list "*demo*"
        4096  Local\demo
$ list "Global\demo"
$ list DEMO
# A list of all has mutexes, events and semaphores, too.
$ list --all lock
mutex                           -  Local\lock
$ list --all "*bell"
event                           -  Global\bell
$ list lock
# Values are checked, and forms exclude each other.
$ create 'Local\'  # 2
namedmap create: error: argument NAME: a name must not be empty or only a prefix: 'Local\'
$ read demo --size 4Q  # 2
namedmap read: error: argument --size: not a number of bytes such as 4096, 0x1000, 64K, 16M or 2G: '4Q'
$ create new --hold nan  # 2
namedmap create: error: argument --hold: a timeout must be 0 to … seconds, or None for ever, not nan
$ read demo --struct 0s  # 2
namedmap read: error: argument --struct: a format must have at least one byte
$ read demo --struct "<Q" --size 12  # 2
namedmap read: error: --size 12 is not a multiple of the 8 bytes of --struct
$ read demo --encoding zlib  # 2
namedmap read: error: argument --encoding: 'zlib' is not a text encoding…
$ read demo --raw --hex  # 2
namedmap read: error: argument --hex: not allowed with argument --raw
# Contents are given in one way, and checked.
$ write demo  # 2
namedmap write: error: nothing to write: give TEXT, --from-hex or --input
$ write demo text --from-hex 00  # 2
namedmap write: error: TEXT, --from-hex and --input exclude each other
$ write demo "ü" --encoding ascii  # 1
namedmap: demo: 'ascii' codec can't encode character '\xfc' in position 0: …
# A command is required, and there must be no more arguments than it has.
$  # 2
namedmap: error: the following arguments are required: COMMAND
$ list a b  # 2
namedmap list: error: unrecognized arguments: b
$ write demo --nonsense  # 2
namedmap write: error: unrecognized arguments: --nonsense
"""


SIGNALS = [getattr(signal, each) for each in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, each)]


@pytest.fixture
def ctrl_c():
    """Ctrl+C raises KeyboardInterrupt, also where a parent process has this one ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("heading, transcript", re.findall(r"^# (.*)\n((?:(?!# ).*\n)+)", TRANSCRIPTS, re.M))
def test_transcript(heading, transcript, name, path, capsys, monkeypatch, tmp_path, ctrl_c):
    def sleep(seconds):
        if meanwhile:
            assert namedmap.main(shlex.split(meanwhile.pop(0))) == 0
        else:
            send(SIGNALS[next(_counter) % len(SIGNALS)])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["namedmap"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(time, "sleep", sleep)
    (tmp_path / "file").write_bytes(b"0123456789")
    unique, handlers = re.sub(r"\W", "_", name.partition("\\")[2]), [*map(signal.getsignal, SIGNALS)]
    transcript = re.sub(r"\b(demo|ten|lock|bell|new)\b", rf"\1_{unique}", transcript)
    with NamedMap.create(f"demo_{unique}", 4096), NamedMap.create(f"ten_{unique}", file=path), \
            contextlib.closing(Mutex.create(f"lock_{unique}")), Event.create(f"Global\\bell_{unique}"):
        for typed, block in re.findall(r"^\$(.*)\n((?:(?!\$).*\n)*)", transcript, re.M):
            command, _, expected = typed.partition("  # ")
            meanwhile = re.findall("^> (.*)\n", block, re.M)
            status, out, err = run(capsys, *shlex.split(command))
            err = re.sub(r"(?s)\Ausage: .*?\n(?=namedmap)", "", err)
            assert (status, meanwhile) == (int(expected or 0), []), (typed, out + err)
            assert matches(re.sub("(?m)^> .*\n", "", block), out + err), (typed, out + err)
    assert [*map(signal.getsignal, SIGNALS)] == handlers and gone(f"new_{unique}")


def matches(pattern, text):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), text, re.S)


def piped(*arguments, program=("-m", "namedmap"), env=(), **options):
    """The command line as a process: (exit status, standard output, standard error), all in bytes."""
    process = subprocess.run([sys.executable, *program, *arguments], cwd=HERE, timeout=120,
                             env={**os.environ, "PYTHONUTF8": "1", **dict(env)},
                             **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
    return process.returncode, process.stdout, process.stderr


def test_usage_shows_how_the_program_was_started(tmp_path):
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.write(namedmap.__file__, "__main__.py")
    for program, shown in (["-m", "namedmap"], "python -m namedmap"), ([str(tmp_path / "app.zip")], "app.zip"):
        status, out, err = piped("read", "--help", program=program)
        assert (status, err) == (0, b"") and out.decode().startswith(f"usage: {shown} read [")
    assert piped("--version") == (0, f"namedmap {namedmap.__version__}{os.linesep}".encode(), b"")


def test_bytes_go_in_unless_they_are_too_many_and_come_out_as_they_are(name, cli):
    octets = bytes(range(256)) * 10000 + b"\r\n\n\x1a\0end"
    assert cli("write", name, "--input", "-").end()[0] == 1  # nothing is read where there is no memory
    process = cli("create", name, "--input", "-")
    process.popen.stdin.write(bytes((64 << 20) + 1))
    process.popen.stdin.flush()
    status, lines, err = process.end()  # which does not wait for the end of the input
    assert (status, lines) == (1, []) and "standard input has more than the 67108864 bytes" in err
    process = cli("create", name, "--input", "-")
    process.popen.stdin.write(octets)
    process.popen.stdin.close()
    assert process.line() == f"{name}: {len(octets)} bytes, held until Enter or Ctrl+C"
    assert piped("read", name, "--raw", "--size", str(len(octets))) == (0, octets, b"")
    assert piped("write", name, "--input", "-", "--offset", "10", input=octets[10:]) == (0, b"", b"")
    assert piped("write", name, "one\r\ntwo\nthree") == (0, b"", b"")  # while text has the line ends of the system
    assert piped("read", name) == (0, os.linesep.join(["one", "two", "three", ""]).encode(), b"")
    assert process.popen.poll() is None  # the end of its input does not end it


@pytest.mark.parametrize("encoding, unit", [("utf-16-le", 2), ("utf-8", 1), ("utf-7", 1)])
def test_huge_memory_and_long_text_are_looked_at_in_parts(encoding, unit, name, capsys, fault):
    end = str(2 ** 33 - 100)
    with NamedMap.create(name, 2 ** 33, reserve=True) as m, m.view(0, 2 ** 21) as view:
        view[0], mapped = 0, fault("map_view")
        for count in range(2 ** 20 // unit - 12, 2 ** 20 // unit):
            view.write((count * "x" + "h\u00e4\u20ac\U0001f600\r\nnext\0rest").encode(encoding))
            status, out, err = run(capsys, "read", name, "--encoding", encoding)
            assert (status, out.lstrip("x"), err) == (0, "h\u00e4\u20ac\U0001f600\nnext\n", "")
        assert run(capsys, "write", name, "the end", "--offset", end) == (0, "", "")
        assert run(capsys, "read", name, "--offset", end) == (0, "the end\n", "")
        assert len(mapped) > 12 and max(arguments[3] for arguments in mapped) <= 2 ** 20 + 2 ** 16
        assert "\npages:  only reserved" in run(capsys, "info", name)[1]


def test_readers_let_their_publisher_start_again(name, cli):
    def publish():
        with contextlib.suppress(FileExistsError):  # a reader is just looking at what had the name before
            made.append(NamedMap.create(name, PAGE * pages))
        return made

    made, watching = [], cli("read", name, "--hex", "--watch", "--timeout", "60")
    for pages in range(1, 4):
        eventually(publish, 60)
        with made.pop():
            assert f"{PAGE * pages:08x}" in iter(watching.line, None)
            without_timeout = cli("read", name, "--struct", "B", "--watch")
            assert without_timeout.line() == "0"
        status, lines, err = without_timeout.end()
        assert (status, lines) == (1, []) and "nothing has this name now" in err


def test_watch_of_much_that_stays_as_it_is_takes_little_time(name, capsys, monkeypatch):
    def pause(seconds):
        pauses.append((time.perf_counter(), seconds))
        if len(pauses) == 5:
            raise KeyboardInterrupt

    pauses = []
    monkeypatch.setattr(time, "sleep", pause)
    with NamedMap.create(name, 2 ** 26):
        assert run(capsys, "read", name, "--raw", "--watch")[0] == 0
    assert all(seconds > 5 * (now - before) for (before, _), (now, seconds) in zip(pauses, pauses[1:]))


@pytest.mark.parametrize("arguments", [
    "create NAME text --hold 600", "read NAME --timeout 600", "read THERE --watch 0", "read THERE --hex --watch",
    "read THERE --raw", "write THERE text", "info THERE", "list --all", "--help"])
def test_ctrl_c_at_any_moment_ends_a_command_and_leaves_nothing(arguments, name, memory, capsys, ctrl_c):
    arguments = [{"NAME": name + "NAME", "THERE": name}.get(each, each) for each in arguments.split(" ")]
    # On Windows not raise_signal(): during that call, the default handler is set, and ends the process at another one.
    chance, interrupt = random.Random(4), _thread.interrupt_main if ON_WINDOWS else send
    for _ in range(10 * ROUNDS):
        sender, err = threading.Timer(chance.random() * chance.choice([0.001, 0.01, 0.1]), interrupt), ""
        try:
            sender.start()
            status, _, err = run(capsys, *arguments)
            sender.cancel()
            assert status in (0, 1)
        except KeyboardInterrupt as error:  # before or after main()
            assert namedmap.__file__ not in [each.filename for each in traceback.extract_tb(error.__traceback__)]
        signal.signal(signal.SIGINT, lambda *_: None)  # join() must not be interrupted
        sender.join()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        err += capsys.readouterr().err
        assert "Traceback" not in err and "ignored" not in err
        assert gone(name + "NAME")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_the_program_handles_does_not_end_create(number, name, capsys):
    got = []
    before = signal.signal(number, lambda *_: got.append(number))
    sender = threading.Timer(0.2, send, [number])
    sender.start()
    assert run(capsys, "create", name, "--hold", "0.5")[0] == 0
    sender.join()
    assert got == [number]
    signal.signal(number, before)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_that_nothing_reads_or_that_are_full(unbuffered, name):
    def status_and_error(*arguments, **options):
        return piped(*arguments, env={"PYTHONUNBUFFERED": unbuffered}, **options)[::2]

    reading, writing = os.pipe()
    os.close(reading)
    with NamedMap.create(name, 4 << 20) as m, open(os.devnull if ON_WINDOWS else "/dev/full", "wb") as full:
        m.write_text("short")
        for arguments in (["read", name], ["read", name, "--raw"], ["read", name, "--hex", "--watch"],
                          ["create", name, "--exist-ok"], ["--help"]):
            assert status_and_error(*arguments, stdout=writing) == (1, b""), arguments  # quietly
        assert [status_and_error("read", stderr=stream)[0] for stream in (writing, full)] == [2, 2]
        for arguments in () if ON_WINDOWS else (["read", name], ["read", name, "--raw"], ["--help"]):
            status, error = status_and_error(*arguments, stdout=full)
            assert status == 1 and error.endswith(b"standard output: No space left on device\n")
    os.close(writing)


def test_an_output_that_takes_only_a_part_at_once(name):
    class Console(io.BytesIO):
        """As that of Windows, without a buffer as of `python -u`."""

        def write(self, octets):
            return super().write(octets[:16383])

    console, octets = Console(), bytes(range(1, 97)) * 640
    with NamedMap.create(name, len(octets)) as m:
        m[:] = octets
        with contextlib.redirect_stdout(io.TextIOWrapper(console, "ascii", newline="\n", write_through=True)):
            assert namedmap.main(["read", name, "--raw"]) == 0
            assert namedmap.main(["read", name, "--encoding", "ascii"]) == 0
            assert console.getvalue() == octets + octets.replace(b"\r", b"\n") + b"\n"


def test_every_line_stays_one_line_whatever_the_console_lacks(name, capsys):
    strange, shown, wide = name + "\n\x1b[31m\x85", name + "\\x0a\\x1b[31m\\x85", name + "\u00fc\u65e5"
    assert run(capsys, "read", strange)[2].startswith(f"namedmap: {shown}: nothing has this name now")
    assert run(capsys, "create", strange, "--hold", "0")[1].startswith(f"{shown}: 256 bytes")
    with NamedMap.create(strange, 1), NamedMap.create(wide, 1):
        assert run(capsys, "list", strange) == (0, f"        4096  {shown}\n", "")
        assert run(capsys, "info", strange)[1].startswith(f"name:   {shown}\n")
        for encoding in ("ascii", "cp1252"):
            status, out, err = piped("info", wide, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding})
            assert (status, err) == (0, b"") and "\u00fc\u65e5".encode(encoding, "backslashreplace") in out


def test_info_shows_what_has_it_open(memory, cli, capsys):
    other = cli("create", memory.name, "--exist-ok")
    assert other.line() is not None
    holders = "processes: {}, {}".format(*sorted([os.getpid(), other.popen.pid]))
    assert run(capsys, "info", memory.name)[1].endswith(f"open:   {'handles: 2' if ON_WINDOWS else holders}\n")


@windows
@pytest.mark.parametrize("sddl, facts, listed", [
    ("D:(A;;0x0005;;;WD)", ["size:   4096 bytes; …", "pages:  committed", "access: r", "open:   handles: 1"], "4096"),
    ("D:(A;;0x0006;;;WD)", ["size:   4096 bytes", "pages:  unknown: …", "access: rw", "open:   handles: 1"], "4096"),
    ("D:(A;;0x0001;;;WD)", ["access: none: access is denied by the security descriptor …"], "-")])
def test_info_and_list_show_what_a_descriptor_leaves(sddl, facts, listed, name, capsys, secured_mapping):
    secured_mapping(sddl)
    status, out, err = run(capsys, "info", name)
    assert status == 0 and matches("\n".join([f"name:   {name}", "kind:   file mapping object", *facts, ""]), out)
    assert run(capsys, "list", name) == (0, f"{listed:>12}  {name}\n", "")


def test_list_leaves_out_what_has_gone_meanwhile(memory, capsys, fault):
    fault("section_facts", raises=FileNotFoundError(errno.ENOENT, "it has gone meanwhile"))
    assert run(capsys, "list", memory.name) == (0, "", "")


def test_mutated_command_lines_give_no_traceback(name, capsys, monkeypatch, tmp_path):
    typed = [shlex.split(line) for line in re.findall(r"^\$ (?!.*raw)(\S.*?)(?:  #.*)?$", TRANSCRIPTS, re.M)]
    words = sorted({word for line in typed for word in line}.union(
        ["", " ", "\0", "\n", "\ud800", "x" * 300, "9" * 30, "\\", "Local/x", "0x", "-1", "1e9", "<1i", "[", "*", "%"]))
    chance, statuses = random.Random(4), []
    monkeypatch.chdir(tmp_path)
    sys.stderr.reconfigure(errors="backslashreplace")  # as the real one is
    monkeypatch.setattr(time, "sleep", raise_interrupt)  # as Ctrl+C ends what waits for something
    (tmp_path / "file").write_bytes(b"input")
    with NamedMap.create(re.sub(r"\W", "_", name), 4096) as m:
        for _ in range(500 * ROUNDS):
            arguments = [re.sub(r"\b(demo|ten|new)\b", m.name, word) for word in chance.choice(typed)]
            arguments[chance.randrange(len(arguments))] = chance.choice(words)
            status, out, err = run(capsys, *arguments)
            statuses.append(status)
            shape = {0: r"(namedmap: .+\n)?", 1: r"namedmap: .+\n", 2: r"(?s)usage: .*"}[status]
            assert re.fullmatch(shape, err) and "Traceback" not in err, (arguments, status, err)
    assert min(statuses.count(status) for status in (0, 1, 2)) >= 30


# ---------------------------------------------------------------- other programs, interpreters and systems

def test_file_without_the_linux_section_is_one_for_windows(name, tmp_path, start):
    with open(namedmap.__file__, encoding="utf-8") as file:
        windows_part, _, rest = file.read().partition("# " + 64 * "-" + " Linux\n")
    (tmp_path / "cut.py").write_text(windows_part + rest[rest.index("# " + 64 * "-"):], encoding="utf-8")
    code = "import sys, cut; print(cut.NamedMap.create(sys.argv[1], 9).write(b'text'), cut.Mutex.create().acquire())"
    status, lines, error = start(sys.executable, "-c", code, name, PYTHONPATH=str(tmp_path)).end()
    if ON_WINDOWS:
        assert (status, lines, error) == (0, ["4 True"], "")
    else:
        assert status == 1 and "NotImplementedError: namedmap needs Windows" in error


def test_import_loads_nothing_that_is_slow(start):
    code = "import sys; before = set(sys.modules); import namedmap; print(*set(sys.modules) - before)"
    modules = set(start(sys.executable, "-S", "-c", code).line().split())
    slow = set("argparse dataclasses enum hashlib mmap multiprocessing pickle subprocess tempfile typing".split())
    assert "namedmap" in modules and not modules & slow


def test_program_without_streams_uses_memory_and_the_command_line(name, monkeypatch):
    shell = [] if ON_WINDOWS else ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    flags = subprocess.DETACHED_PROCESS if ON_WINDOWS else 0  # without streams, as programs of pythonw.exe
    with NamedMap.create(name, 100) as m:
        for arguments, status in (("write NAME text", 0), ("list", 0), ("read NAME --hex", 0), ("create NAME", 1),
                                  ("create NAME --exist-ok --hold 0.1", 0), ("read", 2), ("--help", 0)):
            command = [name if word == "NAME" else word for word in ["-m", "namedmap", *arguments.split()]]
            done = subprocess.run([*shell, sys.executable, *command], cwd=HERE, creationflags=flags, timeout=60)
            assert done.returncode == status, arguments
        assert m.read_text() == "text"
        monkeypatch.setattr(sys, "stderr", None)
        assert namedmap.main(["create", name]) == 1


def test_frozen_program_shares_its_memory(name, tmp_path, start, cli):
    program = os.environ.get("NAMEDMAP_FROZEN")
    if not program:
        pytest.importorskip("PyInstaller", reason="needs PyInstaller, or NAMEDMAP_FROZEN to name what it has made")
        subprocess.run([sys.executable, "examples/frozen/freeze.py", str(tmp_path)], cwd=HERE, check=True, timeout=300)
        program = str(tmp_path / "publisher") + ".exe" * ON_WINDOWS
    process = start(program, name)
    assert process.line() == f"{name} holds the message; Enter ends this process."
    assert cli("read", name).end() == (0, ["Message from an executable."], "")
    process.enter()
    # Not end(): a desktop of Wine, which the first program with a window starts, keeps the standard error of that open.
    assert process.popen.wait(60) == 0 and gone(name)


@every_kind
@pytest.mark.parametrize("kept", ["kept", "os.kept"])  # what belongs to the program goes before what modules have
def test_interpreter_that_ends_inside_a_process_closes_all(kept, kind, name):
    interpreters = pytest.importorskip("_interpreters", reason="needs Python 3.13, before which ctypes is for one")
    code = (f"import os, sys; sys.path.insert(0, {HERE!r}); import namedmap\n"
            f"{kept} = namedmap.{kind}.create({name!r}, *{[100] * (kind is MEMORY)})\n"
            + "buf = kept.buf" * (kind is MEMORY and kept == "kept"))
    for _ in range(2):
        interpreter = interpreters.create()
        assert interpreters.exec(interpreter, code) is None and not gone(name)
        interpreters.destroy(interpreter)
        assert gone(name)


@pytest.mark.parametrize("loader", ["SourceFileLoader", "zipimporter"])
def test_copy_of_the_file_in_a_package_works_the_same_beside_the_file(loader, name, tmp_path, monkeypatch, start):
    """As projects have them; a mutex is held by two copies, one of which closes it."""
    package, path = tmp_path / "files" / f"for_{loader}", str(tmp_path / "files")
    package.mkdir(parents=True)
    shutil.copy(namedmap.__file__, package / "shared_memory.py")
    if loader == "zipimporter":
        path = shutil.make_archive(str(tmp_path / "program"), "zip", path)
    monkeypatch.syspath_prepend(path)
    copied = importlib.import_module(f"for_{loader}.shared_memory")
    assert type(copied.__loader__).__name__ == loader
    with NamedMap.create(name, 100) as m, pickle.loads(pickle.dumps(copied.NamedMap.open(name))) as same:
        with pytest.raises(FileExistsError, match="the name is taken"):
            copied.NamedMap.create(name, 100)
        m.write_text("text")
        assert type(same) is copied.NamedMap and same.read_text() == "text"
        program = start(sys.executable, "-OO", "-m", copied.__name__, "read", name, PYTHONPATH=path)
        assert program.end() == (0, ["text"], "")
    outer, another = copied.Mutex.create(name), copied.Mutex.create()
    with contextlib.closing(Mutex.open(name)) as inner:
        outer.acquire(), inner.acquire()
        outer.release(), outer.close()
        with another:
            assert not in_thread(inner.acquire, False)
            inner.release()
        assert is_free_for_others(inner)
    assert gone(name)


# What other libraries may do to the functions of the DLLs, for the whole process; and what uses them all the same.
SPOILT = r"""
import ctypes, re
table = re.findall(r'"(\w+)": \(\s*"(kernel32|ntdll|advapi32)"', open("namedmap.py", encoding="utf-8").read())
functions = [getattr(getattr(ctypes.windll, dll), function) for function, dll in table]
for each in functions:
    each.argtypes, each.restype, each.errcheck = [ctypes.c_double] * 9, ctypes.c_byte, print
""" + ENDING + """
use(*everything(name))
with NamedMap.create(name, 10, reserve=True, sddl="D:(A;;GA;;;WD)") as m, NamedMap.open(name) as other:
    assert other[:2] == bytes(2) and namedmap._layer.kind_of_name(name) == "Section"
    m.flush()
assert functions and all((each.restype, each.errcheck) == (ctypes.c_byte, print) for each in functions)
"""


@windows
def test_prototypes_of_other_code_neither_matter_nor_change(name, path, python):
    assert python(SPOILT, name, str(path)).end() == (0, [], "")


ELSEWHERE = """
import argparse, ctypes.wintypes, os, sys, threading, weakref
sys.platform = "freebsd14"
from namedmap import Event, Mutex, NamedMap, main
_, name, path = sys.argv
for call in (lambda: NamedMap.create(None, 100, file=path), lambda: NamedMap.open(name, timeout=None), Event.create,
             lambda: Mutex.from_handle(4)):
    try: print(call())
    except NotImplementedError as error: print(error)
print(main(["create", name]), main(["info", name]), main(["list"]), os.path.exists(path))
main(["--help"])
"""


def test_use_on_another_system_is_not_implemented_but_help_works(name, python, tmp_path):
    status, lines, error = python(ELSEWHERE, name, str(tmp_path / "missing")).end()
    needs = "namedmap needs Windows or Linux, and this system is freebsd14"
    assert (status, lines[:5]) == (0, 4 * [needs] + ["1 1 1 False"]), error
    assert lines[5].startswith("usage: -c ")
    assert error.splitlines() == 2 * [f"namedmap: {name}: {needs}"] + [f"namedmap: {needs}"]


# ---------------------------------------------------------------- the README

def readme_section(title):
    with open(os.path.join(HERE, "README.rst"), encoding="utf-8") as file:
        parts = re.split(r"^(.+)\n[=-]{3,}\n", file.read(), flags=re.M)  # text, title, text, title, text...
    return parts[parts.index(title) + 1]


def readme_blocks(title):
    """What is indented by four spaces in a section, without them."""
    return [re.sub("(?m)^    ", "", block).strip("\n")
            for block in re.findall("(?:^(?:    .*)?\n)+", readme_section(title), re.M) if block.strip()]


def readme_rows(title):
    """The cells of the second column of the table in a section by those of the first, without its head."""
    head, body = re.search(r"(?ms)^(=+  =.*?\n)(?:.*?)\n\1(.*?)\n\1", readme_section(title)).groups()
    rows, second, key = {}, head.index("  "), ""
    for line in body.splitlines():
        key = line[:second].strip() or key
        rows[key] = f"{rows.get(key, '')} {line[second:].strip()}".strip()
    return rows


@contextlib.contextmanager
def waiting(process, text):
    """A process that has printed a line with this text, and that Enter ends."""
    assert text in process.line()
    yield
    process.enter()
    assert process.end() == (0, [], "")


def test_commands_and_python_that_the_readme_begins_with(name, start, python):
    demo = name.split("\\")[1].replace(" ", "_")  # other tests may use the name demo at the same time
    blocks = [re.sub(r"\bdemo\b", demo, each) for each in readme_blocks("namedmap") + readme_blocks("The command line")]
    shown = "\n".join(each for each in blocks if each.startswith("$ ")).split("$ python ")[1:]
    (create, created), (read, *message), (_, error), (list_, *listed), (info, *facts), (dump, *octets) = (
        each.splitlines() for each in shown)
    writer, reader = (each for each in blocks if "import" in each)

    def begin(command):
        return start(sys.executable, *shlex.split(command))

    with waiting(begin(create), created):
        assert begin(read).end() == python(reader).end() == (0, message, "")
        assert listed and set(listed) <= set(begin(list_).end()[1])  # there may be other memory
        assert begin(info).end()[1][:-1] == facts[:-1]  # without what has it open
        assert begin(dump).end() == (0, octets, "")
    assert begin(read).end()[2].startswith(error.rstrip("."))
    process = python(writer)
    assert begin(f"{read} --timeout 60").end() == (0, message, "")
    process.enter()
    assert process.end() == (0, ["Enter ends it "], "")


def test_python_of_the_readme_that_coordinates(name, python):
    demo = name.split("\\")[1]
    turns, lives, waits, until_set = (code.replace("demo", demo) for code in readme_blocks("Coordination"))
    for is_told in False, True:
        writer = python(f"{turns}\n{lives}")
        with contextlib.closing(Mutex.open(demo + " alive", timeout=60)) as alive:
            eventually(lambda: not is_free_for_others(alive), 60)
        reader = python(waits)
        assert reader.line() == "1"
        if is_told:
            Event.open(demo + " quit").set()
            reader.popen.wait(60)
        writer.enter()
        assert writer.end() == (0, ["Enter ends it "], "") and reader.end() == (0, [], "")
    code = f"{until_set}\nimport namedmap\nasyncio.run(until_set(namedmap.Event.create(initial_state=True)))"
    assert python(code).end() == (0, [], "")


def test_structure_in_the_readme_has_the_layout_of_c(name, python):
    declaration, code = readme_blocks("Reading a C++ program's structure")
    with NamedMap.create(name, 100) as m:
        m.write(struct.pack("<Bxxxd64s", 7, 1.5, "N\u00fcrburgring".encode("utf-16-le")))
        code += "\n    print(telemetry.version, telemetry.time, track, ctypes.sizeof(Telemetry))\n"
        assert python(code.replace("Local\\demo", name)).end() == (0, ["7 1.5 N\u00fcrburgring 76"], "")
    if not ON_WINDOWS and shutil.which("gcc"):
        program = (declaration.partition("\n\n")[0] +
                   '\n_Static_assert(sizeof(Telemetry) == 76 && __builtin_offsetof(Telemetry, track) == 12, "layout");')
        command = ["gcc", "-fshort-wchar", "-fsyntax-only", "-include", "wchar.h", "-DBYTE=unsigned char", "-xc", "-"]
        subprocess.run(command, input=program.encode(), check=True)


def test_types_in_the_readme_have_the_sizes_of_c():
    sizes = {"BYTE": 1, "WORD": 2, "DWORD": 4, "UINT64": 8, "short": 2, "int": 4, "long long": 8, "enum": 4, "BOOL": 4,
             "long": 4, "unsigned long": 4, "float": 4, "double": 8, "bool": 1, "char text[32]": 32,
             "wchar_t text[32]": 64}
    for left, right in readme_rows("C and C++ types").items():
        for in_c, in_python in zip(re.findall("``(.*?)``", left), re.findall(r"``(c_\w+(?: \* \d+)?)", right)):
            assert ctypes.sizeof(eval(in_python, vars(ctypes).copy())) == sizes.pop(in_c), in_c
    assert not sizes


def test_readme_names_all_that_is_public_and_the_version():
    code = " ".join(" ".join(row) for row in readme_rows("The API").items())
    for public in namedmap.__all__:
        for attribute in (public, *dir(getattr(namedmap, public))):
            assert attribute.startswith("_") or re.search(rf"\b{attribute}\b", code), attribute
    assert readme_blocks("Get it")[-1].endswith(f"\nnamedmap {namedmap.__version__}")
    assert readme_section("Changes").lstrip().startswith(f"**{namedmap.__version__}**")


def test_errors_that_the_readme_quotes_are_raised(name):
    classes = dict(reversed(row.strip("`").split(": ``")) for row in readme_rows("Errors and what to do"))
    with NamedMap.create(name, 4096):
        for quote, call in (("nothing has this name now", lambda: NamedMap.open(name + "!")),
                            ("the name is taken", lambda: NamedMap.create(name, 1)),
                            ("and 8192 were asked for", lambda: NamedMap.open(name, 8192))):
            with pytest.raises(eval(classes.pop(quote)), match=quote):
                call()
    with open(namedmap.__file__, encoding="utf-8") as file:
        source = re.sub(r'"\n\s*"', "", file.read()).replace("\\\\", "\\")
    assert len(classes) == 3 and all(quote in source for quote in classes)  # no test can provoke these everywhere


# ---------------------------------------------------------------- examples and C

NORDSCHLEIFE = "N\u00fcrburgring: gear 4, 187.25 km/h at 12.5 s (packet 1)"


@pytest.fixture(scope="session")
def peer(tmp_path_factory):
    program, compiler = os.environ.get("NAMEDMAP_PEER"), shutil.which("gcc")
    if not program:
        if not ON_WINDOWS or not compiler:
            pytest.skip("needs Windows and gcc, or NAMEDMAP_PEER to name what that makes of examples/peer.c")
        program = str(tmp_path_factory.mktemp("peer") / "peer.exe")
        subprocess.run([compiler, "-municode", "-o", program, "examples/peer.c"], cwd=HERE, check=True)
    return program


@pytest.fixture
def example(name, start, request):
    """Starts one of the examples; in its arguments, NAME stands for the name."""
    def example(command, *more, python=sys.executable, **environment):
        program, *arguments = [name if word == "NAME" else word for word in command.split(" ")]
        started = [request.getfixturevalue("peer")] if program == "peer" else [python, f"examples/{program}"]
        return start(*started, *arguments, *more, **environment)
    return example


@pytest.mark.parametrize("holder, held, reader, printed", [
    ("first_process.py NAME", "message", "second_process.py NAME", "Message from first process."),
    ("first_process.py NAME", "message", "peer read NAME", "Message from first process."),
    ("peer write NAME N\u00fcrburgring-\u65e5", "ready", "second_process.py NAME", "N\u00fcrburgring-\u65e5"),
    ("struct_publisher.py NAME", "telemetry", "struct_reader.py NAME", NORDSCHLEIFE),
    ("struct_publisher.py NAME", "telemetry", "peer show NAME", "1 1 187.25 12.50 4 N\u00fcrburgring"),
    ("peer publish NAME", "ready", "struct_reader.py NAME", "Suzuka: gear -1, 99.5 km/h at 0.25 s (packet 7)")])
def test_program_reads_what_another_one_holds(holder, held, reader, printed, example):
    with waiting(example(holder), held):
        assert example(reader).end() == (0, [printed], "")


@windows
def test_programs_of_the_other_word_size_share_memory_and_handles(start, example, give_memory):
    other = os.environ.get("NAMEDMAP_OTHER_PYTHON") or pytest.skip("NAMEDMAP_OTHER_PYTHON names no other Python")
    assert start(other, "-c", "import struct; print(struct.calcsize('P'))").line() == str(12 - struct.calcsize("P"))
    for publisher, reader in (other, sys.executable), (sys.executable, other):
        with waiting(example("struct_publisher.py NAME", python=publisher), "telemetry"):
            assert example("struct_reader.py NAME", python=reader).end() == (0, [NORDSCHLEIFE], "")
    with NamedMap.create(None, 5000) as m:
        m[0] = 7
        with waiting(give_memory(other, m), "8192 rw None False 7"):
            pass
        assert m[0] == 8


def test_file_backed_counts_its_starts_in_the_file(name, example, tmp_path):
    for number in 1, 2:
        process = example("file_backed.py", str(tmp_path / "runs.dat"), name)
        with waiting(process, f"start number {number}"), NamedMap.open(name, access="r") as m:
            assert m[:] == bytes([number]) + bytes(7)


@windows
def test_inherit_handle_gets_the_answer_of_its_child(example):
    assert example("inherit_handle.py").end() == (0, ["the child answers: 42"], "")


def test_numpy_frames_are_all_consumed(name, example):
    pytest.importorskip("numpy")
    consumer, producer = example("numpy_frames.py consume NAME"), example("numpy_frames.py produce NAME")
    assert consumer.end() == (0, [f"frame {number}: brightness {10 * number}" for number in range(10)], "")
    assert producer.end() == (0, [f"{name} is ready"], "")


def test_message_queue_passes_whole_messages_in_order(name, example):
    receiver = example("message_queue.py receive", QUEUE=name)
    assert receiver.line() == f"{name} is open"
    sent = [[letter * length for length in range(1, 300, 5)] for letter in "abc"]  # more than the ring holds
    for sender in [example("message_queue.py send", *messages, QUEUE=name) for messages in sent]:
        assert sender.end() == (0, [], "")
    assert example("message_queue.py send quit", QUEUE=name).end() == (0, [], "")
    status, lines, error = receiver.end()
    assert (status, error) == (0, "") and sorted(lines, key=lambda line: line[0]) == sum(sent, [])


def test_watchdog_tells_an_end_from_a_death(name, example):
    for end, printed in (Process.enter, "it has finished"), (lambda worker: worker.popen.kill(), "it has died"):
        worker = example("watchdog.py work NAME")
        assert worker.line() == f"{name} is held; Enter ends this process."
        watchdog = example("watchdog.py watch NAME")
        assert watchdog.line() == "watching"
        end(worker)
        assert watchdog.end() == (0, [printed], "")


def test_asyncio_reader_prints_what_another_process_announces(name, example):
    reader = example("asyncio_reader.py NAME")
    assert reader.line() == f"{name} is ready"
    with NamedMap.open(name) as m, Event.open(name + ".changed") as changed:
        m.write_text("hello")
        changed.set()
        assert next(line for line in iter(reader.line, None) if line != ".") == "hello"


@windows
def test_user_reads_what_a_service_publishes_until_it_ends(example):
    with waiting(example("service_and_user.py serve NAME"), "state"):
        user = example("service_and_user.py use NAME")
        assert user.line() == "waiting for the service"
        assert {user.line(), user.line(), user.line()} == {"starting", "running", "stopping"}
    assert user.end()[1][-1] == "the service has ended"


def test_locked_counter_loses_nothing_with_the_mutex_only(example):
    status, lines, err = example("locked_counter.py NAME").end(120)
    assert (status, err, lines[0]) == (0, "", "with the mutex:     4 processes x 5000 increments = 20000, lost 0")
    total, lost = map(int, re.fullmatch(r"without the mutex: .* increments = (\d+), lost (\d+)", lines[1]).groups())
    assert total + lost == 20000 and lost > 0


def test_latest_value_is_never_torn(example):
    reader = example("latest_value.py read NAME")  # it waits for the writer
    with waiting(example("latest_value.py write NAME"), "latest position"):
        status, lines, err = reader.end()
    assert (status, len(lines), err) == (0, 10, "")
    found = [tuple(map(int, re.findall(r"\d+", line))) for line in lines]  # x, y, z, and how often it looked again
    assert all((y, z) == (2 * x, 3 * x) for x, y, z, _ in found) and found[-1][0] > found[0][0]


@windows
def test_debug_monitor_prints_what_others_output(example):
    monitor = example("debug_monitor.py")
    assert monitor.line() == "Ctrl+C ends this monitor."
    for text in "message 1 \u00fc", "message 2":
        kernel32.OutputDebugStringW(text + "\r\n")
        assert f"[{os.getpid()}] {text}" in iter(monitor.line, None)  # others may write, too
    status, lines, error = example("debug_monitor.py").end()
    assert (status, lines) == (1, []) and error.startswith("Another monitor is running: ")


def test_examples_say_what_they_lack(example, python):
    code = "import sys; sys.modules['numpy'] = None; import examples.numpy_frames"
    assert python(code).end() == (1, [], "This example needs numpy: python -m pip install numpy\n")
    lacks = {"second_process.py": "Could not open the memory: ", "file_backed.py": "runs.dat"}
    if not ON_WINDOWS:
        for command in "debug_monitor.py", "service_and_user.py serve", "inherit_handle.py":
            lacks[command] = "needs Windows: "
    for command, text in lacks.items():
        status, out, err = example(command).end()
        assert (status, out) == (1, []) and text in err, command


def test_benchmark_prints_a_row_for_each_comparison(example):
    status, lines, error = example("benchmark.py 1").end(timeout=300)
    assert (status, error) == (0, "")
    assert lines[0].startswith(f"namedmap {namedmap.__version__}, Python ") and lines[0].endswith("medians of 1 rounds")
    rows = [re.fullmatch(r"(.{44}) *\d+\.\d (?:ns|us|ms|s ) {2,}\d+\.\d\d.*", line) for line in lines[2:]]
    assert all(rows), lines
    whats = {row.group(1).strip() for row in rows}
    assert len(whats) == len(rows) == 29 and {row.strip("`") for row in readme_rows("Speed")} < whats
