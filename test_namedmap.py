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
import fractions
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
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
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

    @contextlib.contextmanager
    def busy(self, name=None):
        """One that no thread can get: a mutex that another thread holds, an unset event, a semaphore of 0."""
        with ThreadPoolExecutor(1) as holder, contextlib.closing(self.ready(name)) as thing:
            assert holder.submit(self.take, thing).result(60)
            try:
                yield thing
            finally:
                if self.cls is Mutex:
                    holder.submit(thing.release).result(60)

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
    """Whether no object has the name."""
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

    yield fault
    monkeypatch.undo()


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
    captured = capsys.readouterr()
    return status, captured.out, captured.err


# ---------------------------------------------------------------- arguments

class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int32), ("y", ctypes.c_double)]


class Index:
    """What has __index__ alone, as some integers of numpy."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


UNUSED = f"unused {os.getpid()}"
BYTES, KERNEL, LOCKS = [NamedMap, View], [NamedMap, Mutex, Event, Semaphore], [Mutex, Semaphore]
NO_INT, HUGE = [-1.0, 1.5, "1"], 2 ** 70
TOP = 2 ** (47 if sys.maxsize > 2 ** 32 else 32)  # of the addresses that programs may use
BAD_NAMES = [  # a part of the text of the error, and names
    ("empty or only a prefix", ["", "Local\\", "Global\\", "Local", "Global", "Session"]),
    ("a backslash may only follow", ["a\\b", "\\x", "x\\", "local\\x", "GLOBAL\\x", "Local\\a\\b", "Local\\\\x",
                                     "Session\\x\\a", "Session\\\\a", "Session\\1\\a\\b", "Session\\\u0663\\a"]),
    ("must not contain NUL", ["a\0b", "Local\\a\0"]),
    ('write r"Global\\test"', ["Global\test"]), ('write r"Local\\name"', ["Local\name"]),
    ('write r"Global\\x"', ["Global/x"]), ('write r"Local\\x1fx"', ["Local\x1fx"]),
    ('write r"Local\\x7f"', ["Local\x7f"])]


def make(thing, name, **arguments):
    """A new object of the class of another one."""
    return thing.create(name, *[100] * isinstance(thing, NamedMap), **arguments)


BAD_CALLS = [  # classes; a use of an object, and bad values for it; the exception, and a part of its text
    *[(KERNEL, use, names, ValueError, text) for text, names in BAD_NAMES
      for use in (make, lambda x, bad: x.open(bad))],
    (KERNEL, make, ["Session\\1\\x"], ValueError, "a backslash may only follow"),
    (KERNEL, make, ["x" * 260, "Global\\" + "x" * 253, "\U0001f600" * 130], ValueError, "at most 259 UTF-16 units"),
    (KERNEL, lambda x, bad: x.open(bad), ["x" * 32767], ValueError, "at most 32766 UTF-16 units"),
    (KERNEL, lambda x, bad: x.open(bad), ["Session\\1\\"], ValueError, "empty or only a prefix"),
    (KERNEL, make, [b"x", 5], TypeError, "a name must be a str, not "),
    (KERNEL, lambda x, bad: x.open(bad), [b"x", 5, None], TypeError, "a name must be a str, not "),
    (KERNEL, lambda x, bad: make(x, UNUSED, sddl=bad), ["", "D:\0"], ValueError, "must not be empty or contain NUL"),
    (KERNEL, lambda x, bad: make(x, UNUSED, sddl=bad), [5, b"D:"], TypeError, "must be a str in SDDL, not "),
    *[([cls], lambda x, bad: type(x)(*bad), [(), (UNUSED,)], TypeError, f"{maker}.create() makes one, and {maker}.o")
      for cls, maker in [(View, "NamedMap"), *((each, each.__name__) for each in KERNEL)]],
    *[(classes, use, values, error, "a timeout must be ") for classes, use in (
        (KERNEL, lambda x, bad: x.open(UNUSED, timeout=bad)), (LOCKS, lambda x, bad: x.acquire(timeout=bad)),
        ([Event], lambda x, bad: x.wait(bad)), ([Event], lambda x, bad: wait_any([x], bad)))
      for values, error in (([-0.001, math.nan, math.inf, 1e300], ValueError), (["1", b""], TypeError))],
    (LOCKS, lambda x, bad: x.acquire(False, bad), [0, 1], ValueError, "takes no timeout"),
    ([Event], lambda x, bad: wait_any([x] * bad), [0, 65], ValueError, "1 to 64 objects, not for "),
    ([Event], lambda x, bad: wait_any([x, bad]), ["e", 5, Event], TypeError, "not for "),
    ([Event], lambda x, bad: wait_any(bad), [5], TypeError, "not iterable"),
    ([Semaphore], lambda x, bad: x.release(bad), [0, -1, 2 ** 31], ValueError, "n must be 1 to "),
    ([Semaphore], lambda x, bad: x.release(bad), NO_INT, TypeError, "n must be an int"),
    ([Semaphore], lambda x, bad: x.create(None, *bad), [(-1,), (3, 2)], ValueError, "a value must be 0 to "),
    ([Semaphore], lambda x, bad: x.create(None, 0, bad), [0, 2 ** 31], ValueError, "a maximum must be 1 to "),
    ([Semaphore], lambda x, bad: x.create(None, bad), NO_INT, TypeError, "a value must be an int"),
    *[([NamedMap], lambda x, bad, use=use: getattr(x, use)(UNUSED, bad), values, error, text)
      for use in ("create", "open") for values, error, text in (
          ([0, -1, 2 ** 63, HUGE], ValueError, "a size must be 1 to 2"), (NO_INT, TypeError, "a size must be an int"))],
    *[([NamedMap], lambda x, bad, use=use: getattr(x, use)(UNUSED, 10, access=bad), values, error, "access must be ")
      for use in ("create", "open") for values, error in (
          (["", "w", "wr", "R"], ValueError), ([None, 1, ["r"], b"r"], TypeError))],
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
    *[([NamedMap], use, NO_INT, TypeError, "") for use in (
        lambda x, bad: x.view(bad), lambda x, bad: x.view(0, bad), lambda x, bad: x.view(address=bad))],
    *[(BYTES, use, [None, *NO_INT], TypeError, "") for use in (
        lambda x, bad: x.read(1, bad), lambda x, bad: x.read_text(1, bad), lambda x, bad: x.write(b"y", bad),
        lambda x, bad: x.write(b"", bad), lambda x, bad: x.write_text("a", bad), lambda x, bad: x.flush(bad),
        lambda x, bad: x.overlay(ctypes.c_char, bad), lambda x, bad: x.snapshot(ctypes.c_char, bad))],
    *[(BYTES, use, NO_INT, TypeError, "") for use in (
        lambda x, bad: x.read(bad), lambda x, bad: x.read_text(bad), lambda x, bad: x.write_text("a", 0, bad),
        lambda x, bad: x.flush(0, bad))],
    (BYTES, lambda x, bad: x[bad], [100, -101, HUGE], IndexError, ""),
    (BYTES, lambda x, bad: x[bad], [None, *NO_INT, slice(1.5, None), (), (0, 1)], TypeError, ""),
    (BYTES, lambda x, bad: x.__setitem__(bad, 0), [100, -101, HUGE], IndexError, ""),
    (BYTES, lambda x, bad: x.__setitem__(bad, b"x"), ["a", None, 0, slice(1.5, None), (), (0, 1)], TypeError, ""),
    (BYTES, lambda x, bad: x.__setitem__(0, bad), [256, -1, HUGE], ValueError, ""),
    (BYTES, lambda x, bad: x.__setitem__(slice(0, 4), bad), ["abcd", 5, [1, 2, 3, 4]], TypeError, "bytes-like"),
    (BYTES, lambda x, bad: x.__setitem__(slice(0, 4), bad), [b"12345", b"", array.array("I", [1, 2])], ValueError,
     "do not fit a slice of 4"),
    (BYTES, lambda x, bad: x.__setitem__(bad, b"xyz"), [slice(98, 200), slice(5, 2), slice(0, 10, 3)], ValueError,
     "3 bytes do not fit a slice of "),
    (BYTES, lambda x, bad: x.__delitem__(bad), [0, slice(None)], TypeError, "has a fixed size"),
    (BYTES, lambda x, bad: x.read(1, bad), [-1, -HUGE], ValueError, "an offset must not be negative: -"),
    (BYTES, lambda x, bad: x.read_text(1, bad), [-1, -HUGE], ValueError, "an offset must not be negative: -"),
    (BYTES, lambda x, bad: x.write(b"y", bad), [100, -1, -10, HUGE], ValueError, "not inside the memory"),
    (BYTES, lambda x, bad: x.write(b"", bad), [101, -1], ValueError, "not inside the memory"),
    (BYTES, lambda x, bad: x.write(array.array("I", [1]), bad), [97, -4], ValueError, "not inside the memory"),
    (BYTES, lambda x, bad: x.write(bad), [b"y" * 101], ValueError, "101 bytes at offset 0 are not inside the memory"),
    (BYTES, lambda x, bad: x.write(bad), [5, None, [1], (ctypes.py_object * 1)(1)], TypeError, ""),
    (BYTES, lambda x, bad: x.write(bad), ["text", ""], TypeError, "encode the text first"),
    (BYTES, lambda x, bad: x.write_text("x", *bad), [(97,), (98, 2), (HUGE,), (-4,), (0, 3), (0, 101), (97, 4)],
     ValueError, ""),
    (BYTES, lambda x, bad: x.write_text("", *bad), [(99,), (100,), (101,), (0, 1)], ValueError, ""),
    (BYTES, lambda x, bad: x.write_text(bad), ["a\0", "\0", "a\0b"], ValueError, "has a NUL"),
    (BYTES, lambda x, bad: x.write_text(bad), ["a\ud800"], UnicodeEncodeError, ""),
    (BYTES, lambda x, bad: x.write_text(bad), [b"ab", None], TypeError, "write() takes bytes"),
    (BYTES, lambda x, bad: x.write_text("a", encoding=bad), ["no-such"], LookupError, ""),
    (BYTES, lambda x, bad: x.read_text(encoding=bad), ["no-such", "hex"], LookupError, ""),
    (BYTES, lambda x, bad: x.read_text(encoding=bad), [8], TypeError, ""),
    (BYTES, lambda x, bad: x.flush(*bad), [(-1,), (101,), (0, 101), (50, 51), (0, -1), (-1, 1), (HUGE,)], ValueError,
     "not inside the memory"),
    *[(BYTES, lambda x, bad, use=use: getattr(x, use)(*bad), values, error, text) for use in ("overlay", "snapshot")
      for values, error, text in (
          ([(Point, 101 - ctypes.sizeof(Point)), (Point, -1), (ctypes.c_char * 101,)], ValueError, "not inside"),
          ([(ctypes.c_char, HUGE)], ValueError, "not inside the memory"),
          ([(5,), (None,), (Point(),)], TypeError, "a ctypes type is required, not "),
          ([(int,), (object,)], TypeError, ""),
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


def test_create_with_any_object_as_a_flag_takes_its_truth(name):
    for flag in ctypes.c_int(0), ctypes.c_int(1):
        with NamedMap.create(name, 100, exist_ok=flag, reserve=flag) as m:
            assert m.created and m[:] == bytes(100)
        with Event.create(name, manual_reset=flag, initial_state=flag, exist_ok=flag) as event:
            assert event.is_set() == event.wait(0) == bool(flag)


def test_call_with_what_has_index_alone_takes_it_for_an_int(name):
    with NamedMap.create(name, Index(100)) as memory, NamedMap.open(name, Index(100)) as m:
        memory[10:14] = b"1234"
        assert (m.size, m[Index(10)], m.read(Index(2), Index(10)), m.write(b"ab", Index(10))) == (100, 49, b"12", 2)
        assert m.overlay(ctypes.c_char, Index(10)).value == m.snapshot(ctypes.c_char, Index(10)).value == b"a"
        assert m.view(Index(10), Index(2))[:] == b"ab" and m.write_text("a", Index(10), Index(4)) == 4
        m.flush(Index(10), Index(2))


STRANGE = [
    None, True, -1, 0, 101, 2 ** 63, 10 ** 30, -10 ** 30, 0.001, math.nan, math.inf, 1j, "", "x", "Local", "r",
    "\ud800", b"", b"x" * 101, memoryview(b"xyzt")[::2], array.array("d", [1.5]), object(), object, [1], {}, (), print,
    Index(2 ** 64), fractions.Fraction(1, 2), ctypes.c_int, ctypes.c_int(1), ctypes.c_char * 0, ctypes.c_char * 2 ** 20,
    ctypes.c_void_p, ctypes.Structure, ctypes.CFUNCTYPE(None), ctypes.POINTER(ctypes.c_int), slice("a"),
    slice(None, None, 0), slice(None, None, -7), slice(10 ** 30, None, -9)]
USUAL = {"ctype": ctypes.c_uint8, "data": b"x", "flags": 0, "handle": 0, "key": 0, "pid": 0, "size": 100, "text": "x",
         "timeout": 0.001, "value": 1}  # what is not here has a default


@pytest.mark.parametrize("new", [lambda: NamedMap.create(None, 100).view(), *(kind.create for kind in KINDS)])
def test_call_with_strange_arguments_does_no_harm(new, name, tmp_path, monkeypatch):
    def work():
        thing = new()
        for entry in sorted(set(dir(type(thing))) - set(dir(object))):
            if callable(getattr(type(thing), entry)) and (entry[0] != "_" or entry.endswith("__")):
                parameters = inspect.signature(getattr(thing, entry)).parameters
                usual = {each: {"name": name, **USUAL}.get(each, parameters[each].default) for each in parameters
                         if each != "exc_info"}
                for parameter, value in itertools.product(usual, STRANGE):
                    if isinstance(value, (int, float, type(None))) and parameter in ("handle", "pid", "timeout"):
                        continue  # it may be what something else has, or wait for long
                    with contextlib.suppress(TypeError, ValueError, LookupError, OSError, RuntimeError):
                        getattr(thing, entry)(**{**usual, parameter: value})
                with contextlib.suppress(RuntimeError):
                    while isinstance(thing, Mutex):
                        thing.release()
                thing = new() if thing.closed else thing
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
        for other in KINDS:
            uses = [other.create, other.open, lambda name: other.create(name, exist_ok=True)]
            for use in uses * (other is not kind):
                with pytest.raises(OSError, match=f"this is the name of {kind.what}, and") as caught:
                    use(name)
                assert told(caught) == (6, name)

    with contextlib.closing(kind.create(name)):
        assert_no_growth(refuse, 5)


@every_kind
def test_open_of_a_name_in_another_session(kind, name):
    with contextlib.closing(kind.create(name)):
        there = name.replace("Local", f"Session\\{session()}")
        if ON_WINDOWS and session():
            kind.open(there).close()
        for missing in there + " x", name.replace("Local", "Session\\4000000000"):
            with pytest.raises(FileNotFoundError, match="nothing has this name now") as caught:
                kind.open(missing)
            assert caught.value.filename == missing


@every_kind
def test_open_of_a_name_that_the_other_namespace_has_says_so(kind, name):
    bare = name[len("Local\\"):]
    other = "Global\\" + bare
    for there, missing in ((name, [other]), (other, [name, bare])) if session() else ():
        with contextlib.closing(kind.create(there)):
            for each in missing:
                with pytest.raises(FileNotFoundError, match=re.escape(f"{there} exists")) as caught:
                    kind.open(each)
                assert told(caught) == (2, each)
    with pytest.raises(FileNotFoundError) as caught:
        kind.open(name)
    assert "exists" not in caught.value.strerror and ("shm_open" in caught.value.strerror) != ON_WINDOWS


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
        assert gone(name) and read(taken) == 42
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
    first, *others = [thing.handle for thing in things]
    for _ in range(2):
        things[0].close()
        assert closed == [(first,)] and things[0].closed
    assert not gone(name)  # on Windows, this look closes a handle
    closed.clear()
    del things
    assert sorted(closed) == sorted((other,) for other in others) and gone(name)


def test_finalizers_in_a_cycle_can_still_read(name):
    class Holder:
        def __init__(self, other=None):
            self.map, self.other = NamedMap.open(name), other or self
            self.view, self.buf = self.map.view(), self.map.buf
            self.overlay = self.view.overlay(ctypes.c_uint8)

        def __del__(self):
            seen.append((self.map[0], self.view[0], self.buf[0], self.other.buf[0], self.other.overlay.value))
            self.map.close()

    seen, regions = [], mapped_regions()
    with NamedMap.create(name, 10) as m:
        m[0] = 42
        first = Holder()
        first.other = Holder(first)
    del first
    gc.collect()
    assert gone(name) and mapped_regions() == regions and seen == 2 * [(42,) * 5]


@pytest.mark.parametrize("kind, method, call", [
    (MEMORY, "flush_view", lambda m: m.flush()), (MEMORY, "map_view", lambda m: m.view().read(1)),
    (EVENT, "query_event", Event.is_set), (SEMAPHORE, "release_semaphore", lambda s: s.release())])
def test_close_during_a_call_lets_it_finish(kind, method, call, name, fault):
    def close():
        in_thread(thing.close)
        assert thing.closed and not given_back

    thing = kind.create(name)
    given_back = fault("unmap_view" if method == "flush_view" else "close_handle")
    fault(method, before=close)
    call(thing)
    assert len(given_back) == 1 and gone(name)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_close_while_the_memory_is_just_mapped_raises_value_error(moment, name, fault):
    m, regions = NamedMap.create(name, 10), mapped_regions()
    calls = fault("map_view", **{moment: lambda: in_thread(m.close)})
    for _ in range(2):
        with pytest.raises(ValueError, match="is closed"):
            m.read(1)
    assert len(calls) == 1 and mapped_regions() == regions and gone(name)


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
ENDINGS = {
    "globals, cycles, and a held mutex": """
class Holder:
    def __init__(self):
        self.things, self.me = everything(name), self
        use(*self.things)
    def __del__(self):
        self.things[0].read(), self.things[2][0], self.things[0].close()
holder, sys.kept = Holder(), everything(name + "0")
sys.kept[4].acquire()
borrowed = holder.things[0].buf, holder.things[2].overlay(ctypes.c_char)
# Nothing is unmapped, since daemon threads may still read.  As a lambda it would keep these globals alive.
exec("def unmap_view(*_): write(1, b'unmapped')", {"write": os.write}, vars(namedmap._layer))
""",
    "threads, and atexit": """
def repeat():
    while True:
        for each in everything(name + "0"), shared:
            use(*each)
        started.release()
shared, things, kept, started = *(everything(name) for _ in range(3)), threading.Semaphore(0)
for _ in range(3):
    threading.Thread(target=repeat, daemon=True).start()
    started.acquire()
atexit.register(lambda: [use(*kept), kept.clear(), use(*everything(name)), kept.extend(everything(name))])
end = threading.main_thread().join
threading.Thread(target=lambda: [end(), use(*things), use(*everything(name)), things.clear()]).start()
"""}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_interpreter_that_ends_with_everything_open_is_quiet(ending, name, path, python):
    for _ in range(3 * ROUNDS):
        assert python(ENDING + ending, name, str(path)).end() == (0, [], "")
        assert all(gone(name + zero + kind) for zero in ("", "0") for kind in ("", "Mutex", "Event", "Semaphore"))


@windows
def test_last_error_survives_what_is_collected(name):
    thing, view = NamedMap.create(name, 100, sddl="D:(A;;GA;;;WD)"), NamedMap.create(None, 10).view()
    assert kernel32.CloseHandle(thing.handle)  # so that closing it fails, with an error
    ctypes.set_last_error(1234)
    del thing, view
    assert ctypes.get_last_error() == 1234 and gone(name)


# ---------------------------------------------------------------- injected errors and interrupts

def use_memory(name, path):
    with NamedMap.create(name, 100, reserve=True) as m, NamedMap.open(name, access="r") as other:
        m.flush()
        assert other.view(access="c").read(1) == b"\0"


def use_file(name, path):
    NamedMap.create(name, 5000, file=path).close()
    os.truncate(path, 10)
    with NamedMap.create(name, file=path) as m, NamedMap.create(name, 10, file=path, exist_ok=True) as other:
        m.flush()
        assert other.read(1) == b"0"


def use_mutex(name, path):
    with contextlib.closing(Mutex.create(name)) as mutex, contextlib.closing(Mutex.open(name)) as other:
        assert mutex.acquire()
        try:
            mutex.release()
        finally:
            if ", held" in repr(mutex):  # it was not released
                mutex.release()
            assert is_free_for_others(other)


def use_event_and_semaphore(name, path):
    with Event.create(name) as event, pickle.loads(pickle.dumps(event)) as other:
        event.set()
        assert other.is_set() and other.wait()
        event.clear()
    with contextlib.closing(Semaphore.create(name + "s", 0, 2)) as semaphore:
        assert semaphore.release() == 0 and semaphore.acquire()


# What uses which methods of the layer; and what an error without a filename gets as that.
CALLS = [(use, *method.split(":")) for use, methods in [
    (use_memory, "create_file_mapping: open_file_mapping: query_section:name map_view:name flush_view:name"),
    (use_file, "kind_of_name: open_file: create_file_mapping:path open_file_mapping: map_view:name flush_view:path"),
    (use_mutex, "create_waitable: open_waitable: wait:name release_mutex:name"),
    (use_event_and_semaphore, "create_waitable: open_waitable:name set_event:name query_event:name wait:name "
                              "reset_event:name release_semaphore:names")]
    for method in methods.split()]


# What these return belongs to nothing yet: an interrupt right after them would lose it.
RAW_RESULT = re.compile("map_view|open_file$" + "|create_|open_" * ON_WINDOWS)
MOMENTS = [(use, method, "before") for use, method, _ in CALLS]
MOMENTS += [moment[:2] + ("after",) for moment in MOMENTS if not RAW_RESULT.match(moment[1])]
MOMENTS += [(use, "unmap_view", "after") for use in (use_memory, use_file)]
MOMENTS += [(use, "security_attributes", "after") for use in (use_file, use_mutex)]
MOMENTS += [(use, "close_handle", moment) for use in (use_memory, use_mutex, use_event_and_semaphore)
            for moment in ("after", *["before"] * (not ON_WINDOWS))]


@pytest.mark.parametrize("use, method, code, blamed, moment", [
    *[(use, method, code, blamed, {}) for use, method, blamed in CALLS for code in (5, 8)],
    *[(use, method, None, "", {moment: raise_interrupt}) for use, method, moment in MOMENTS]])
def test_error_or_interrupt_anywhere_leaves_nothing(use, method, code, blamed, moment, name, path, fault, monkeypatch):
    def refuse():
        with pytest.raises(OSError) as caught:
            use(name, str(path))
        assert caught.value.__traceback__ and gone(name)  # although the exception lives
        os.rename(path, path)  # which Windows refuses while it is open
        assert told(caught) == (code, {"": None, "name": name, "names": name + "s", "path": str(path)}[blamed])
        assert type(caught.value) is type(OSError(ERRNOS[code], "", None, code))

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
        assert gone(name) and gone(name + "s")
        assert list(path.parent.iterdir()) == [path] and path.stat().st_size == 10

    assert_no_growth(work, 6)


# ---------------------------------------------------------------- Windows

SYNCHRONIZE = namedmap.SYNCHRONIZE
everybody = "D:(A;;{:#x};;;WD)".format


def duplicated(handle, rights):
    process, found = kernel32.GetCurrentProcess(), wintypes.HANDLE()
    assert kernel32.DuplicateHandle(process, handle, process, ctypes.byref(found), rights, False, 0)
    return found.value


@windows
@pytest.mark.parametrize("by", ["descriptor", "duplicate"])
@pytest.mark.parametrize("kind, rights, allowed, refused", [
    (EVENT, SYNCHRONIZE | 3, "set is_set wait", ""), (EVENT, SYNCHRONIZE | 2, "set wait", "is_set"),
    (EVENT, SYNCHRONIZE | 1, "is_set wait", "set"), (EVENT, SYNCHRONIZE, "wait", "set is_set"),
    (EVENT, 2, "set", "wait is_set"), (SEMAPHORE, SYNCHRONIZE | 2, "release acquire", ""),
    (SEMAPHORE, SYNCHRONIZE, "acquire", "release"), (SEMAPHORE, 2, "release", "acquire"),
    (MUTEX, SYNCHRONIZE, "acquire release", "")])
def test_use_is_allowed_by_the_rights_that_were_granted(kind, rights, allowed, refused, by, name):
    arguments = {"initial_state": True} if kind is EVENT else {}
    sddl = everybody(rights) if by == "descriptor" else None
    with contextlib.closing(kind.create(name, sddl=sddl, **arguments)) as made, contextlib.closing(
            kind.open(name) if by == "descriptor" else kind.cls.from_handle(duplicated(made.handle, rights))) as thing:
        for use in allowed.split():
            getattr(thing, use)()
        # Wine grants SYNCHRONIZE whatever the descriptor.
        for use in refused.split() if rights & SYNCHRONIZE or by == "duplicate" else []:
            with pytest.raises(PermissionError, match="this handle does not allow it") as caught:
                getattr(thing, use)()
            assert told(caught) == (5, thing.name)


@windows
@pytest.mark.parametrize("rights, allowed", [(7, "rw r c"), (6, "rw r c"), (5, "r c"), (4, "r c"), (3, "")])
@pytest.mark.parametrize("access", ["rw", "r", "c"])
def test_open_memory_has_the_access_that_the_descriptor_grants(access, rights, allowed, name, secured_mapping):
    secured_mapping(everybody(rights))
    if access in allowed.split():
        regions = mapped_regions()
        with NamedMap.open(name, access=access) as m:
            assert (m.size, m.access) == (4096, access)  # also where a view has to show the size
            assert mapped_regions() == regions and m[:4] == bytes(4)
    else:
        with pytest.raises(PermissionError) as caught:
            NamedMap.open(name, access=access)
        assert told(caught) == (5, name)
        assert ("this process may not write to it" in str(caught.value)) == (access == "rw")


@windows
@pytest.mark.parametrize("kind, rights, opens", [(MEMORY, 4, False), (MEMORY, 7, True), (MUTEX, SYNCHRONIZE, True)])
def test_create_of_a_name_with_fewer_rights_than_creating_asks_for(kind, rights, opens, name):
    with contextlib.closing(kind.create(name, sddl=everybody(rights))):
        with pytest.raises(FileExistsError) as caught:
            kind.create(name)
        assert told(caught) == (183, name)
        if opens:
            with contextlib.closing(kind.create(name, exist_ok=True, inheritable=True)) as other:
                assert not other.created and os.get_handle_inheritable(other.handle)
        else:
            with pytest.raises(PermissionError, match="this process may not write to it") as caught:
                kind.create(name, exist_ok=True)
            assert told(caught) == (5, name)


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
    for bad in "everyone", "D:(A;;GA;;;QQ)", "\U0001f600":
        with pytest.raises(ValueError, match="not a security descriptor in SDDL: " + re.escape(repr(bad))):
            NamedMap.create(name, 100, sddl=bad)
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
                    (kind.cls.from_handle, ValueError, "no handle has the value", 0, -1, 2 ** 64),
                    (kind.cls.from_handle, TypeError, "as an integer", "1", None),
                    *((kind.cls.from_handle, OSError, f"6. .*another kind of object: {what}", wrong[what])
                      for what in wrong),
                    (thing.duplicate, OSError, f"87. there is no process with this id.*{name[6:]}", 0xFFFFFFF0),
                    (thing.duplicate, OSError, "the process has ended|there is no process", ended.pid),
                    (thing.duplicate, ValueError, "no process has the id", -1, 2 ** 32),
                    (thing.duplicate, TypeError, "as an integer", "1", None)]:
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
@pytest.mark.parametrize("rights, size, access, error", [
    (2, 50, "rw", ""), (4, 50, "r", ""), (6, 50, "rw", ""), (5, 50, "r", ""),
    (5, 5000, None, "the memory has 4096 bytes, and 5000 were asked for"), (4, 5000, None, "the memory has 4096 bytes"),
    (5, 0, None, "a size must be"), (1, None, None, "handle 0x[0-9a-f]+ does not allow reading the memory")])
def test_from_handle_of_memory_finds_its_access_or_leaves_it_open(rights, size, access, error, memory):
    handle = duplicated(memory.handle, rights)
    if error:
        with pytest.raises(PermissionError if rights == 1 else ValueError, match=error):
            NamedMap.from_handle(handle, size)
        assert kernel32.CloseHandle(handle)
        return
    memory[0] = 7
    with NamedMap.from_handle(handle, size) as m:
        assert (m.size, m.access, m[0]) == (size, access, 7)
        with contextlib.nullcontext() if access == "rw" else pytest.raises(TypeError):
            m[0] = 8


@pytest.fixture
def give_memory(start):
    """A function that starts a Python, and gives memory to it; the process, which prints what it got."""
    code = ("import os, namedmap\n"
            "m = namedmap.NamedMap.from_handle(int(input(f'{os.getpid()}\\n')))\n"
            "print(m.size, m.access, m.name, m.created, m[0], flush=True)\n"
            "input()\n"
            "if m.access == 'rw': m[0] = 8\n")

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
    over_file = [{"file": tmp_path / "file"}] * (kind is MEMORY)
    for arguments, wanted in itertools.product([{}, *over_file], (False, True)):
        with contextlib.closing(kind.create(name, inheritable=wanted, **arguments)) as made:
            assert made.created and os.get_handle_inheritable(made.handle) == wanted
            for other in (kind.open(name, inheritable=not wanted),
                          kind.create(name, exist_ok=True, inheritable=not wanted, **arguments)):
                assert os.get_handle_inheritable(other.handle) != wanted
                other.close()


# ---------------------------------------------------------------- Linux: processes that are killed

def directory(scope="Local"):
    return f"/dev/shm/namedmap-{os.geteuid()}/{scope}"


def file_of(name):
    """The path of the file of an object."""
    scope, _, rest = name.rpartition("\\")
    return f"{directory(scope or 'Local')}/{hashlib.sha256(rest.encode('utf-16-le')).hexdigest()[:32]}"


def let_sweep(at=1):
    """Make the sweep of the directory due, as if nothing had been created for a second."""
    os.utime(os.path.dirname(directory()), (at, at))


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
    """Whether a child has called stop(), and not ended."""
    return os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])


# What no object that is made later may show, and whether an object is as it was made.
USE_UP = {MEMORY: lambda m: m.write(b"x" * 100), MUTEX: Mutex.acquire, EVENT: Event.set, SEMAPHORE: Semaphore.acquire}


def is_fresh(kind, thing):
    if kind in (MEMORY, EVENT):
        return not (any(thing) if kind is MEMORY else thing.is_set())
    assert thing.acquire(timeout=5)
    thing.release()
    return not (kind is MUTEX and thing.abandoned)


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

    def is_killed_before_call(number):
        """Whether there was a call of that number."""
        child = forked(work)
        status = os.waitpid(child, 0)[1]
        for _ in range(2 * number - 1):  # it stops at the begin and at the end of each
            if os.WIFSTOPPED(status):
                libc.ptrace(24, child, 0, 0)  # PTRACE_SYSCALL
                status = os.waitpid(child, 0)[1]
        spare = f"{directory('new')}/{unnamed(child).hex()}"
        left.append(os.path.exists(spare) and not os.unlink(spare))
        assert os.WIFSTOPPED(status) or status == 0, status
        return os.WIFSTOPPED(status) and end_of(child, signal.SIGKILL) == -signal.SIGKILL

    libc, left, unnamed = ctypes.CDLL(None), [], b"%16d".__mod__
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    if end_of(forked(lambda: os._exit(bool(libc.ptrace(0, 0, 0, 0))))):
        pytest.skip("this process may not trace another one")
    monkeypatch.setattr(os, "urandom", lambda _: unnamed(os.getpid()))
    monkeypatch.setattr(os, "open", open_file)
    for keeps in False, True:
        was_killed, number = True, 0
        while was_killed:
            number += 1
            with contextlib.closing(kind.create(name)) if keeps else contextlib.nullcontext():
                was_killed = is_killed_before_call(number)
                if keeps:
                    with contextlib.closing(kind.open(name)) as other:
                        assert is_fresh(kind, other) or kind is MUTEX and is_fresh(kind, other), number
            assert gone(name)
            with contextlib.closing(kind.create(name)) as again:
                assert again.created and is_fresh(kind, again), (keeps, number)
            assert not os.path.exists(file_of(name)), (keeps, number)
        assert number > 20 and not left[-1]
    assert capfd.readouterr() == ("", "") and any(left) == bool(tmpfile_error)


@linux
def test_kill_at_random_moments_leaves_nothing_and_loses_nothing_that_is_held(name, memory):
    def work():
        chance = random.Random(os.getpid())
        while True:
            kind = chance.choice(KINDS)
            made = kind.create(f"{name} {kind}", exist_ok=True)
            if kind in (MUTEX, SEMAPHORE):
                if made.acquire(timeout=0.001):
                    made.release()
            elif made.created:  # no other process changes it, so that none sees what a dead one has left
                assert is_fresh(kind, made)
                USE_UP[kind](made)
            kind.open(f"{name} {kind}").close()
            made.close()

    victims = [forked(work) for _ in range(3)]
    for _ in range(300 * ROUNDS):
        time.sleep(random.uniform(0, 0.01))
        assert end_of(victims.pop(0), signal.SIGKILL) == -signal.SIGKILL
        NamedMap.open(name).close()
        victims.append(forked(work))
    assert [end_of(victim, signal.SIGKILL) for victim in victims] == 3 * [-signal.SIGKILL]
    for kind in KINDS:
        with contextlib.closing(kind.create(f"{name} {kind}")) as made:
            assert made.created and is_fresh(kind, made)


@linux
def test_close_of_the_last_two_holders_at_once_removes_the_file(name):
    for _ in range(300):
        threads(NamedMap.create(name, 10).close, NamedMap.open(name).close)
        assert not os.path.exists(file_of(name))


@linux
@pytest.mark.parametrize("at", ["open", "pwrite", "link"])
def test_create_by_a_process_that_is_stopped_holds_no_other_up(at, name):
    def stopping(*arguments, real=getattr(os, at), **named):
        real(*arguments, **named)
        stop()

    child = forked(lambda: (setattr(os, at, stopping), NamedMap.create(name, 100)))
    assert is_stopped(child) and gone(name) is (at != "link")
    with pytest.raises(FileExistsError) if at == "link" else contextlib.nullcontext():
        NamedMap.create(name, 100).close()
    assert end_of(child, signal.SIGKILL) == -signal.SIGKILL and gone(name)


REMOVING = """
import os, sys
os.unlink = lambda path: (print("unlink", flush=True), sys.stdin.readline(), 1 / 0)
import namedmap
if not os.fork():
    kept = namedmap.NamedMap.create(sys.argv[1], 100)
    os._exit(0)  # which leaves its file
os.wait()
try:
    namedmap.NamedMap.open(sys.argv[1])
except ZeroDivisionError as error:  # which keeps all that its traceback refers to
    print(error, flush=True)
    sys.stdin.readline()
"""


@linux
def test_create_waits_a_second_for_a_process_that_fails_to_remove_the_name(name, python):
    process, begin = python(REMOVING, name), time.monotonic()
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
@pytest.mark.parametrize("way", ["close", "end", "kill"])
@every_kind
def test_forked_child_keeps_a_name_until_it_closes_or_ends(kind, way, name):
    def work():
        stop()
        if way == "close":
            made.close()
            stop()

    made = kind.create(name)
    borrowed = made.buf if kind is MEMORY else None  # which keeps no name, here and in the child
    assert end_of(forked(made.close)) == 0
    child = forked(work)
    assert is_stopped(child)
    made.close()
    kind.open(name).close()
    if way == "close":
        os.kill(child, signal.SIGCONT)
        assert is_stopped(child) and not os.path.exists(file_of(name))
    number, status = (signal.SIGKILL, -signal.SIGKILL) if way == "kill" else (signal.SIGCONT, 0)
    assert end_of(child, number) == status
    assert gone(name) and not (borrowed and borrowed[0])


FORKING = """
import os, sys
made = []  # in the middle of a fork, as another thread can
os.register_at_fork(before=lambda: made.extend(["hashlib" in sys.modules, namedmap.NamedMap.create(sys.argv[1], 10)]))
import namedmap
if not os.fork():
    sys.stdin.readline()
    os._exit(0)
made[1].close()
print(made[0], flush=True)
os.wait()
"""


@linux
def test_fork_shares_what_is_made_meanwhile_and_finds_all_modules_imported(name, python):
    """A child that is forked in the middle of an import by another thread could never finish it."""
    process = python(FORKING, name)
    assert process.line() == "True" and not gone(name)
    process.enter()
    assert process.end() == (0, [], "") and gone(name)


@linux
def test_close_while_another_thread_starts_programs_gives_the_name_up(name):
    """A child that is just starting another program has copies of all descriptors for a moment."""
    with ThreadPoolExecutor(1) as executor:
        programs = executor.submit(lambda: [subprocess.run(["true"], preexec_fn=int) for _ in range(100)])
        while not programs.done():
            NamedMap.create(name, 10).close()
            assert gone(name)


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
            shutil.rmtree(PLACE)
            with NamedMap.create(name, 10) as other:
                assert other.created
                m.close()
                assert not gone(name)

    path = file_of(name)
    as_user(work)


@linux
@pytest.mark.parametrize("squat", [
    lambda: os.mkdir(PLACE, 0o700), lambda: (os.mkdir(PLACE), os.chown(PLACE, USER, 0), os.chmod(PLACE, 0o755)),
    lambda: (os.mkdir(PLACE + "x", 0o700), os.chown(PLACE + "x", USER, 0), os.symlink(PLACE + "x", PLACE))],
    ids=["another's", "open to all", "link"])
def test_create_in_a_directory_that_is_not_safe_raises(squat, name, as_user, tmp_path):
    def work():
        with pytest.raises(PermissionError, match="must be a directory of this user.*remove it"):
            NamedMap.create(name, 10)

    squat()
    old = tmp_path / "old"
    old.touch()
    os.utime(old, (0, 0))
    if os.path.isdir(PLACE):
        os.symlink(tmp_path, PLACE + "/new")
    for folder in tmp_path.parent.parent, tmp_path.parent, tmp_path, old:
        os.chmod(folder, 0o777)
    as_user(work)
    assert old.exists()  # what lies behind a link of others is not swept


@linux
def test_open_over_a_file_that_the_user_may_only_read_needs_access_r(name, as_user):
    def work():
        with NamedMap.create(name, file="/etc/passwd", access="r"), NamedMap.open(name, access="r") as m:
            assert m[:4] == b"root"
            with pytest.raises(PermissionError, match='created read-only.*access="r" may be allowed'):
                NamedMap.open(name)
        with pytest.raises(PermissionError):
            NamedMap.create(name, file="/etc/passwd")

    as_user(work)


# ---------------------------------------------------------------- Linux: what the system lacks

def in_namespace(mounts, code, *arguments):
    """The output of a Python in a mount namespace of its own."""
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs root, and a system on which unshare(1) makes mount namespaces")
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", mounts + '; exec "$@"', "sh",
                           sys.executable, "-c", code, *arguments], cwd=HERE, stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == 0
    return done.stdout.decode().splitlines()


LACKING = """
import errno, fcntl, os
def refuse(descriptor, command, *arguments, real=fcntl.fcntl):
    if command == 37: raise OSError(errno.EINVAL, 'Invalid argument')  # F_OFD_SETLK
    return real(descriptor, command, *arguments)
fcntl.fcntl, os.uname = refuse, lambda real=os.uname(): os.uname_result((*real[:4], 'unknown'))
"""
EACH_KIND = """
import sys, namedmap
for cls in namedmap.NamedMap, namedmap.Mutex, namedmap.Event, namedmap.Semaphore:
    for name in f"{sys.argv[1]} {cls.__name__}", None:
        try:
            with cls.create(name, *[2 << 20] * (cls is namedmap.NamedMap), exist_ok=True):
                print("works")
        except (OSError, NotImplementedError) as error:
            print(getattr(error, "strerror", error))
"""


@linux
@pytest.mark.parametrize("mounts, lines", [
    ("mount -t tmpfs -o size=1m,mode=1777 tmpfs /dev/shm",
     2 * ["the memory file system (/dev/shm) has no room for it: ask for less, or enlarge it"] + 6 * ["works"]),
    ("mount -t tmpfs tmpfs /dev", 8 * ["this needs /dev/shm, which this system lacks"]),
    ("mount -t tmpfs tmpfs /proc", 4 * ["a name needs /proc, which this system lacks", "works"]),
    ("", [text for unnamed in ["works"] + 3 * ["the number of the system call futex is not known for unknown"]
          for text in ("a name needs locks of open files (F_OFD_SETLK), which this system lacks", unnamed)]),
], ids=["full", "no /dev/shm", "no /proc", "no locks, unknown processor"])
def test_create_on_a_system_that_lacks_something_says_what(mounts, lines, name, python):
    if mounts:
        assert in_namespace(mounts, EACH_KIND, name) == lines
    else:
        assert python(LACKING + EACH_KIND, name).end() == (0, lines, "")


@linux
def test_create_in_another_pid_namespace_is_refused_unless_it_is_memory(name):
    with contextlib.ExitStack() as stack:
        for kind in KINDS:
            made = kind.cls.create(f"{name} {kind}", *[2 << 20] * (kind is MEMORY))
            stack.enter_context(contextlib.closing(made))
        lines = in_namespace('exec unshare --pid --fork --mount-proc "$@"', EACH_KIND, name)
    assert lines[:2] == 2 * ["works"] and [line.split()[-1] for line in lines[2:]] == 3 * ["numbers", "works"]


@linux
def test_what_only_looks_at_a_name_takes_no_lock_and_works_with_descriptor_0(name, memory, python):
    """With a lock it would be a holder for a moment, and others would be told that their own name is taken."""
    code = LACKING + (
        "import sys\n"
        "from namedmap import Event, NamedMap, _layer, main\n"
        "assert main(['list']) == main(['info', sys.argv[1]]) == 0\n"
        "os.close(0)\n"  # which the next one gets
        "print(_layer.kind_of_name(sys.argv[1]), dict(_layer.named_objects())[sys.argv[1]])\n"
        "for call, size in (Event.open, ()), (NamedMap.create, (10,)):\n"
        "    try: call(sys.argv[1], *size)\n"
        "    except OSError as error: print(error.strerror)\n")
    status, lines, err = python(code, name).end()
    assert (status, err, lines[-3]) == (0, "", "file mapping object file mapping object")
    assert "different kinds" in lines[-2] and "the name is taken" in lines[-1]


@linux
def test_create_of_more_than_dev_shm_can_hold_takes_none_from_others(name, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", None)  # it is refused before it takes what there is
    with pytest.raises(OSError, match=r"the memory file system \(/dev/shm\) has no room") as caught:
        NamedMap.create(name, 1 << 46)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, name) and gone(name)


OLD_LIBRARY = """
import ctypes, threading, time
ctypes.CDLL.__getattr__ = lambda library, name, real=ctypes.CDLL.__getattr__: (
    real(library, "what has no such name" if name == "sem_clockwait" else name))
import namedmap
semaphore, begin = namedmap.Semaphore.create(None, 0), time.process_time()
print(semaphore.acquire(timeout=0.5), time.process_time() - begin < 0.1)
threading.Timer(0.1, semaphore.release).start()
print(semaphore.acquire(timeout=9))
"""


@linux
def test_acquire_with_an_old_c_library_waits_by_the_clock_it_has(python):
    assert python(OLD_LIBRARY).end() == (0, ["False True", "True"], "")


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
@pytest.mark.parametrize("junk", [
    lambda path: open(path, "x").close(), lambda path: shutil.copy(__file__, path), os.mkdir,
    lambda path: os.mkfifo(path), lambda path: os.symlink(file_of("Local\\linked"), path)],
    ids=["empty", "another's", "directory", "FIFO", "link"])
def test_junk_in_the_directory_disturbs_nothing_but_its_own_name(junk, name):
    NamedMap.create(name, 10).close()
    paths = [file_of(name + " junk"), directory() + "/junk", directory() + "/" + 32 * "f"]
    try:
        for path in paths:
            junk(path)
        let_sweep()
        with NamedMap.create(name, 10), NamedMap.create("Local\\linked", 10):
            assert (name, "file mapping object") in list(namedmap._layer.named_objects())
            for use in MEMORY.create, MEMORY.open:
                with pytest.raises(OSError) as caught:
                    use(name + " junk")
                assert caught.value.filename == name + " junk"
        assert all(map(os.path.lexists, paths))
    finally:
        subprocess.run(["rm", "-rf", *paths])


@linux
@pytest.mark.parametrize("last", [-2, 3600], ids=["two seconds ago", "in the future"])
def test_create_removes_what_killed_processes_left_and_nothing_else(last, name):
    names, young, old = [name, name.replace("Local", "Global")], directory("new") + "/young", directory("new") + "/old"
    left = [*map(file_of, names), old]
    assert end_of(forked(lambda: ([*map(Event.create, names)], os._exit(7)))) == 7
    os.makedirs(directory("new"), 0o700, exist_ok=True)
    for path in young, old:
        open(path, "w").close()
    os.utime(old, (time.time() - 61,) * 2)
    let_sweep(time.time())  # as if another process had just swept
    with NamedMap.create(name + " held", 10):
        assert all(map(os.path.exists, left))
        let_sweep(time.time() + last)
        NamedMap.create(name + " 2", 10).close()
        assert not any(map(os.path.exists, left)) and os.path.exists(young)
        assert abs(os.stat(os.path.dirname(directory())).st_mtime - time.time()) < 60
        NamedMap.open(name + " held").close()
    os.unlink(young)


@linux
@every_kind
def test_open_of_another_version_or_width_is_refused_unless_it_is_memory_of_another_width(kind, name):
    def change_byte(position):
        with open(file_of(name), "r+b") as file, mmap.mmap(file.fileno(), 100) as page:
            page[position] ^= 1

    with contextlib.closing(kind.create(name)):
        change_byte(7)  # the last one of the magic number
        with pytest.raises(OSError, match="of another version of this module") as caught:
            kind.open(name)
        assert caught.value.filename == name
        change_byte(7)
        change_byte(22)  # the size of a pointer, and whether it is the GNU C library
        with contextlib.nullcontext() if kind is MEMORY else pytest.raises(OSError, match="of another width"):
            kind.open(name).close()


@linux
@every_kind
def test_signal_at_a_random_moment_leaves_no_descriptor_and_no_name(kind, name, monkeypatch, signals):
    def work():
        things = []
        with contextlib.suppress(Interrupt):
            signals(random.uniform(1e-6, 4e-4))
            things.append(kind.create(name))
            things.append(kind.open(name))
            things[1].close()
            things[0].close()
            time.sleep(0.001)
        for thing in things:
            thing.close()
        assert gone(name)

    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)  # pytest's keeps what a __del__ has
    assert_no_growth(work, 200 * ROUNDS)


@linux
def test_memory_over_a_file_that_is_elsewhere_or_has_shrunk_is_refused(name, path):
    elsewhere = path.with_name("elsewhere")
    with NamedMap.create(name, file=path), NamedMap.open(name) as unmapped:
        path.rename(elsewhere)
        for replace in (lambda: None, lambda: path.write_bytes(b"0123456789")):
            replace()
            with pytest.raises(FileNotFoundError, match="behind it was renamed or deleted"):
                NamedMap.open(name)
        elsewhere.write_bytes(b"A")
        with pytest.raises(OSError, match="has become smaller"):
            unmapped[0]


@linux
def test_create_over_a_file_whose_path_does_not_fit_raises(name, path, monkeypatch):
    monkeypatch.setattr(os, "readlink", lambda _: 3000 * "d")
    with pytest.raises(OSError, match="the path of the file is too long"):
        NamedMap.create(name, file=path)
    assert gone(name)
    NamedMap.create(None, file=path).close()  # nothing is noted without a name


# ---------------------------------------------------------------- kernel objects

def test_create_in_another_process_lives_as_long_as_one_has_it_open(name, python):
    code = ("import sys, namedmap\n"
            "m = namedmap.NamedMap.create(sys.argv[1], 256)\n"
            "m.write(b'Message')\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "print(m[:6].decode())\n")
    for is_killed in False, True:
        other = python(code, name)
        assert other.line() == "ready"
        with NamedMap.open(name) as m:
            assert m.read(7) == b"Message" and not m.created
            m.write(b"Answer")
            if is_killed:
                other.kill()
            else:
                other.enter()
                assert other.end() == (0, ["Answer"], "")
            assert m.read(6) == b"Answer" and not gone(name)
        eventually(lambda: gone(name))


def test_size_is_exact_where_created_and_whole_pages_where_opened(name):
    for size, covered in (PAGE, PAGE), (PAGE + 904, 2 * PAGE):
        with NamedMap.create(name, size) as m, NamedMap.open(name) as whole, NamedMap.open(name, size - 1) as part:
            for each, expected in (m, size), (whole, covered), (part, size - 1):
                assert each.size == len(each) == len(each.buf) == expected and each[:] == bytes(expected)

            def refuse():
                for use in NamedMap.open, lambda *arguments: NamedMap.create(*arguments, exist_ok=True):
                    with pytest.raises(ValueError, match=f"has {covered} bytes, and {covered + 1} were asked for"):
                        use(name, covered + 1)

            assert_no_growth(refuse, 5)


def test_create_of_a_taken_name_raises_or_attaches(name):
    def refuse():
        with pytest.raises(FileExistsError, match=r"a reader counts; exist_ok=True \(--exist-ok\) attaches") as caught:
            NamedMap.create(name, 100)
        assert told(caught) == (183, name)

    with NamedMap.create(name, 100) as m:
        assert_no_growth(refuse, 5)
        m[0] = 7
        with NamedMap.create(name, 50, exist_ok=True) as again:
            assert (m.created, again.created, again.size, again[0]) == (True, False, 50, 7)
        reader = NamedMap.open(name, access="r")
    refuse()  # although its creator has closed it
    reader.close()
    with NamedMap.create(name, 50, exist_ok=True) as fresh:
        assert (fresh.created, fresh[0]) == (True, 0)


def test_open_of_a_missing_name_waits_for_its_publisher_as_long_as_it_shall(name):
    for timeout in 0, 0.2:
        with pytest.raises(FileNotFoundError, match="nothing has this name now: ") as caught:
            NamedMap.open(name, timeout=timeout)
        assert told(caught) == (2, name)
    for timeout in 30, None:
        made = []
        timer = threading.Timer(0.2, lambda: made.append(NamedMap.create(name, 10)))
        timer.start()
        NamedMap.open(name, timeout=timeout).close()
        timer.join()
        made.pop().close()


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
        for access in "c", "r", "rw":
            with NamedMap.open(name, 100, access=access) as m, pickle.loads(pickle.dumps(m)) as again:
                assert (again.name, again.size, again.access, again.created) == (name, 100, access, False)
                assert again[:5] == b"hello"
        again = pickle.loads(pickle.dumps(made))
        again[0] = 74
        assert made[:5] == b"Jello" and again.size == 5000
        for thing, text in (nameless, "without a name cannot be pickled"), (view, "pickle its NamedMap"):
            with pytest.raises(TypeError, match=text):
                pickle.dumps(thing)
        data = pickle.dumps(made)
    again.close()
    for thing in made, nameless:
        with pytest.raises(ValueError, match="closed"):
            pickle.dumps(thing)
    with NamedMap.create(name, 10), pickle.loads(data) as m, pytest.raises(ValueError, match="and 5000 were asked for"):
        m.read(1)


class Unpickled:
    """What becomes the result of a function where it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def use_in_child(was_forked, things, go):
    """Use two objects of each class, of which the second one is there twice, and close them."""
    assert go.wait(60)
    for first, second, again in things:
        assert second is again and first is not second and first.name == second.name and first.created == was_forked
        for thing in (first, second):
            assert thing.name is None or not gone(thing.name)
            if isinstance(thing, NamedMap):
                thing[0] += 1
                assert (thing.size, thing[50:60]) == (100, b"0123456789")
            else:
                assert wait_any([thing], 30) is thing
                thing.set() if isinstance(thing, Event) else thing.release()
            thing.close()
    del first, second, again, thing
    with open(__file__) as file:  # which gets the number of a descriptor that was closed
        things.clear()
        gc.collect()
        assert file.read(3) == '"""'


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_process_gets_objects_that_its_parent_does_not_keep(method, name, tmp_path):
    context, counts = multiprocessing.get_context(method), itertools.count(1)
    names, files = [f"{name} {kind}" for kind in KINDS], [tmp_path / "1", tmp_path / "2"]

    def pair(kind, name):
        if kind is not MEMORY:
            return [kind.ready(name), kind.open(name) if name else kind.ready()]
        made = [NamedMap.create(name, 100), NamedMap.open(name, 100)] if name else [
            NamedMap.create(None, 100, file=file) for file in files]
        for each in made:
            each[50:60] = b"0123456789"
        return made

    def started(function, argument):
        things = [pair(kind, each) for kind in KINDS for each in (None, f"{name} {kind}")]
        process = context.Process(target=function, args=(argument, [[*each, each[1]] for each in things], go))
        process.start()
        return process

    def work():
        process = started(use_in_child, method == "fork")
        assert not any(map(gone, names))
        go.set()
        process.join(60)
        assert process.exitcode == 0
        eventually(lambda: all(map(gone, names)))  # although the parent still has the Process
        assert [file.read_bytes()[0] for file in files] == [next(counts)] * 2
        if method != "fork":  # which does not unpickle
            process = started(print, Unpickled(os._exit, 3))
            process.join(60)
            assert process.exitcode == 3
            del process
            eventually(lambda: all(map(gone, names)))
        go.clear()

    with Event.create() as go:
        assert_no_growth(work, 3)


class Copied:
    """A map that is copied in its own process, while it is passed on to another one."""

    def __init__(self, thing):
        self.thing = thing

    def __reduce__(self):
        with copy.copy(self.thing) as other:
            other[0] = 7
        return bytes, (pickle.dumps(self.thing),)


def unpickle_twice(data):
    with pickle.loads(data) as first, pickle.loads(data) as second:
        assert first[0] == 7
        with pytest.raises(OSError, match="unpickled before"):
            second.read()


def test_process_gets_one_object_of_each_pickle(name):
    with NamedMap.create(name, 10) as m:
        process = multiprocessing.get_context("spawn").Process(target=unpickle_twice, args=(Copied(m),))
        process.start()
        process.join(60)
        assert process.exitcode == 0


def keep(thing):
    keep.thing = thing


def count():
    keep.thing[1] += 1
    return keep.thing[1]


def test_pool_and_executor_take_objects_as_initargs_and_named_ones_as_arguments(name):
    context = multiprocessing.get_context("spawn")
    with NamedMap.create(name, 10) as m:
        lost = Unpickled(pickle.loads, pickle.dumps(m))
    with NamedMap.create(None, 10) as kept:
        with ProcessPoolExecutor(1, context, keep, (kept,)) as executor, context.Pool(1, keep, (kept,)) as pool:
            calls = [lambda *arguments: executor.submit(*arguments).result(60),
                     lambda function, *arguments: pool.apply_async(function, arguments).get(60)]
            for number, call in enumerate(calls, 1):
                with NamedMap.create(name, 10) as named:
                    named[0] = 7
                    assert call(NamedMap.read, named, 1) == b"\7"
                assert call(count) == kept[1] == number
                with pytest.raises(FileNotFoundError, match="unpickled"):
                    call(NamedMap.read, lost)


LOST_USES = {MEMORY: FIRST_USES, EVENT: [Event.set, Event.clear, Event.is_set, Event.wait],
             **{kind: [kind.cls.acquire, lambda x: x.acquire(False), kind.cls.release, kind.cls.__enter__]
                for kind in (MUTEX, SEMAPHORE)}}


@every_kind
@pytest.mark.parametrize("code", [2, 5])
def test_unpickled_object_that_cannot_be_opened_raises_that_at_each_use(code, kind, name, fault, monkeypatch):
    with contextlib.closing(kind.create(name)) as made:
        data = pickle.dumps(made)
        if code == 5:
            fault("open_file_mapping" if kind is MEMORY else "open_waitable", code=5)
            lost = pickle.loads(data)
            monkeypatch.undo()
    if code == 2:
        lost = pickle.loads(data)
    caught, uses = [], [*LOST_USES[kind], lambda x: x.handle, *[lambda x: wait_any([x], 0)] * (kind is not MEMORY)]
    with contextlib.closing(kind.create(name)):  # which changes nothing
        for use in uses * 2:
            with pytest.raises(OSError, match="unpickled.*open" if code == 2 else "injected: ") as each:
                use(lost)
            assert told(each) == (code, name)
            caught.append(each.value)
    assert len(set(map(id, caught))) == len(caught)
    assert (lost.name, lost.closed) == (name, False) and f"{name!r}, not opened>" in repr(lost)
    if kind in (MEMORY, EVENT):
        with lost as same:
            assert same is lost
    lost.close()
    lost.close()
    assert lost.closed
    for use in uses:
        with pytest.raises(ValueError, match="is closed"):
            use(lost)


# ---------------------------------------------------------------- memory and views

@pytest.fixture(params=["map", "view", "opened"])
def either(request, name):
    """100 bytes of zero, by each class."""
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
    with either.buf[:] as part:
        part[0] = 7
    if sys.version_info >= (3, 12):
        with memoryview(either) as part:
            part[0] += 1
            assert (part.nbytes, part.format) == (100, "B")
    else:
        assert not hasattr(either, "__buffer__")
        either[0] += 1
    with either.buf as buf:
        assert (buf[0], buf.nbytes, buf.format, buf.readonly) == (8, 100, "B", False)
    with pytest.raises(ValueError, match="released"):
        either.buf[0]
    either[0] += 1
    assert either[0] == either.read(1)[0] == either.snapshot(ctypes.c_uint8).value == 9


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


@pytest.mark.parametrize("over_a_file", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("access", ["r", "c"])
def test_access_that_is_not_rw_leaves_the_memory_alone(access, over_a_file, name, path):
    def try_to_store(*memories):
        for each, store in itertools.product(memories, STORES):
            with pytest.raises(TypeError) if access == "r" else contextlib.nullcontext():
                store(each)
            each.flush()
            assert (each.access, each.buf.readonly) == (access, access == "r")
            assert each.snapshot(ctypes.c_char).value == each[:1] and (each[0] == 48) == (access == "r")

    with NamedMap.create(name, 10, file=path if over_a_file else None) as memory:
        memory[:] = b"0123456789"
        with NamedMap.open(name, 10, access=access) as m, memory.view(access=access) as view, m.view() as part:
            try_to_store(m, view, part)
            with m.view(access={"r": "c", "c": "r"}[access]) as narrower:
                assert narrower[:] == memory[:] == b"0123456789"
            with pytest.raises(ValueError, match=f"access='rw' is wider than its map, which has access='{access}'"):
                m.view(access="rw")
    if over_a_file:
        with NamedMap.create(name, file=path, access=access) as m, m.view() as view:
            try_to_store(m, view)
            assert NamedMap.open(name, access="r")[:] == b"0123456789"
    assert path.read_bytes() == b"0123456789"


TEXTS = [  # an encoding, bytes of memory, and the text in front of their first NUL
    ("utf-16-le", b"a\0b\0\0\0\x3d\xd8", "ab"),  # half a surrogate pair of an older text
    ("utf-16-le", b"\xfc\0\x3d\xd8\0\xde", "\u00fc\U0001f600"), ("utf-16-le", b"\0\0a\0", ""),
    ("utf-16-le", b"\x3d\xd8a\0\0\0", "\ufffda"), ("utf-16-le", b"a\0b", "a\ufffd"), ("utf-16-le", b"", ""),
    ("utf-16-le", b"\1\0\0\1\0\0x\0", "\1\u0100"), ("utf-16-be", b"a\0\0b\0\0\xd8\x3d", "\u6100b"),
    ("utf-8", b"caf\xc3\xa9\0\xff", "caf\u00e9"), ("utf-8", b"a\xffb\xe2\x82\0b", "a\ufffdb\ufffd"),
    ("cp1252", b"caf\xe9\x81\0\x81", "caf\u00e9\ufffd"), ("utf-8-sig", b"\xef\xbb\xbfx\0\xff", "x"),
    ("utf-16", b"a\0\0\0\xff", "a"), ("utf-32", b"a\0\0\0\0\0\0\0\xff\xff\xff\xff", "a"),
    ("utf-32-le", b"\0\0\0\1a\0\0\0\0\0\0\0", "\ufffda"), ("shift_jis", b"\x93\xfa\0\x93", "\u65e5")]


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
        for named in {"size": len(data)}, {"size": None}, {}:
            either[:] = b"\xdd" * 100
            assert either.write_text(text, 3, encoding=encoding, **named) == len(data)
            assert either[:] == b"\xdd" * 3 + data + b"\xdd" * (97 - len(data))
            assert either.read_text(97, 3, encoding=encoding) == either.read_text(-1, 3, encoding=encoding) == text
        assert either.write_text(text, 100 - len(data), encoding=encoding) == len(data)
        assert either.read_text(offset=100 - len(data), encoding=encoding) == text
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
            member = inspect.getattr_static(public, entry)
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if inspect.isfunction(function) and (entry[0] != "_" or entry.endswith("__")):
                typing.get_type_hints(function)


def test_views_of_a_thousand_ranges_show_the_same_memory(name):
    size, chance = 300000, random.Random(2)
    ranges = [(0, 1), (65535, 2), (65536, 100), (65537, 70000), (size - 1, 1), (0, size), (131073, None)]
    ranges += [(chance.randrange(size - 100), chance.randrange(1, 100)) for _ in range(1000)]
    with contextlib.ExitStack() as stack, NamedMap.create(name, size) as m:
        m[:] = model = bytearray(index * 7 % 251 for index in range(size))
        for (offset, length), view in [(each, stack.enter_context(m.view(*each))) for each in ranges]:
            length = size - offset if length is None else length
            view[-1] = model[offset + length - 1] = chance.randrange(256)
            assert view.size == len(view) == length and bool(view) and view[:] == model[offset:offset + length]
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
    for use in lambda: len(m), lambda: len(view), m.read_text, lambda: view.write_text("x"), view.__enter__:
        with pytest.raises(ValueError, match="is closed"):
            use()


def test_memory_is_not_mapped_before_it_is_used(name, fault):
    calls = fault("map_view")
    with NamedMap.create(name, 1 << 20) as m:
        assert (m.size, len(m), bool(m), m.created, m.access, m.name) == (1 << 20, 1 << 20, True, True, "rw", name)
        assert repr(m) == f"<NamedMap {name!r}, size={1 << 20}, access='rw', handle={m.handle:#x}>" and not calls
        m.view(0, 10).close()
        assert m[0] == m[1] == 0 and [call[2:4] for call in calls] == [(0, 10), (0, 1 << 20)]


@pytest.mark.skipif(sys.maxsize < 2 ** 32, reason="more than 4 GiB do not fit a 32-bit process")
def test_memory_beyond_4_gib_is_read_and_written(name, path):
    size = 2 ** 32 + 65541
    if ON_WINDOWS and free_memory() < size + 2 ** 30:
        pytest.skip("this machine cannot commit 5 GiB")
    elif not ON_WINDOWS:
        os.truncate(path, size)  # a file with holes, which takes no space
    with NamedMap.create(name, size, file=None if ON_WINDOWS else path) as m:
        m[2 ** 32 + 1] = 77
        m.write(b"end", size - 3)
        assert m[1] != 77 and (m[2 ** 32 + 1], m.read(3, size - 3)) == (77, b"end")


def test_view_of_a_huge_object_takes_only_its_own_pages(name):
    size, free = 5 * 2 ** 30, free_memory()
    with NamedMap.create(name, size, reserve=Index) as m, m.view(2 ** 32 + 70000, 10) as view:
        assert m.size == size and free_memory() > free - size // 2
        view[:] = b"0123456789"
        with m.view(2 ** 32 + 70000, 10) as same, m.view(70000, 10) as low, m.view(size - 1) as last:
            last[0] = 1
            assert same[:] == b"0123456789" and low[:] == bytes(10)


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
            for access in "rw", "r":
                with pytest.raises(OSError, match="not free") as caught:
                    m.view(0, 10, access=access, address=free)
                assert told(caught) == (487, name)
        assert is_free(free)


# ---------------------------------------------------------------- file mapping objects

FILE = "caf\u00e9 file.bin"  # of the fixture `path`


@pytest.mark.parametrize("form", [str, os.fsencode, lambda path: path, lambda path: path.name])
def test_create_over_a_path_of_any_form_reads_and_writes_the_file(form, name, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with NamedMap.create(name, 20, file=form(path)) as m, NamedMap.open(name) as other:
        assert (m.size, m.access, m.created, m[:]) == (20, "rw", True, b"0123456789" + bytes(10))
        other[15:20] = b"there"
        assert (other.size, other[:10]) == (20, b"0123456789")  # the size of a file is exact
    assert path.read_bytes() == b"0123456789" + bytes(5) + b"there"


@pytest.mark.parametrize("mode, access", [("r+b", "r"), ("r+b", "rw"), ("r+b", "c"), ("a+b", "rw"), ("rb", "r"),
                                          ("rb", "c")])
def test_create_over_an_open_file_duplicates_it(mode, access, path, name):
    with path.open(mode) as file:
        file.seek(3)
        if mode == "r+b":
            file.write(b"X")  # still in the buffer of Python
        contents, position = (b"012X456789", 4) if mode == "r+b" else (b"0123456789", 3)
        m = NamedMap.create(name, file=file, access=access)
        assert m[:] == contents and file.tell() == position
        forgotten = weakref.ref(file)
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
            m[69999] = 1
            assert m.view(69998)[:] == b"\0\1"
        for size, access in (12, "r"), (12, "rw"), (12, "c"), (70000, "r"):
            with NamedMap.create(None, size, file=file, access=access) as m:
                assert m.size == size and m[:12] == (before + bytes(12))[:12]
        assert file.read_bytes() == before + bytes(69999 - len(before)) + b"\1"


no_descriptor = ValueError if ON_WINDOWS else NotImplementedError  # for a malformed security descriptor
# What is given as the file, or opens it, other arguments, the exception, a part of its text, and the Win32 code.
REFUSED_FILES = [
    *[("missing", {"access": access, "size": size}, FileNotFoundError, 'a file is made if a size is given, with ', 2)
      for access, size in (("rw", None), ("r", None), ("r", 10), ("c", 10))],
    *[(file, {"size": 10}, FileNotFoundError, None, None) for file in (os.path.join("missing folder", "file"), "")],
    *[("empty", {"access": access}, OSError, "the file is empty; a size", 1006) for access in ("r", "rw")],
    *[(file, {"access": access, "size": 11}, ValueError, 'bytes, 11 were asked for, and only access="rw"', None)
      for file, access in ((FILE, "r"), ("empty", "c"), (lambda: open(FILE, "rb"), "r"))],
    *[("folder", {"access": access, "size": 10}, OSError, "^((?!may be allowed).)*$", None) for access in ("r", "rw")],
    *[(os.devnull, {"size": size}, OSError, "this is not a file on a disk", None) for size in (None, 10)],
    *[(file, {"size": 10}, ValueError, "a path must not contain NUL", None) for file in ("a\0b", b"a\0b")],
    (5, {}, TypeError, None, None),
    *[(file, {"size": size}, OSError, "no room|too large", None) for file in (FILE, "new")
      for size in (2 ** 60, 2 ** 63 - 1)],
    *[("locked", {"size": size}, PermissionError, 'access="r" may be allowed', 5) for size in (5, 5000)],
    (lambda: io.BytesIO(b"abc"), {}, TypeError, "a path or a file of the system is required, not BytesIO", None),
    (types.SimpleNamespace(fileno=lambda: 2 ** 40), {}, ValueError, "no file has the descriptor 1099511627776", None),
    (types.SimpleNamespace(fileno=lambda: 987, name="a"), {}, OSError, None, None),
    *[(lambda mode=mode: open(FILE, mode), {"access": access}, PermissionError, f"not opened for access='{access}'", 5)
      for mode, access in (("rb", "rw"), ("ab", "r"), ("ab", "rw"), ("ab", "c"))],
    *[(file, {"size": 100, "sddl": "D:(A;;GA;;;WD"}, no_descriptor, None, None) for file in (FILE, "new")]]


@pytest.mark.parametrize("file, arguments, error, text, code", REFUSED_FILES)
def test_create_over_a_file_that_cannot_be_mapped_leaves_it_alone(file, arguments, error, text, code, name, path,
                                                                  monkeypatch):
    def refuse():
        for named in name, None:
            with file() if callable(file) else contextlib.nullcontext(file) as opened:
                with pytest.raises(error, match=text) as caught:
                    NamedMap.create(named, file=opened, **arguments)
            if isinstance(caught.value, OSError):
                assert caught.value.filename == getattr(opened, "name", opened)
            assert code is None or told(caught)[0] == code

    monkeypatch.chdir(path.parent)
    path.with_name("empty").write_bytes(b"")
    path.with_name("locked").write_bytes(b"x")
    path.with_name("locked").chmod(0o444)
    path.with_name("folder").mkdir()
    if file == "locked":
        with contextlib.suppress(PermissionError), open(file, "r+b"):
            pytest.skip("root may write to all files")
    assert_no_growth(refuse, 3)
    path.with_name("locked").chmod(0o644)  # else Windows does not delete it
    assert gone(name) and sorted(os.listdir(".")) == [FILE, "empty", "folder", "locked"]
    assert [os.path.getsize(each) for each in ("empty", "locked")] == [0, 1] and path.read_bytes() == b"0123456789"


@linux
def test_create_over_a_fifo_or_a_link_that_leads_nowhere_raises_at_once(path):
    os.mkfifo(path.with_name("fifo"))
    with pytest.raises(OSError, match="this is not a file on a disk"):
        NamedMap.create(None, 10, file=path.with_name("fifo"), access="r")
    path.with_name("link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        NamedMap.create(None, 10, file=path.with_name("link"))
    assert not path.with_name("nowhere").exists()


FULL = """
import os, sys, namedmap
os.chdir(sys.argv[1])
with open("file", "wb") as file: file.write(b"0123456789")
for given in "file", open("file", "r+b"), "new":
    try: namedmap.NamedMap.create(sys.argv[2], 1 << 20, file=given)
    except OSError as error: print(error.strerror, os.path.getsize("file"), os.listdir("."))
"""


@linux
def test_create_over_a_file_on_a_full_disk_leaves_it_alone(name, tmp_path):
    lines = in_namespace(f"mount -t tmpfs -o size=64k tmpfs '{tmp_path}'", FULL, str(tmp_path), name)
    assert lines == 3 * ["No space left on device 10 ['file']"]


@pytest.mark.parametrize("access", ["r", "rw"])
def test_create_over_a_path_has_the_file_for_itself_on_windows(access, path, name):
    def refuse():
        for named, size in ((None, None), (name + " 2", 5)) if ON_WINDOWS else ():
            with pytest.raises(PermissionError, match="the file is open elsewhere") as caught:
                NamedMap.create(named, size, file=path, access=access)
            assert told(caught) == (32, str(path)) and "access=" not in str(caught.value)

    with path.open("r+b") as file:
        refuse()
        with NamedMap.create(name, file=file if ON_WINDOWS else path, access=access) as m:
            assert m[:] == b"0123456789"
    m = NamedMap.create(name, file=path, access=access)
    with pytest.raises(PermissionError) if ON_WINDOWS else contextlib.nullcontext():
        path.open("rb").close()
    refuse()
    m.close()
    path.open("r+b").close()
    m = NamedMap.create(name, file=path, access=access)
    del m  # forgotten
    path.open("r+b").close()


@windows
def test_create_over_a_file_that_another_program_has_open_for_a_moment_waits_for_it(path, fault):
    calls = fault("open_file", code=namedmap.ERROR_SHARING_VIOLATION, times=4)
    with NamedMap.create(None, file=path) as m:
        assert m[:] == b"0123456789" and len(calls) == 5


RACER = """
import sys, namedmap
done = 0
while done < 60:
    try:
        with namedmap.NamedMap.create(sys.argv[1], 4096, file=sys.argv[2], exist_ok=True): done += 1
    except PermissionError as error:  # the others had it at each attempt
        if getattr(error, "winerror", None) != namedmap.ERROR_SHARING_VIOLATION: raise
"""


def test_create_over_the_same_file_in_processes_at_once_succeeds_in_all(name, path, python):
    racers = [python(RACER, name, str(path.with_name("new"))) for _ in range(3)]
    assert [racer.end() for racer in racers] == [(0, [], "")] * 3


def test_create_over_a_file_looks_at_the_name_first(path, name):
    missing = path.parent / "missing"
    with NamedMap.create(name, PAGE) as memory:
        memory[:5] = b"there"
        for file in (path, missing):
            with pytest.raises(FileExistsError):
                NamedMap.create(name, 2 * PAGE, file=file)
            with NamedMap.create(name, 10, file=file, exist_ok=True) as m:
                assert (m.created, m.size, m[:5]) == (False, 10, b"there")
            with NamedMap.create(name, file=file, exist_ok=True, access="r") as m:
                assert (m.created, m.access, m.size) == (False, "r", PAGE)
            with pytest.raises(ValueError, match=f"has {PAGE} bytes, and {2 * PAGE} were asked for"):
                NamedMap.create(name, 2 * PAGE, file=file, exist_ok=True)
    with Event.create(name), pytest.raises(OSError, match="this is the name of an event"):
        NamedMap.create(name, file=missing)
    assert path.read_bytes() == b"0123456789" and not missing.exists()


@windows
def test_create_over_a_file_looks_at_a_name_with_a_descriptor_first(path, name, secured_mapping):
    secured_mapping("D:(A;;0x0005;;;WD)")
    for error, exist_ok in (FileExistsError, False), (PermissionError, True):
        with pytest.raises(error):
            NamedMap.create(name, 5000, file=path, exist_ok=exist_ok)
    with NamedMap.create(name, file=path, exist_ok=True, access="r") as m:
        assert not m.created
    assert path.read_bytes() == b"0123456789"


def test_create_over_a_file_that_another_process_has_just_made_opens_it(path, fault):
    new = path.parent / "new"
    calls = fault("open_file", before=lambda: len(calls) == 2 and new.write_bytes(b"0123456789"))
    with NamedMap.create(None, 5, file=new) as m:
        assert m[:] == b"01234"
    assert [is_new for _, _, is_new in calls] == [False, True, False] and new.read_bytes() == b"0123456789"


def test_create_over_a_file_closes_it_if_another_process_has_just_made_the_memory(name, path, fault):
    others = []
    fault("open_file", before=lambda: others.append(NamedMap.create(name, 10)))
    with NamedMap.create(name, 10, file=path, exist_ok=True) as m:
        assert not m.created
        path.open("r+b").close()
    others[0].close()
    with pytest.raises(FileExistsError) as caught:
        NamedMap.create(name, 10, file=path)
    assert told(caught) == (183, name)
    others[1].close()
    path.open("r+b").close()


@linux
@pytest.mark.parametrize("exist_ok", [False, True])
def test_create_over_a_file_that_another_process_has_just_mapped_leaves_it(exist_ok, name, path, fault):
    for file in path, path.with_name("new"):
        others = []
        fault("create_file_mapping", times=1, before=lambda: others.append(NamedMap.create(name, 20000, file=file)))
        with contextlib.suppress(FileExistsError):
            NamedMap.create(name, 20000, file=file, exist_ok=exist_ok).close()
        assert file.stat().st_size == 20000 and others[0][19999] == 0
        others[0].close()


@pytest.mark.parametrize("opened", [False, True], ids=["path", "open file"])
@pytest.mark.parametrize("size, grown, added, left", [
    (5000, 0, b"", 10), (5000, 4990, b"", 10), (None, 0, b"added", 15), (5, 0, b"added", 15), (20, 0, b"added", 15),
    (5000, 4990, b"added", 5005)])
def test_create_over_a_file_that_fails_takes_back_only_its_own_growth(opened, size, grown, added, left, name, path,
                                                                      fault):
    def grow():  # as the system, before it refuses the name, and other programs meanwhile
        os.lseek(calls[-1][5].value, 10, os.SEEK_SET)
        os.write(calls[-1][5].value, bytes(grown) + added)

    calls = fault("create_file_mapping", before=grow, code=8)
    with path.open("r+b") as file:
        opened or file.close()
        with pytest.raises(OSError, match="injected") as caught:
            NamedMap.create(name, size, file=file if opened else path)
    assert told(caught) == (8, str(path)) and path.read_bytes() == (b"0123456789" + bytes(grown) + added)[:left]


@pytest.mark.parametrize("found", [b"", bytes(10), b"added", bytes(10) + b"added"])
def test_create_over_a_new_file_that_fails_deletes_it_unless_others_have_written(found, name, path, fault, monkeypatch):
    def meddle():
        os.write(calls[-1][5].value, found)
        os.chdir(str(path.parent / "other"))

    path.with_name("other").mkdir()
    (path.parent / "other" / "new").write_bytes(b"another file")
    monkeypatch.chdir(path.parent)
    calls = fault("create_file_mapping", before=meddle, code=8)
    with pytest.raises(OSError, match="injected") as caught:
        NamedMap.create(name, 10, file="new")
    assert caught.value.filename == "new" and (path.parent / "other" / "new").read_bytes() == b"another file"
    assert path.with_name("new").read_bytes() == found if b"added" in found else not path.with_name("new").exists()


@linux
def test_create_over_a_new_file_that_fails_deletes_no_file_that_has_replaced_it(name, path, fault):
    fault("create_file_mapping", before=lambda: path.replace(path.with_name("new")), code=8)
    with pytest.raises(OSError, match="injected"):
        NamedMap.create(name, 10, file=path.with_name("new"))
    assert path.with_name("new").read_bytes() == b"0123456789"


@pytest.mark.parametrize("access, code, hint", [
    ("rw", 5, '; opening it for reading with access="r" may be allowed'), ("r", 5, ""), ("c", 5, ""), ("rw", 8, ""),
    ("rw", 2, '; a file is made if a size is given, with access="rw"')])
def test_create_over_a_file_that_cannot_be_opened_says_what_would_help(access, code, hint, path, fault):
    fault("open_file", code=code)
    with pytest.raises(OSError) as caught:
        NamedMap.create(None, file=path, access=access)
    assert told(caught)[0] == code and caught.value.strerror == "injected" + hint


@pytest.mark.parametrize("use", FIRST_USES)
def test_first_use_of_memory_that_cannot_be_mapped_raises_that_and_leaks_nothing(use, name, fault):
    def refuse():
        for code in 5, 8:
            calls = fault("map_view", code=code)
            with NamedMap.create(name, 100) as m:
                for _ in range(2):
                    with pytest.raises(OSError, match="injected") as caught:
                        use(m)
                    assert told(caught) == (code, name)
            assert gone(name) and len(calls) == 2

    assert_no_growth(refuse, 3)


@linux
def test_first_use_of_what_the_system_cannot_map_raises_its_errno(name):
    huge = f"/dev/shm/namedmap test {os.getpid()}"
    try:
        with open(huge, "w+b") as file, NamedMap.create(name, file=file.truncate(2 ** 62) and file, access="r") as m:
            with pytest.raises(OSError, match=r"map parts of a large object with view\(\)") as caught:
                m.read(1)
            assert (caught.value.errno, caught.value.filename) == (errno.ENOMEM, name)
            assert m.view(2 ** 61, 10)[:] == bytes(10)
    finally:
        os.unlink(huge)
    device = "/sys/kernel/mm/transparent_hugepage/enabled"  # a file that cannot be mapped
    if os.path.exists(device):
        with NamedMap.create(name, 1, file=device, access="r") as m, pytest.raises(OSError) as caught:
            m.read()
        assert (caught.value.errno, caught.value.filename) == (errno.ENODEV, name)


@pytest.mark.parametrize("method", ["flush_view", "fsync"])
def test_flush_that_fails_blames_the_file_and_keeps_nothing(method, name, path, fault, monkeypatch):
    def fsync(_):
        raise OSError(errno.EIO, "bad disk")

    def refuse():
        with NamedMap.create(name, file=path) as m, m.view(3) as view:
            for each in m, view:
                with pytest.raises(OSError, match="bad disk" if method == "fsync" else "injected") as caught:
                    each.flush()
                assert caught.value.filename == str(path)
        assert gone(name)
        path.open("r+b").close()

    if method == "fsync":
        monkeypatch.setattr(os, "fsync", fsync)
    else:
        fault("flush_view", code=8)
    assert_no_growth(refuse, 3)


@pytest.mark.parametrize("opened", [False, True], ids=["path", "open file"])
def test_flush_hands_over_its_pages_and_then_syncs_the_file(opened, path, name, fault, monkeypatch):
    done, fsync, size, found = [], os.fsync, 50 * PAGE + 1, path.stat()
    views = fault("flush_view", after=lambda: done.append(views[-1]))
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.fstat(file)) or fsync(file))

    def synced(memory, *part):
        """Flush, which has to hand over the pages from the first to the last byte; return which files it has synced."""
        offset, length = part if len(part) == 2 else (*part, memory.size - sum(part)) if part else (0, memory.size)
        done.clear()
        memory.flush(*part)
        begin, count = done.pop(0)
        assert [begin // PAGE, (begin + count - 1) // PAGE] == [
            (memory.address + offset) // PAGE, (memory.address + offset + length - 1) // PAGE]
        return [os.path.samestat(found, each) for each in done]

    with path.open("r+b") as file:
        opened or file.close()
        with NamedMap.create(name, size, file=file if opened else path) as m, NamedMap.open(name) as other:
            m[size - 1] = m[0] = 65
            for part in (), (PAGE - 1, 2), (5 * PAGE,), (PAGE, PAGE), (size - 1,):
                assert synced(m, *part) == [True] and synced(other, *part) == []  # which has no file
            view, reader, private = m.view(3 * PAGE - 7, 2 * PAGE), m.view(access="r"), m.view(access="c")
            assert synced(view, 10) == synced(view, 7, PAGE) == synced(reader) == synced(private) == [True]
            done.clear()
            m.flush(size)  # nothing, which FlushViewOfFile would take for everything
            assert [os.path.samestat(found, each) for each in done] == [True]
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


# ---------------------------------------------------------------- mutexes, events and semaphores

def session():
    """The number of the session: in 0 of Windows, Local and Global are the same."""
    number = wintypes.DWORD(1)
    assert not ON_WINDOWS or kernel32.ProcessIdToSessionId(os.getpid(), ctypes.byref(number))
    return number.value


@every_waitable
def test_create_and_open_of_a_name_give_handles_of_one_object(kind, name):
    opened, made = threads(lambda: kind.open(name, timeout=30), lambda: time.sleep(0.2) or kind.ready(name))
    assert (made.name, made.created, made.closed) == (name, True, False)
    assert repr(made) == f"<{kind} {name!r}, handle={made.handle:#x}>"
    others = [opened, kind.create(name, exist_ok=True), pickle.loads(pickle.dumps(made))]
    assert [(type(each), each.name, each.created) for each in others] == [(kind.cls, name, False)] * 3
    assert kind.take(made) and not any(in_thread(kind.take, each) for each in others)
    if kind is MUTEX:
        made.release()
    for each in (made, *others):
        assert not gone(name)
        each.close()
    assert gone(name)
    assert repr(made) == f"<{kind} {name!r}, closed>"
    assert (made.name, made.created, made.closed) == (name, True, True)


def test_release_by_another_thread_or_object_raises(name):
    mutex, other = Mutex.create(name), Mutex.open(name)
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


def test_close_of_a_held_mutex_raises_until_its_thread_ends(mutex, name):
    """Python's own object for a thread that it did not start would never end."""
    held, end = threading.Event(), threading.Event()
    _thread.start_new_thread(lambda: [mutex.acquire(), mutex.acquire(), held.set(), end.wait(60)], ())
    assert held.wait(60)
    with pytest.raises(RuntimeError, match="is held, and has to be released"):
        mutex.close()
    assert not mutex.closed and not gone(name)
    end.set()
    eventually(lambda: "held" not in repr(mutex), 60)
    mutex.close()
    assert gone(name)
    with pytest.raises(ValueError, match="is closed"):
        mutex.abandoned


def test_acquire_after_the_owner_has_ended_is_abandoned_once(mutex, name):
    in_thread(lambda: [mutex.acquire(), mutex.acquire()])
    with contextlib.closing(Mutex.open(name)) as other:
        assert not mutex.abandoned
        with other:
            assert other.abandoned and not mutex.abandoned
            with other:
                assert other.abandoned  # the owner acquires it once more
        with mutex:
            assert not mutex.abandoned and not in_thread(other.acquire, False) and other.abandoned
        with other:
            assert not other.abandoned
    assert is_free_for_others(mutex)


def test_release_by_a_thread_with_the_number_of_one_that_ended_raises(mutex):
    for attempt in range(50):
        assert in_thread(lambda: mutex.acquire(timeout=10) and mutex.abandoned) is (attempt > 0)
        with pytest.raises(RuntimeError):
            in_thread(mutex.release)


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
@pytest.mark.parametrize("is_abandoned_then", [False, True])
def test_release_of_a_mutex_that_other_code_has_released_raises(is_abandoned_then, mutex):
    for function in [mutex.acquire, lambda: kernel32.ReleaseMutex(wintypes.HANDLE(mutex.handle))]:
        assert function() and function()
    if is_abandoned_then:
        in_thread(mutex.acquire)
        assert in_thread(lambda: [mutex.acquire(timeout=10), mutex.abandoned, mutex.release()]) == [True, True, None]
    else:
        with pytest.raises(RuntimeError, match="does not hold"):
            mutex.release()
    assert "held" not in repr(mutex)


@linux
def test_fork_leaves_no_mutex_held_in_the_child(mutex):
    def work():
        for each in (mutex, other):
            assert "held" not in repr(each) and not each.acquire(False)
            with pytest.raises(RuntimeError):
                each.release()
            each.close()

    with MUTEX.busy() as other, mutex:
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
def test_set_lets_all_threads_go_on_or_one(manual_reset, lets_go_on):
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
    assert event.closed


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
    """There a large number is added one by one."""
    semaphore = Semaphore.create(None, 0)
    child = forked(lambda: semaphore.release(2 ** 31 - 100))
    eventually(lambda: semaphore.acquire(False), 60)
    assert end_of(child, signal.SIGKILL) == -signal.SIGKILL
    before = semaphore.release()
    assert [semaphore.release(), semaphore.release()] == [before + 1, before + 2]


# ---------------------------------------------------------------- waiting

@pytest.mark.parametrize("timeout", [0, 0.25])
@every_waitable
@every_wait
def test_wait_ends_with_its_time_and_consists_of_short_slices(wait, kind, timeout, fault):
    """Neither Ctrl+C nor close() can end a slice."""
    with kind.busy() as thing:
        calls, begin, used = fault("wait"), time.perf_counter(), time.process_time()
        assert not wait(kind, thing, timeout)
        assert time.perf_counter() - begin >= timeout
        slices = [seconds for _, seconds, _ in calls]
        if timeout:
            assert max(slices) <= 0.1 and len(slices) < 60
            assert time.process_time() - used < timeout / 2 + 0.05  # it does not spin
        else:
            assert slices == [0]


@every_wait
@pytest.mark.parametrize("kind, is_killed", [*[(kind, False) for kind in WAITABLES], (MUTEX, True)])
def test_wait_ends_when_another_process_gives_it_back_or_is_killed(kind, is_killed, wait, name, python):
    code = ("import sys, namedmap\n"
            "thing = getattr(namedmap, sys.argv[1]).open(sys.argv[2])\n"
            "thing.wait() if sys.argv[1] == 'Event' else thing.acquire()\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "thing.set() if sys.argv[1] == 'Event' else thing.release()\n"
            "sys.stdin.readline()\n")
    with contextlib.closing(kind.ready(name)) as thing:
        other = python(code, str(kind), name)
        assert other.line() == "ready" and not kind.take(thing)
        threading.Timer(0.3, other.popen.kill if is_killed else other.enter).start()
        assert wait(kind, thing, 60) and not in_thread(kind.take, thing)
        if kind is MUTEX:
            assert thing.abandoned is is_killed
            thing.release()


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


@pytest.mark.parametrize("error", [Interrupt, ValueError], ids=["signal", "close"])
@every_waitable
@every_wait
def test_wait_ends_soon_by_a_signal_or_close(wait, kind, error, name, signals, fault):
    with kind.busy(name), contextlib.closing(kind.open(name)) as thing:
        calls = fault("wait")
        signals(0.3) if error is Interrupt else threading.Timer(0.3, thing.close).start()
        begin = time.perf_counter()
        with pytest.raises(error, match="is closed" if error is ValueError else None):
            wait(kind, thing, None)
        assert time.perf_counter() - begin < 20
        assert all(0 < seconds <= 0.1 for _, seconds, _ in calls)
    assert gone(name)


MOMENTS_OF_A_WAIT = {  # what happens right after a slice, with the object and another one, and what the wait raises
    "interrupt": (lambda thing, other: raise_interrupt(), Interrupt),
    "close": (lambda thing, other: in_thread(thing.close), ValueError),
    "close and interrupt": (lambda thing, other: (in_thread(thing.close), raise_interrupt()), Interrupt),
    "close of another": (lambda thing, other: other.close(), ValueError),
}


@pytest.mark.parametrize("moment", MOMENTS_OF_A_WAIT)
@every_waitable
@pytest.mark.parametrize("is_first", [True, False])
def test_wait_that_fails_gives_back_what_it_got(is_first, kind, moment, name, fault):
    happens, error = MOMENTS_OF_A_WAIT[moment]
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
    in_thread(mutex.acquire)  # which the first time is abandoned
    for held in range(call is Mutex.release, 3):
        for _ in range(held):
            mutex.acquire()
        fault(method, times=1, **{moment: raise_interrupt})
        with pytest.raises(Interrupt):
            call(mutex)
        for _ in range(held - undone):
            assert ", held" in repr(mutex) and not is_free_for_others(mutex)
            mutex.release()
        assert "held" not in repr(mutex) and is_free_for_others(mutex)
        with pytest.raises(RuntimeError):
            mutex.release()


def test_interrupt_of_a_wait_does_not_set_a_manual_reset_event_again(fault):
    with Event.create(initial_state=True) as event:
        fault("wait", after=lambda: (event.clear(), raise_interrupt()))
        with pytest.raises(Interrupt):
            event.wait()
        assert not event.is_set()


@pytest.mark.parametrize("error", [PermissionError, RuntimeError, ValueError])
@every_waitable
def test_interrupt_is_raised_although_what_was_got_cannot_be_given_back(kind, error, fault):
    for method in "release_mutex", "set_event", "release_semaphore":
        fault(method, raises=error("injected"))
    fault("wait", after=raise_interrupt)
    with pytest.raises(Interrupt):
        kind.take(kind.ready())


def test_interrupt_of_release_when_another_thread_has_got_the_mutex_leaves_it_held_there(mutex, fault):
    mutex.acquire()
    with ThreadPoolExecutor(1) as other:
        fault("release_mutex", after=lambda: (other.submit(mutex.acquire).result(60), raise_interrupt()), times=1)
        with pytest.raises(Interrupt):
            mutex.release()
        assert ", held" in repr(mutex) and not mutex.acquire(False)
        with pytest.raises(RuntimeError):
            mutex.release()
        other.submit(mutex.release).result(60)
    assert "held" not in repr(mutex)


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
    chance = random.Random(7)
    for _ in range(150 * ROUNDS):
        semaphore = Semaphore.create(None, 0, 10)
        with contextlib.suppress(Interrupt):
            signals(chance.uniform(1e-5, 6e-5))
            while True:
                semaphore.release()
                semaphore.acquire()
        assert in_thread(semaphore.release) in (0, 1)


def test_wait_any_gets_the_first_that_is_free_and_leaves_the_others(mutex):
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


def test_wait_any_of_64_gets_the_last_one(mutex):
    in_thread(mutex.acquire)
    events = [Event.create() for _ in range(63)]
    assert wait_any(events, 0.05) is None
    for is_abandoned in (True, False):
        assert wait_any([*events, mutex], 10) is mutex and mutex.abandoned is is_abandoned
        mutex.release()
    assert is_free_for_others(mutex)


def test_wait_any_does_not_count_that_events_were_set_before():
    with Event.create() as often, Event.create() as never:
        for _ in range(3):
            often.set()
            often.clear()
        for events in [often], [often, never], [never, often]:
            assert wait_any(events, 0.05) is None


# ---------------------------------------------------------------- random steps

class Model:
    """What a class, or an object of it, should do; all objects of one name share a state, which `names` has."""

    def __init__(self, cls, names, state):
        self.cls, self.names, self.state, self.held, self.closed = cls, names, state, 0, False
        state.objects += 1

    def __del__(self):
        self.state.objects -= not self.closed
        self.closed = True

    def open(self, name):
        state = self.names.get(name)
        if state is None or not state.objects:
            raise FileNotFoundError
        if state.cls is not self.cls:
            raise OSError  # the name of another kind
        return Model(self.cls, self.names, state)

    def create(self, name, exist_ok, size=0, value=0, maximum=0):
        with contextlib.suppress(FileNotFoundError):
            found = self.open(name)
            if not exist_ok:
                raise FileExistsError
            return found
        self.names[name] = types.SimpleNamespace(cls=self.cls, objects=0, lock=threading.RLock(), value=value,
                                                 maximum=maximum)
        return Model(self.cls, self.names, self.names[name])

    def used(self):
        if self.closed:
            raise ValueError
        return self.state

    def close(self):
        if self.held:
            raise RuntimeError
        self.__del__()

    def acquire(self, timeout):
        state = self.used()
        got = state.lock.acquire(False) if self.cls is Mutex else state.value > 0
        self.held += got and self.cls is Mutex
        state.value -= got
        return got

    def release(self, n=1):
        state, before = self.used(), self.state.value
        if self.cls is Mutex:
            if not self.held:
                raise RuntimeError
            state.lock.release()
            self.held -= 1
            return None
        if not 0 < n <= state.maximum - before:
            raise ValueError
        state.value += n
        return before


STEPS = {  # what is done with a class, and with its objects; and what was drawn for it
    type: [*2 * [lambda cls, a: cls.create(a.name, exist_ok=a.flag, **a.options)], lambda cls, a: cls.open(a.name)],
    Mutex: [*3 * [lambda mutex, a: mutex.acquire(timeout=0), lambda mutex, a: mutex.release()],
            lambda mutex, a: mutex.close()],
    Semaphore: [lambda semaphore, a: semaphore.acquire(timeout=0), lambda semaphore, a: semaphore.release(a.n),
                lambda semaphore, a: semaphore.close()],
    NamedMap: [lambda m, a: m.closed, lambda m, a: m.close()]}


def test_random_steps_are_those_of_the_models(name):
    chance, seen, names = random.Random(1), collections.Counter(), {}
    things = [(cls, Model(cls, names, types.SimpleNamespace(objects=0))) for cls in (Mutex, Semaphore, NamedMap)]

    def outcome(call, thing, drawn):
        try:
            return call(thing, drawn)
        except (OSError, ValueError, RuntimeError) as error:
            return type(error)

    def step():
        pair, n = chance.choice(things[:3] + things), chance.randrange(4)
        call = chance.choice(STEPS[type(pair[0])])
        options = {NamedMap: {"size": 100}, Semaphore: {"value": n, "maximum": n + 2}}.get(pair[0], {})
        drawn = types.SimpleNamespace(name=f"{name} {chance.randrange(9)}", n=n, flag=n % 2, options=options)
        got, expected = (outcome(call, each, drawn) for each in pair)
        if isinstance(expected, Model) and isinstance(got, expected.cls):
            things.append((got, expected))
        else:
            assert got == expected, (inspect.getsource(call), pair, drawn, got, expected)
        seen[expected.__name__ if isinstance(expected, type) else "done"] += 1
        place = chance.randrange(3, 100)
        if place < len(things) - 1 and not things[place][1].held:
            del things[place]  # forgotten, but a held mutex would stay locked

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for _ in range(6000 * ROUNDS):  # in one of two threads at a time
            chance.choice([one, other]).submit(step).result(60)
    assert len(seen) == 6 and min(seen.values()) > 20, seen
    things.clear()
    assert all(map(gone, names))


USED_AT_ONCE = {
    MEMORY: [lambda m: m.write(b"x" * 100), lambda m: m.read(), lambda m: m.overlay(ctypes.c_int).value,
             lambda m: m.view().read(), lambda m: m.flush(), lambda m: m.close()],
    MUTEX: [lambda mutex: mutex.acquire(False) and mutex.release()],  # one that is closed could not be released
    EVENT: [Event.set, Event.clear, Event.is_set, Event.close, lambda event: wait_any([event, event], 0.001)],
    SEMAPHORE: [lambda semaphore: semaphore.acquire(False), Semaphore.release, Semaphore.close]}


@every_kind
def test_random_calls_of_two_threads_at_once_do_no_harm(kind, name):
    def work():
        for _ in range(500 * ROUNDS):
            try:
                if chance.random() < 0.8:
                    chance.choice(USED_AT_ONCE[kind])(chance.choice(slots))
                else:
                    made = kind.open(name) if chance.random() < 0.5 else kind.create(name, exist_ok=True)
                    slots[chance.randrange(3)] = made
            except (FileNotFoundError, ValueError) as error:  # the other thread has closed it
                assert re.search("nothing has this name|is closed", str(error))

    def both():
        slots[:] = [kind.create(name, exist_ok=True) for _ in range(3)]
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
# A missing file is made only for a size.
$ create new --file missing  # 1
namedmap: new: missing: …; a file is made if a size is given, with access="rw"
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
$ read demo --encoding ascii
a
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
# Text in records ends at its first NUL.
$ write demo --from-hex 61620063ff7a004700fc00000000d8
$ read demo --struct "<5sc2xBp"
b'ab' b'z' 0 b''
# In records, W is wide text, and has the byte order of the format.
$ write demo --from-hex 61620063ff7a004700fc00000000d8
$ read demo --struct "<7x4W"
'Gü'
$ read demo --struct "cW"
b'a' '挀'
$ read demo --struct ">c2W"
b'a' '戀揿'
# Where more is asked for than there is, there is less.
$ write demo end --offset 4088
$ read demo --offset 4088 --size 1M --hex
00000ff8  65 00 6e 00 64 00 00 00                          |e.n.d...|
00001000
# A record is read whole.
$ read demo --offset 4090 --struct "<Q"  # 1
namedmap: demo: 8 bytes at offset 4090 are not inside the memory, which has 4096 bytes
# An offset behind the end is an error.
$ read demo --offset 4096 --size 1  # 1
namedmap: demo: offset 4096 is not inside the memory, which has 4096 bytes
# With --timeout, text is waited for.
$ read demo --timeout 60
> write demo text
text
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
# What is no memory is not read.
$ read lock  # 1
namedmap: lock: this is the name of a mutex, and objects of different kinds cannot have the same name
# Nothing has the name.
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
access: rw
open:   …
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
# Names are checked.
$ create 'Local\'  # 2
namedmap create: error: argument NAME: a name must not be empty or only a prefix: 'Local\'
$ read 'local\demo'  # 2
namedmap read: error: argument NAME: a backslash may only follow …: 'local\demo'
# Numbers may be hexadecimal, and have a unit.
$ read ten --offset 0x2K  # 1
namedmap: ten: offset 2048 is not inside the memory, which has 10 bytes
$ read ten --offset 0X1f  # 1
namedmap: ten: offset 31 is not inside the memory, which has 10 bytes
# Numbers of bytes are checked.
$ read demo --size 4Q  # 2
namedmap read: error: argument --size: not a number of bytes such as 4096, 0x1000, 64K, 16M or 2G: '4Q'
$ read demo --size 0  # 2
namedmap read: error: argument --size: a size must be 1 to 2**63-1 bytes, not 0
$ read demo --offset 8589934592G  # 2
namedmap read: error: argument --offset: an offset must be 0 to 2**63-1 bytes, not 9223372036854775808
# Seconds are checked.
$ read --watch demo  # 2
namedmap read: error: argument --watch: could not convert string to float: 'demo'
$ create new --hold nan  # 2
namedmap create: error: argument --hold: a timeout must be 0 to … seconds, or None for ever, not nan
# Formats of records are checked.
$ read demo --struct "<Y"  # 2
namedmap read: error: argument --struct: bad char in struct format
$ read demo --struct 0s  # 2
namedmap read: error: argument --struct: a format must have at least one byte
$ read demo --struct "<Q" --size 12  # 2
namedmap read: error: --size 12 is not a multiple of the 8 bytes of --struct
# Encodings are checked.
$ read demo --encoding hex  # 2
namedmap read: error: argument --encoding: 'hex' is not a text encoding…
# Forms exclude each other.
$ read demo --raw --hex  # 2
namedmap read: error: argument --hex: not allowed with argument --raw
# Digits of bytes are checked.
$ write demo --from-hex 0g  # 2
namedmap write: error: argument --from-hex: non-hexadecimal number found in fromhex() arg at position 1
# Contents are given in one way.
$ write demo  # 2
namedmap write: error: nothing to write: give TEXT, --from-hex or --input
$ write demo text --from-hex 00  # 2
namedmap write: error: TEXT, --from-hex and --input exclude each other
$ write demo "ü" --encoding ascii  # 2
namedmap write: error: TEXT cannot be encoded: 'ascii' codec can't encode character '\xfc' in position 0: …
# A command is required.
$  # 2
namedmap: error: the following arguments are required: COMMAND
$ nonsense  # 2
namedmap: error: argument COMMAND: invalid choice: 'nonsense' (choose from …)
# Arguments are checked.
$ list a b  # 2
namedmap list: error: unrecognized arguments: b
$ read demo --nonsense  # 2
namedmap read: error: unrecognized arguments: --nonsense
"""


SIGNALS = [getattr(signal, each) for each in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, each)]


@pytest.fixture
def ctrl_c():
    """Ctrl+C raises KeyboardInterrupt, also where a parent process has this one ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("heading, transcript", re.findall(r"^# (.*)\n((?:(?!# ).*\n)+)", TRANSCRIPTS, re.M))
def test_transcript(heading, transcript, name, capsys, monkeypatch, tmp_path, ctrl_c):
    def sleep(seconds):
        if meanwhile:
            assert namedmap.main(shlex.split(meanwhile.pop(0))) == 0
        else:
            send(SIGNALS[next(_counter) % len(SIGNALS)])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["namedmap"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(time, "sleep", sleep)
    for each in ("file", "ten"):
        (tmp_path / each).write_bytes(b"0123456789")
    unique, handlers = re.sub(r"\W", "_", name.partition("\\")[2]), [*map(signal.getsignal, SIGNALS)]
    transcript = re.sub(r"\b(demo|ten|lock|bell|new)\b", rf"\1_{unique}", transcript)
    with NamedMap.create(f"demo_{unique}", 4096), NamedMap.create(f"ten_{unique}", file="ten"), \
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
    """Whether a text is as in a transcript."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), text, re.S)


def piped(*arguments, program=("-m", "namedmap"), env=(), **options):
    """The command line as a process: (exit status, standard output, standard error), all in bytes."""
    process = subprocess.run([sys.executable, *program, *arguments], cwd=HERE, timeout=120,
                             env={**os.environ, "PYTHONUTF8": "1", **dict(env)},
                             **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
    return process.returncode, process.stdout, process.stderr


def test_usage_shows_how_the_program_was_started(tmp_path):
    copied = shutil.copy(namedmap.__file__, tmp_path / "_copy.py")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.write(copied, "namedmap.py")
        archive.writestr("__main__.py", "import namedmap; raise SystemExit(namedmap.main())")
    for program, shown in ((["-m", "namedmap"], "python -m namedmap"), ([str(tmp_path / "app.zip")], "app.zip"),
                           (["-OO", "-I", str(copied)], "_copy.py")):
        for arguments in ([], ["read"]):
            status, out, err = piped(*arguments, "--help", program=program)
            assert (status, err) == (0, b"") and out.decode().startswith(" ".join(["usage:", shown, *arguments, "["]))
    assert piped("--version") == (0, f"namedmap {namedmap.__version__}{os.linesep}".encode(), b"")


def test_bytes_go_in_and_come_out_as_they_are(name, cli):
    octets = bytes(range(256)) * 10000 + b"\r\n\n\x1a\0end"
    assert cli("write", name, "--input", "-").end()[0] == 1  # nothing is read where there is no memory
    process = cli("create", name, "--input", "-")
    process.popen.stdin.write(octets)
    process.popen.stdin.close()
    assert process.line() == f"{name}: {len(octets)} bytes, held until Enter or Ctrl+C"
    assert piped("read", name, "--raw", "--size", str(len(octets))) == (0, octets, b"")
    assert piped("write", name, "--input", "-", "--offset", "10", input=octets[10:]) == (0, b"", b"")
    assert piped("read", name, "--raw", "--offset", "5", "--size", "10") == (0, octets[5:15], b"")
    assert piped("write", name, "one\r\ntwo\nthree") == (0, b"", b"")  # while text has the line ends of the system
    assert piped("read", name) == (0, os.linesep.join(["one", "two", "three", ""]).encode(), b"")
    assert process.popen.poll() is None  # the end of its input does not end it


def test_input_without_end_is_refused(name):
    with NamedMap.create(name, 4096):
        for arguments, room in ((["write", name], 4096), (["create", name + "x", "--size", "5000"], 5000),
                                (["create", name + "x"], 64 << 20)):
            with subprocess.Popen([sys.executable, "-c", "while True: print('.' * 65536)"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source:
                status, out, err = piped(*arguments, "--input", "-", stdin=source.stdout)
                source.kill()
            assert (status, out) == (1, b"") and b"standard input has more than the %d bytes" % room in err


@pytest.mark.parametrize("encoding, unit", [("utf-16-le", 2), ("utf-8", 1), ("utf-7", 1)])
def test_text_may_be_longer_than_what_is_looked_at_at_once(encoding, unit, name, capsys):
    with NamedMap.create(name, 2 ** 21) as m:
        for count in range(2 ** 20 // unit - 12, 2 ** 20 // unit):
            m.write((count * "x" + "h\u00e4\u20ac\U0001f600\r\nnext\0rest").encode(encoding))
            status, out, err = run(capsys, "read", name, "--encoding", encoding)
            assert (status, out.lstrip("x"), err) == (0, "h\u00e4\u20ac\U0001f600\nnext\n", "")


def test_a_part_of_a_huge_object_is_used_without_mapping_the_rest(name, capsys, fault):
    end, mapped = str(2 ** 33 - 100), fault("map_view")
    with NamedMap.create(name, 2 ** 33, reserve=True):
        assert run(capsys, "read", name) == (0, "\n", "")
        assert run(capsys, "write", name, "the end", "--offset", end) == (0, "", "")
        assert run(capsys, "read", name, "--offset", end) == (0, "the end\n", "")
        assert run(capsys, "read", name, "--offset", end, "--size", "4", "--hex") == (
            0, "1ffffff9c  74 00 68 00                                      |t.h.|\n1ffffffa0\n", "")
        assert len(mapped) >= 4 and max(arguments[3] for arguments in mapped) <= 2 ** 20 + 2 ** 16
        assert run(capsys, "list", name)[1] == f"  8589934592  {name}\n" and "reserved" in run(capsys, "info", name)[1]


def test_readers_let_their_publisher_start_again(name, cli):
    def publish():
        try:
            return made.append(NamedMap.create(name, PAGE * number)) or True
        except FileExistsError:
            return False  # a reader is just looking at what had the name before

    made = []
    watching, dumping = (cli("read", name, "--watch", "--timeout", "60", *form) for form in (
        ["--struct", "<I"], ["--hex"]))
    waiting = cli("read", name, "--offset", "4", "--timeout", "60")
    for number in range(1, 5):
        eventually(publish, 60)
        with made.pop() as m:
            m.overlay(ctypes.c_uint32).value = number
            for process, last in (watching, str(number)), (dumping, f"{PAGE * number:08x}"):
                while process.line() != last:
                    assert process.popen.poll() is None
            if number == 4:
                m.write_text("end", 4)
                assert waiting.end() == (0, ["end"], "")
                brief = cli("read", name, "--offset", "4", "--watch")
                assert brief.line() == "end"
    status, lines, err = brief.end()  # without --timeout
    assert (status, lines) == (1, []) and "nothing has this name now" in err


def test_watch_of_much_that_stays_as_it_is_takes_little_time(name, capsys, monkeypatch):
    def pause(seconds):
        now = time.perf_counter()
        rounds.append(seconds / (now - begun.pop()))
        begun.append(now)
        if len(rounds) == 5:
            raise KeyboardInterrupt

    rounds, begun = [], [time.perf_counter()]
    with NamedMap.create(name, 2 ** 26):
        monkeypatch.setattr(time, "sleep", pause)
        assert run(capsys, "read", name, "--raw", "--watch")[0] == 0
    assert min(rounds[1:]) > 5


@pytest.mark.parametrize("arguments", [
    "create NAME text --hold 600", "read NAME --timeout 600", "read THERE --watch 0", "read THERE --hex --watch",
    "read THERE --raw", "write THERE text", "info THERE", "list --all", "--help"])
def test_ctrl_c_at_any_moment_ends_a_command_and_leaves_nothing(arguments, name, capsys, ctrl_c):
    arguments = [name + each if each in ("NAME", "THERE") else each for each in arguments.split(" ")]
    chance, statuses = random.Random(4), []
    with NamedMap.create(name + "THERE", 2 ** 16):
        for _ in range(10 * ROUNDS):
            sender = threading.Timer(chance.random() * chance.choice([0.001, 0.01, 0.1]), send)
            try:
                sender.start()
                statuses.append(run(capsys, *arguments)[0])
                sender.cancel()
            except KeyboardInterrupt as error:  # before or after main()
                assert namedmap.__file__ not in [each.filename for each in traceback.extract_tb(error.__traceback__)]
            signal.signal(signal.SIGINT, lambda *_: None)  # join() must not be interrupted
            sender.join()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            captured = capsys.readouterr()
            assert "Traceback" not in captured.err and "ignored" not in captured.err
            assert gone(name + "NAME")
    assert set(statuses) <= {0, 1}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_the_program_handles_does_not_end_create(number, name, capsys):
    got = []
    before = signal.signal(number, lambda *_: got.append(number))
    sender = threading.Timer(0.2, send, [number])
    sender.start()
    assert run(capsys, "create", name, "--hold", "0.5")[0] == 0 and got == [number]
    signal.signal(number, before)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_that_nothing_reads_or_that_are_full_or_closed(unbuffered, name):
    def status_and_error(*arguments, **options):
        return piped(*arguments, env={"PYTHONUNBUFFERED": unbuffered}, **options)[::2]

    reading, writing = os.pipe()
    os.close(reading)
    with NamedMap.create(name, 4 << 20) as m, open(os.devnull if ON_WINDOWS else "/dev/full", "wb") as full:
        m.write_text("short")
        for arguments in (["read", name], ["read", name, "--raw"], ["read", name, "--hex", "--watch"], ["list"],
                          ["create", name, "--exist-ok"], ["--help"]):
            assert status_and_error(*arguments, stdout=writing) == (1, b""), arguments  # quietly
        for stream in (writing, full):
            assert status_and_error("create", "x", "--input", "no such file", stderr=stream)[0] == 1
            assert status_and_error("read", stderr=stream)[0] == 2
        for arguments in () if ON_WINDOWS else (["read", name], ["read", name, "--raw"], ["--help"]):
            status, error = status_and_error(*arguments, stdout=full)
            assert status == 1 and error.endswith(b"standard output: No space left on device\n")
        for arguments, status in () if ON_WINDOWS else ((["read", name], 0), (["read"], 2), (["read", "x"], 1)):
            shell = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "namedmap", *arguments]
            assert subprocess.run(shell, cwd=HERE, timeout=60).returncode == status
    os.close(writing)


def test_an_output_that_takes_only_a_part_at_once_or_no_bytes(name, capsys, monkeypatch):
    class Console(io.RawIOBase):
        """As that of Windows, without a buffer as of `python -u`."""

        def writable(self):
            return True

        def write(self, octets):
            written.append(bytes(octets[:16383]))
            return len(written[-1])

    written, octets = [], bytes(range(1, 97)) * 640
    with NamedMap.create(name, len(octets)) as m:
        m[:] = octets
        with contextlib.redirect_stdout(io.TextIOWrapper(Console(), "ascii", newline="\n", write_through=True)):
            assert namedmap.main(["read", name, "--raw"]) == 0
            assert namedmap.main(["read", name, "--encoding", "ascii"]) == 0
        assert b"".join(written) == octets + octets.replace(b"\r", b"\n") + b"\n"
        with contextlib.redirect_stdout(io.StringIO()):
            assert namedmap.main(["read", name, "--raw"]) == 1
    assert capsys.readouterr().err.endswith(f"{name}: standard output: it takes text, not bytes\n")


def test_every_line_stays_one_line_whatever_the_console_lacks(name, capsys):
    strange, shown = name + "\n\x1b[31m\x85", name + "\\x0a\\x1b[31m\\x85"
    assert run(capsys, "read", strange)[2].startswith(f"namedmap: {shown}: nothing has this name now")
    assert run(capsys, "create", strange, "--hold", "0")[1].startswith(f"{shown}: 256 bytes")
    full = name + "\u00fc\u65e5"
    with NamedMap.create(strange, 1), NamedMap.create(full, 4096) as m:
        assert run(capsys, "list", strange) == (0, f"        4096  {shown}\n", "")
        m.write(full.encode("utf-16-le"))
        for command in (["info", full], ["read", full], ["create", full, "--exist-ok", "--hold", "0"]):
            for encoding in ("ascii", "cp1252"):
                status, out, err = piped(*command, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding})
                assert (status, err) == (0, b"")
                assert "\u00fc\u65e5".encode(encoding, "backslashreplace") in out


def test_info_shows_what_has_it_open(name, python, capsys):
    with NamedMap.create(name, 1):
        other = python("import namedmap, sys; m = namedmap.NamedMap.open(sys.argv[1]); print('open', flush=True); "
                       "input()", name)
        assert other.line() == "open"
        line = run(capsys, "info", name)[1].splitlines()[-1]
        assert line == "open:   " + ("handles: 2" if ON_WINDOWS else "processes: " + ", ".join(
            map(str, sorted([os.getpid(), other.popen.pid]))))


@windows
@pytest.mark.parametrize("sddl, facts, listed", [
    ("D:(A;;0x0005;;;WD)", ["size:   4096 bytes; …", "pages:  committed", "access: r", "open:   handles: 1"], "4096"),
    ("D:(A;;0x0006;;;WD)", ["size:   4096 bytes", "pages:  unknown: …", "access: rw", "open:   handles: 1"], "4096"),
    ("D:(A;;0x0001;;;WD)", ["access: none: access is denied by the security descriptor …"], "-"),
])
def test_info_and_list_show_what_a_descriptor_leaves(sddl, facts, listed, name, capsys, secured_mapping):
    secured_mapping(sddl)
    status, out, err = run(capsys, "info", name)
    assert status == 0 and matches("\n".join([f"name:   {name}", "kind:   file mapping object", *facts, ""]), out)
    assert run(capsys, "list", name) == (0, f"{listed:>12}  {name}\n", "")


def test_list_leaves_out_what_has_gone_meanwhile(memory, capsys, fault):
    fault("section_facts", raises=FileNotFoundError(errno.ENOENT, "it has gone meanwhile"))
    assert run(capsys, "list", memory.name) == (0, "", "")


def test_mutated_command_lines_give_no_traceback(name, capsys, monkeypatch, tmp_path):
    typed = [shlex.split(line) for line in re.findall(r"^\$(.*?)(?:  #.*)?$", TRANSCRIPTS, re.M)]
    words = ["", " ", "\0", "\n", "\ud800", "x" * 300, "9" * 30, "\\", *{word for line in typed for word in line}]
    chance, statuses = random.Random(4), []
    monkeypatch.chdir(tmp_path)
    sys.stderr.reconfigure(errors="backslashreplace")  # as the real one is
    monkeypatch.setattr(time, "sleep", raise_interrupt)  # as Ctrl+C ends what waits for something
    (tmp_path / "file").write_bytes(b"input")
    with NamedMap.create(re.sub(r"\W", "_", name), 4096) as m:
        for _ in range(500 * ROUNDS):
            arguments = [re.sub(r"\b(demo|ten|new)\b", m.name, word) for word in chance.choice(typed[:-4])]
            place = chance.randrange(len(arguments))
            cut, character = chance.randint(0, len(arguments[place])), chance.choice("a01fK -\\%\u00e4\u65e5.*[")
            changed = arguments[place][:cut] + character + arguments[place][cut + chance.randint(0, 1):]
            arguments[place:place + 1] = chance.choice(
                [[changed], [changed], [chance.choice(words)], [arguments[place], chance.choice(words)], []])
            status, out, err = run(capsys, *arguments)
            statuses.append(status)
            shape = {0: r"(namedmap: .+\n)?", 1: r"namedmap: .+\n", 2: r"(?s)usage: .*"}[status]
            assert re.fullmatch(shape, err) and "Traceback" not in err, (arguments, status, err)
    assert min(statuses.count(status) for status in (0, 1, 2)) >= 30


# ---------------------------------------------------------------- other programs, interpreters and systems

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
    assert other[:2] == bytes(2) and namedmap._layer.kind_of_name(name) == "file mapping object"
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
    assert begin(read).end()[2].startswith(error if ON_WINDOWS else error.partition("running")[0])  # advice differs
    process = python(writer)
    assert begin(f"{read} --timeout 60").end() == (0, message, "")
    process.enter()
    assert process.end() == (0, ["Enter ends it "], "")


def test_python_of_the_readme_that_coordinates(name, python):
    demo = name.split("\\")[1]
    turns, waits, until_set = (code.replace("demo", demo) for code in readme_blocks("Coordination"))
    quit_, alive = Event.create(demo + " quit"), Mutex.create(demo + " alive")
    for is_told in False, True:
        with alive:
            process = python(f"{turns}\n{waits}")
            assert process.line() == "1"
            if is_told:
                quit_.set()
                process.popen.wait(60)
        assert process.end() == (0, [], "")
    code = f"import asyncio, namedmap\n{until_set}\nasyncio.run(until_set(namedmap.Event.create(initial_state=True)))"
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
    """The other side in C."""
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
