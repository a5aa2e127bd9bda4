"""Tests of namedmap.

On Windows, and on Windows Pythons under Wine, they use kernel32 in real processes; on Linux and macOS the POSIX layer.
NAMEDMAP_PEER may name the compiled examples/peer.c; otherwise gcc is looked for. NAMEDMAP_OTHER_PYTHON may name a
Windows Python of the other word size, 32 or 64 bit.
"""
import _thread
import array
import ast
import collections
import contextlib
import copy
import ctypes
import errno
import fractions
import functools
import gc
import importlib.util
import inspect
import io
import itertools
import math
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
import tempfile
import threading
import time
import traceback
import tracemalloc
import types
import warnings
import weakref
import zipfile
from concurrent.futures import ThreadPoolExecutor
from ctypes import wintypes

import pytest

import namedmap
from namedmap import Event, Mutex, NamedMap, Semaphore, View

HERE = os.path.dirname(os.path.abspath(__file__))
ON_WINDOWS = sys.platform == "win32"
windows = pytest.mark.skipif(not ON_WINDOWS, reason="needs kernel32: runs on Windows and under Wine")
posix = pytest.mark.skipif(ON_WINDOWS, reason="is about the POSIX layer")
_counter = itertools.count()


@pytest.fixture
def name():
    return f"Local\\namedmap test {os.getpid()}-{next(_counter)}"


@pytest.fixture
def memory(name):
    with NamedMap.create(name, 100) as m:
        yield m


# ---------------------------------------------------------------- the other side

if not ON_WINDOWS:
    import fcntl
else:
    import msvcrt
    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
    for function, restype, argtypes in (
        (kernel32.CreateEventW, wintypes.HANDLE, [wintypes.LPVOID, wintypes.BOOL, wintypes.BOOL, wintypes.LPCWSTR]),
        (kernel32.CreateMutexW, wintypes.HANDLE, [wintypes.LPVOID, wintypes.BOOL, wintypes.LPCWSTR]),
        (kernel32.CreateSemaphoreW, wintypes.HANDLE,
         [wintypes.LPVOID, wintypes.LONG, wintypes.LONG, wintypes.LPCWSTR]),
        (kernel32.CreateWaitableTimerW, wintypes.HANDLE, [wintypes.LPVOID, wintypes.BOOL, wintypes.LPCWSTR]),
        (kernel32.CreateJobObjectW, wintypes.HANDLE, [wintypes.LPVOID, wintypes.LPCWSTR]),
        (kernel32.CreateFileMappingW, wintypes.HANDLE, [wintypes.HANDLE, wintypes.LPVOID, wintypes.DWORD,
                                                        wintypes.DWORD, wintypes.DWORD, wintypes.LPCWSTR]),
        (kernel32.CloseHandle, wintypes.BOOL, [wintypes.HANDLE]),
        (kernel32.GetCurrentProcess, wintypes.HANDLE, []),
        (kernel32.GetHandleInformation, wintypes.BOOL, [wintypes.HANDLE, wintypes.LPVOID]),
        (kernel32.GetCurrentProcessId, wintypes.DWORD, []),
        (kernel32.ProcessIdToSessionId, wintypes.BOOL, [wintypes.DWORD, wintypes.LPVOID]),
        (kernel32.GlobalMemoryStatusEx, wintypes.BOOL, [wintypes.LPVOID]),
        (kernel32.DuplicateHandle, wintypes.BOOL, [wintypes.HANDLE, wintypes.HANDLE, wintypes.HANDLE, wintypes.LPVOID,
                                                   wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]),
        (kernel32.LocalFree, wintypes.LPVOID, [wintypes.LPVOID]),
        (kernel32.VirtualQuery, ctypes.c_size_t, [wintypes.LPVOID, wintypes.LPVOID, ctypes.c_size_t]),
        (advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW, wintypes.BOOL,
         [wintypes.LPCWSTR, wintypes.DWORD, wintypes.LPVOID, wintypes.LPVOID]),
    ):
        function.restype, function.argtypes = restype, argtypes

MEM_COMMIT = 0x1000
MEM_FREE = 0x10000
MEM_MAPPED = 0x40000


class RawHandle:
    """A handle of kernel32 that this module has not made."""

    def __init__(self, value):
        assert value
        self.value = value

    def close(self):
        kernel32.CloseHandle(self.value)


def region_at(address):
    region = namedmap.MEMORY_BASIC_INFORMATION()
    if not kernel32.VirtualQuery(address, ctypes.byref(region), ctypes.sizeof(region)):
        return None
    return region


if ON_WINDOWS:
    def is_committed(memory):
        """Whether all pages may be touched: Wine, unlike Windows, forgives touching those that are only reserved."""
        address, end = memory.address, memory.address + memory.size
        while address < end and region_at(address).State == MEM_COMMIT:
            address = region_at(address).BaseAddress + region_at(address).RegionSize
        return address >= end

    def is_free(address):
        return region_at(address).State == MEM_FREE

    def mapped_regions():
        count = address = 0
        while True:
            region = region_at(address)
            if region is None:
                return count
            count += region.Type == MEM_MAPPED
            address += region.RegionSize

    def handle_count():
        """Counted one by one, because GetProcessHandleCount of Wine is always 0."""
        flags = wintypes.DWORD()
        return sum(kernel32.GetHandleInformation(value, ctypes.byref(flags)) for value in range(4, 0x4000, 4))
else:
    def is_free(address):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.msync.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        page = os.sysconf("SC_PAGE_SIZE")
        failed = libc.msync(address // page * page, page, 1)  # MS_ASYNC
        return failed and ctypes.get_errno() == errno.ENOMEM

    def is_committed(memory):
        """Whether the file behind the memory has at least that much space of its own."""
        address = memory.address
        with open("/proc/self/maps") as file:
            for line in file:
                start, end = (int(number, 16) for number in line.split(" ")[0].split("-"))
                if start <= address < end:
                    return os.stat(line[line.index("/"):-1]).st_blocks * 512 >= memory.size

    def mapped_regions():
        if not sys.platform.startswith("linux"):
            pytest.skip("only Linux tells what is mapped")
        with open("/proc/self/maps") as file:
            return sum(line.split(" ", 2)[1].endswith("s") or "/namedmap-" in line for line in file)

    def handle_count():
        return len(os.listdir("/dev/fd"))


def leave_open(item):
    """Keep an object from closing its handle."""
    item._closer._handles.clear()


# What the errno of an exception stands for where there is no winerror.
CODES = {errno.ENOENT: 2, errno.EACCES: 5, errno.EBADF: 6, errno.ENOMEM: 8, errno.EEXIST: 183, errno.EINVAL: 1006,
         errno.ENOSPC: 1455}


def told(caught):
    """The Win32 error code and the name that an exception tells."""
    error = caught.value
    return error.winerror if ON_WINDOWS else CODES[error.errno], error.filename


def free_memory():
    """How much memory in the paging file, or its counterpart, can be had."""
    if not ON_WINDOWS:
        found = os.statvfs("/dev/shm" if os.path.isdir("/dev/shm") else "/tmp")
        return found.f_bavail * found.f_frsize

    class MEMORYSTATUSEX(ctypes.Structure):
        _fields_ = [("dwLength", wintypes.DWORD), ("dwMemoryLoad", wintypes.DWORD)] + [
            (field, ctypes.c_ulonglong) for field in ("ullTotalPhys", "ullAvailPhys", "ullTotalPageFile",
                                                      "ullAvailPageFile", "ullTotalVirtual", "ullAvailVirtual",
                                                      "ullAvailExtendedVirtual")]
    status = MEMORYSTATUSEX(ctypes.sizeof(MEMORYSTATUSEX))
    assert kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return status.ullAvailPageFile


def send(number=signal.SIGINT):
    """A signal for this process, such as Ctrl+C; on Windows only a console could send one."""
    signal.raise_signal(number) if ON_WINDOWS else os.kill(os.getpid(), number)


@pytest.fixture
def secured_mapping(name):
    """A function that makes a mapping of 4096 bytes under `name` with a security descriptor."""
    handles = []

    def create(sddl):
        class SECURITY_ATTRIBUTES(ctypes.Structure):
            _fields_ = [("nLength", wintypes.DWORD), ("lpSecurityDescriptor", wintypes.LPVOID),
                        ("bInheritHandle", wintypes.BOOL)]
        attributes = SECURITY_ATTRIBUTES(ctypes.sizeof(SECURITY_ATTRIBUTES), None, False)
        descriptor = wintypes.LPVOID()
        assert advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl, 1, ctypes.byref(descriptor), None)
        attributes.lpSecurityDescriptor = descriptor
        handles.append(kernel32.CreateFileMappingW(namedmap.INVALID_HANDLE_VALUE, ctypes.byref(attributes),
                                                   namedmap.PAGE_READWRITE, 0, 4096, name))
        kernel32.LocalFree(descriptor)
        assert handles[0]

    yield create
    for handle in handles:
        kernel32.CloseHandle(handle)


class Process:
    """A process that talks by lines."""

    def __init__(self, *command, **environment):
        self.popen = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONFAULTHANDLER": "1", **environment},
            start_new_session=sys.platform != "win32")
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
        if sys.platform == "win32":
            self.popen.kill()
        else:
            try:
                os.killpg(self.popen.pid, signal.SIGKILL)
            except OSError:
                pass  # all have ended
        self.popen.wait(60)
        self.reader.join(60)
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            try:
                stream.close()
            except OSError:
                pass  # what was not yet written to a process that is gone


@pytest.fixture
def start():
    """Starts processes and ends them after the test."""
    processes = []

    def start(*command, **environment):
        processes.append(Process(*command, **environment))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.fixture
def python(start):
    """Starts a Python that runs some code."""
    return lambda code, *arguments: start(sys.executable, "-c", code, *arguments)


@pytest.fixture
def cli(start):
    """Starts the command line as a process."""
    return lambda *arguments: start(sys.executable, "-m", "namedmap", *arguments)


def run(capsys, *arguments):
    """The command line in this process: (exit status, standard output, standard error)."""
    try:
        status = namedmap.main(list(arguments))
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


# ---------------------------------------------------------------- the file

def test_every_prototype_is_complete_and_the_table_sorted():
    assert list(namedmap._PROTOTYPES) == sorted(namedmap._PROTOTYPES)
    for dll, _, argtypes, _ in namedmap._PROTOTYPES.values():
        assert dll in ("advapi32", "kernel32", "ntdll")
        assert isinstance(argtypes, tuple)
    unchecked = {key for key, (_, _, _, check) in namedmap._PROTOTYPES.items() if check is None}
    assert unchecked == {"CloseHandle", "GetCurrentProcess", "GetSystemInfo", "LocalFree", "RtlNtStatusToDosError",
                         *namedmap._BARE}
    assert set(namedmap._BARE) == {"ReleaseMutex", "ReleaseSemaphore", "WaitForSingleObject"}


def test_the_file_uses_no_shared_library_object():
    with open(namedmap.__file__, encoding="utf-8") as file:
        source = file.read()
    assert not re.search(r"windll|GetLastError\(|WinError\(|import \*", source)


def test_functions_are_short_and_nothing_of_the_module_changes():
    with open(namedmap.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= 40] == []
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal))]
    assert [key for key, value in vars(namedmap).items() if isinstance(value, (list, set))] == ["__all__"]


def test_licence_and_version_travel_with_the_file():
    with open(namedmap.__file__, encoding="utf-8") as file:
        source = file.read()
    assert source.startswith("# SPDX-License-Identifier: MIT\n")
    assert "The above copyright notice and this permission notice shall be included" in source
    literals = [ast.literal_eval(node.value) for node in ast.parse(source).body
                if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"]
    assert literals == [namedmap.__version__]


def test_everything_public_has_a_docstring_that_tells_of_every_parameter():
    assert namedmap.main.__doc__ and "`argv`" in namedmap.main.__doc__
    for public in namedmap.__all__:
        cls = getattr(namedmap, public)
        assert cls.__doc__
        for attribute, member in inspect.getmembers(cls):
            if attribute.startswith("_"):
                continue
            assert member.__doc__, f"{public}.{attribute}"
            parameters = inspect.signature(member).parameters if callable(member) else []
            for parameter in set(parameters) - {"self"}:
                assert f"`{parameter}`" in member.__doc__, f"{public}.{attribute}: {parameter}"


def test_importing_is_cheap_and_loads_no_dll():
    code = ("import sys; before = set(sys.modules); import namedmap; print(*set(sys.modules) - before);"
            "print(*vars(namedmap._win), *vars(getattr(namedmap, '_libc', namedmap._win)))")
    output = subprocess.run([sys.executable, "-S", "-c", code], cwd=HERE, stdout=subprocess.PIPE, check=True).stdout
    modules, bound = output.decode().splitlines()
    assert "namedmap" in modules.split()
    assert not set(modules.split()) & {"argparse", "dataclasses", "enum", "mmap", "multiprocessing", "subprocess",
                                       "tempfile", "typing"}
    assert bound == ""


def test_without_the_posix_section_it_is_a_file_for_windows(name, tmp_path, start):
    with open(namedmap.__file__, encoding="utf-8") as file:
        source = file.read()
    ruler = "# " + 64 * "-" + " "
    begin, end = source.index(ruler + "POSIX\n"), source.index(ruler + "kernel objects\n")
    (tmp_path / "windows_only.py").write_text(source[:begin] + source[end:], encoding="utf-8")
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from windows_only import *\n"
            "with NamedMap.create(sys.argv[2], 100) as m, NamedMap.open(sys.argv[2]) as other:\n"
            "    m.write(b'hello'); print(other.read(5))\n"
            "mutex = Mutex.create()\n"
            "with mutex: print(mutex.abandoned)\n"
            "with Event.create(initial_state=True) as event: print(event.wait())\n"
            "print(Semaphore.create().release())\n")
    status, out, err = start(sys.executable, "-c", code, str(tmp_path), name).end()
    if ON_WINDOWS:
        assert (status, out, err) == (0, ["b'hello'", "False", "True", "1"], "")
    else:
        assert status == 1 and err.endswith(
            "NotImplementedError: namedmap needs Windows: this system has no file mapping objects\n")


# ---------------------------------------------------------------- arguments

@pytest.mark.parametrize("bad, text", [
    ("", "empty"), ("Local\\", "empty"), ("Global\\", "empty"),
    ("Local", "only a prefix"), ("Global", "only a prefix"), ("Session", "only a prefix"),
    ("a\\b", "backslash"), ("\\x", "backslash"), ("x\\", "backslash"), ("local\\x", "backslash"),
    ("GLOBAL\\x", "backslash"), ("Session\\1\\x", "backslash"), ("Local\\a\\b", "backslash"),
    ("Local\\\\x", "backslash"), ("Local\\Local\\x", "backslash"),
    ("a\0b", "NUL"), ("Local\\a\0", "NUL"),
    ("x" * 260, "259"), ("Global\\" + "x" * 253, "259"), ("\U0001f600" * 130, "259"),
])
def test_bad_names(bad, text):
    for use in (lambda: NamedMap.create(bad, 1), lambda: NamedMap.open(bad), lambda: Mutex.create(bad),
                lambda: Event.open(bad), lambda: Semaphore.create(bad)):
        with pytest.raises(ValueError, match=text):
            use()


@pytest.mark.parametrize("bad", [b"x", 5, 1.5, object()])
def test_names_are_str(bad):
    for use in (lambda: NamedMap.create(bad, 1), lambda: NamedMap.open(bad), lambda: Mutex.open(bad),
                lambda: Event.create(bad), lambda: Semaphore.open(bad)):
        with pytest.raises(TypeError, match="a name must be a str, not " + type(bad).__name__):
            use()


@pytest.mark.parametrize("cls", [NamedMap, Mutex, Event, Semaphore])
def test_open_needs_a_name(cls):
    with pytest.raises(TypeError, match="a name must be a str, not NoneType"):
        cls.open(None)


@pytest.mark.parametrize("bad, error, text", [
    (0, ValueError, "1 to 2"), (-1, ValueError, "1 to 2"), (2 ** 63, ValueError, "1 to 2"),
    (1.5, TypeError, "a size must be an int"), ("1", TypeError, "a size must be an int"),
    (b"1", TypeError, "a size must be an int"),
])
def test_bad_sizes(bad, error, text):
    for use in (lambda: NamedMap.create("x", bad), lambda: NamedMap.open("x", bad)):
        with pytest.raises(error, match=text):
            use()


def test_paging_file_memory_needs_a_size():
    with pytest.raises(ValueError, match="needs a size"):
        NamedMap.create("x")


@pytest.mark.parametrize("bad, error", [
    ("", ValueError), ("w", ValueError), ("wr", ValueError), ("R", ValueError), ("rwc", ValueError),
    (None, TypeError), (1, TypeError), (["r"], TypeError), (b"r", TypeError),
])
def test_bad_access(bad, error):
    with pytest.raises(error, match="access must be"):
        NamedMap.open("x", access=bad)


@pytest.mark.parametrize("bad, error", [
    (-1, ValueError), (-0.001, ValueError), (math.nan, ValueError), (math.inf, ValueError), (1e300, ValueError),
    ("1", TypeError), ([1], TypeError),
])
def test_bad_timeouts(bad, error):
    for cls in (NamedMap, Mutex, Event, Semaphore):
        with pytest.raises(error, match="a timeout must be"):
            cls.open("x", timeout=bad)


@pytest.mark.parametrize("cls, named", [(NamedMap, "NamedMap"), (View, "NamedMap"), (Mutex, "Mutex"), (Event, "Event"),
                                        (Semaphore, "Semaphore")])
def test_classes_are_not_called(cls, named):
    with pytest.raises(TypeError, match=rf"{named}.create\(\) .* {named}.open\(\)"):
        cls("x")


# ---------------------------------------------------------------- create and open

def test_the_main_job(name, python):
    other = python("import sys, namedmap\n"
                   "with namedmap.NamedMap.create(sys.argv[1], 256) as m:\n"
                   "    m.write(b'Message from first process.')\n"
                   "    print('ready', flush=True)\n"
                   "    sys.stdin.readline()\n", name)
    assert other.line() == "ready"
    with NamedMap.open(name) as m:
        assert m.read(27) == b"Message from first process."
        assert not m.created
        m.write(b"Answer")
        other.enter()
        assert other.end()[0] == 0
        assert m.read(6) == b"Answer"  # alive while one of them has it open
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)


def test_a_killed_creator_leaves_nothing(name, python):
    other = python("import sys, time, namedmap\n"
                   "m = namedmap.NamedMap.create(sys.argv[1], 10)\n"
                   "print('ready', flush=True)\n"
                   "time.sleep(600)\n", name)
    assert other.line() == "ready"
    NamedMap.open(name).close()
    other.kill()

    def gone():
        try:
            NamedMap.open(name).close()
        except FileNotFoundError:
            return True
        return False
    eventually(gone)


def test_sizes_are_exact_for_the_creator_and_pages_for_an_opener(name):
    with NamedMap.create(name, 5000) as m, NamedMap.open(name) as whole, NamedMap.open(name, 4999) as part:
        assert (m.size, len(m), len(m.buf), len(m[:])) == (5000,) * 4
        assert (whole.size, len(whole), len(whole.buf), len(whole[:])) == (8192,) * 4
        assert (part.size, len(part), len(part.buf), len(part[:])) == (4999,) * 4
        assert m[:] == bytes(5000)


def test_more_than_there_is_names_both_sizes(name):
    with NamedMap.create(name, 100):
        for use in (lambda: NamedMap.open(name, 4097), lambda: NamedMap.create(name, 4097, exist_ok=True)):
            with pytest.raises(ValueError, match="has 4096 bytes, and 4097 were asked for"):
                use()


def test_missing_name(name):
    with pytest.raises(FileNotFoundError, match="nothing has this name now") as caught:
        NamedMap.open(name)
    assert told(caught) == (2, name)
    NamedMap.create(name, 1).close()
    with pytest.raises(FileNotFoundError):  # that was no creation by opening
        NamedMap.open(name)


def test_taken_name(name):
    with NamedMap.create(name, 100) as m:
        handles = handle_count()
        with pytest.raises(FileExistsError, match="a reader counts") as caught:
            NamedMap.create(name, 100)
        assert told(caught) == (183, name)
        assert handle_count() == handles
        assert m.created
        m[0] = 7
        with NamedMap.create(name, 50, exist_ok=True) as again:
            assert (again.created, again.size, again[0]) == (False, 50, 7)
    with NamedMap.create(name, 50, exist_ok=True) as fresh:
        assert (fresh.created, fresh[0]) == (True, 0)


def test_a_reader_keeps_the_name(name):
    m = NamedMap.create(name, 100)
    reader = NamedMap.open(name, access="r")
    m.close()
    with pytest.raises(FileExistsError):
        NamedMap.create(name, 100)
    reader.close()
    NamedMap.create(name, 100).close()


def test_without_a_name():
    with NamedMap.create(None, 10) as one, NamedMap.create(None, 10) as two:
        assert one.name is None and one.created and two.created
        one[0] = 1
        assert two[0] == 0
        assert repr(one).startswith("<NamedMap None, size=10")


if ON_WINDOWS:
    KINDS = {  # made without this module
        "a mutex": lambda name: RawHandle(kernel32.CreateMutexW(None, False, name)),
        "an event": lambda name: RawHandle(kernel32.CreateEventW(None, False, False, name)),
        "a semaphore": lambda name: RawHandle(kernel32.CreateSemaphoreW(None, 1, 1, name)),
        "a timer": lambda name: RawHandle(kernel32.CreateWaitableTimerW(None, False, name)),
        "a job": lambda name: RawHandle(kernel32.CreateJobObjectW(None, name)),
        "a file mapping object": lambda name: RawHandle(kernel32.CreateFileMappingW(
            namedmap.INVALID_HANDLE_VALUE, None, namedmap.PAGE_READWRITE, 0, 1, name)),
    }
else:
    KINDS = {"a mutex": Mutex.create, "an event": Event.create, "a semaphore": Semaphore.create,
             "a file mapping object": lambda name: NamedMap.create(name, 1)}
NAMED = {  # for each kind, everything that takes a name
    "a file mapping object": (
        lambda name: NamedMap.create(name, 1), lambda name: NamedMap.open(name, timeout=None),
        lambda name: NamedMap.create(name, 1, exist_ok=True),
        lambda name: NamedMap.create(name, file=__file__, access="r", exist_ok=True)),
    "a mutex": (Mutex.create, Mutex.open, lambda name: Mutex.create(name, exist_ok=True)),
    "an event": (Event.create, Event.open, lambda name: Event.create(name, exist_ok=True)),
    "a semaphore": (Semaphore.create, Semaphore.open, lambda name: Semaphore.create(name, exist_ok=True)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_of_another_kind(kind, name):
    with contextlib.closing(KINDS[kind](name)):
        for attempt in range(2):
            if attempt == 1:  # what the first one loads stays
                gc.collect()
                before = handle_count()
            for use in itertools.chain(*(uses for own_kind, uses in NAMED.items() if own_kind != kind)):
                with pytest.raises(OSError, match=f"this is the name of {kind}, and") as caught:
                    use(name)
                assert told(caught) == (6, name)
        assert handle_count() == before


@windows
def test_a_name_of_an_unknown_kind(name, monkeypatch):
    other = kernel32.CreateMutexW(None, False, name)
    monkeypatch.setattr(namedmap._win, "OpenMutexW", refused(namedmap.ERROR_ACCESS_DENIED))
    with pytest.raises(OSError, match="this is the name of a mutex"):
        NamedMap.open(name)  # although it may not even be looked at
    monkeypatch.delitem(namedmap._OPENERS, "Mutant")
    with pytest.raises(OSError, match="another kind of object") as caught:
        NamedMap.open(name)
    assert told(caught) == (6, name)
    kernel32.CloseHandle(other)


@pytest.mark.parametrize("text", [" a b ", "$x$", "üöä", "ß" * 200, "日本語", "\U0001f600", "a/b:c*?<>|\"'", "..",
                                  "\ud800", "x" * 240])
def test_names_of_all_kinds(name, text):
    for full in (name + text, (name + text)[len("Local\\"):]):
        with NamedMap.create(full[:259], 10) as m, NamedMap.open(full[:259]) as o:
            m[0] = 5
            assert o[0] == 5
            assert o.name == full[:259]


def test_prefixes_and_case(name):
    bare = name[len("Local\\"):]
    session = wintypes.DWORD(1)
    if ON_WINDOWS:
        assert kernel32.ProcessIdToSessionId(kernel32.GetCurrentProcessId(), ctypes.byref(session))
    with NamedMap.create(name, 10):
        NamedMap.open(bare).close()
        with pytest.raises(FileNotFoundError):
            NamedMap.open(name.upper().replace("LOCAL", "Local"))
        if session.value:  # that of services, 0, has its names in Global\\
            with pytest.raises(FileNotFoundError):
                NamedMap.open("Global\\" + bare)


def test_open_waits_for_its_publisher(name):
    begin = time.monotonic()
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name, timeout=0.3)
    assert 0.29 < time.monotonic() - begin < 3  # clocks have a granularity
    made = []
    timer = threading.Timer(0.3, lambda: made.append(NamedMap.create(name, 10)))
    timer.start()
    for timeout in (30, None):
        with NamedMap.open(name, timeout=timeout) as m:
            assert m.size == 4096
    timer.join()
    made[0].close()


# ---------------------------------------------------------------- security

def denied(*_):
    raise OSError(errno.EACCES, "Access is denied", None, namedmap.ERROR_ACCESS_DENIED)


@windows
def test_creating_in_global_without_the_privilege(monkeypatch, name):
    # Injected, because Wine never refuses it: what Windows answers here was not seen.
    bare = name[len("Local\\"):]

    def refuse(*arguments):
        ctypes.set_last_error(namedmap.ERROR_ACCESS_DENIED)
        return namedmap._section_created(None, None, arguments)
    monkeypatch.setattr(namedmap._win, "CreateFileMappingW", refuse)
    for exist_ok in (False, True):
        with pytest.raises(PermissionError, match="SeCreateGlobalPrivilege") as caught:
            NamedMap.create("Global\\" + bare, 10, exist_ok=exist_ok)
        assert told(caught) == (5, "Global\\" + bare)
        with pytest.raises(PermissionError) as caught:
            NamedMap.create(name, 10, exist_ok=exist_ok)
        assert "Privilege" not in str(caught.value)
    with pytest.raises(PermissionError):
        NamedMap.create(None, 10)


def test_creating_what_may_only_be_opened(monkeypatch, name):
    with NamedMap.create(name, 10) as m:
        m[0] = 3
        monkeypatch.setattr(namedmap._layer, "create_file_mapping", denied, raising=False)
        with pytest.raises(FileExistsError):
            NamedMap.create(name, 10)
        with NamedMap.create(name, 10, exist_ok=True) as again:
            assert (again.created, again[0]) == (False, 3)


def test_what_vanishes_between_creating_and_opening_is_created(monkeypatch, name):
    create, refusals = namedmap._layer.create_file_mapping, [1, 1]

    def refused_twice(*arguments):
        return denied() if refusals and refusals.pop() else create(*arguments)
    monkeypatch.setattr(namedmap._layer, "create_file_mapping", refused_twice, raising=False)
    with NamedMap.create(name, 10, exist_ok=True) as m:
        assert m.created


@windows
def test_a_descriptor_that_refuses_writing(name, secured_mapping):
    secured_mapping("D:(A;;0x0004;;;WD)")  # FILE_MAP_READ alone, not even SECTION_QUERY
    with pytest.raises(PermissionError, match='access="r" may be allowed') as caught:
        NamedMap.open(name)
    assert told(caught) == (5, name)
    with pytest.raises(FileExistsError):
        NamedMap.create(name, 10)
    with pytest.raises(PermissionError):
        NamedMap.create(name, 10, exist_ok=True)
    regions = mapped_regions()
    with NamedMap.open(name, access="r") as m:
        assert m.size == 4096  # from a view
        assert mapped_regions() == regions
        assert m[:4] == bytes(4)


@windows
def test_a_descriptor_that_refuses_everything(name, secured_mapping):
    secured_mapping("D:(A;;0x0001;;;WD)")
    with pytest.raises(PermissionError) as caught:
        NamedMap.open(name, access="r")
    assert "access=" not in str(caught.value)


@windows
def test_security_descriptors(name, monkeypatch):
    freed = count_calls(monkeypatch, "LocalFree")
    with NamedMap.create(name, 100, sddl="D:(A;;0x0005;;;WD)"):
        assert len(freed) == 1 and freed[0][0].value
        with NamedMap.open(name, access="r") as m:
            assert m.size == 4096
        with pytest.raises(PermissionError, match='access="r" may be allowed'):
            NamedMap.open(name)
        with pytest.raises(FileExistsError):
            NamedMap.create(name, 100, sddl="D:(A;;GA;;;WD)")
        assert len(freed) == 2
    with pytest.raises(PermissionError):
        monkeypatch.setattr(namedmap._win, "CreateFileMappingW", denied)
        NamedMap.create(None, 100, sddl="D:(A;;GA;;;WD)")
    assert len(freed) == 3


@windows
@pytest.mark.parametrize("bad", ["everyone", "D:(A;;", "D:(A;;GA;;;QQ)", "D:(A;;GA;;;WD", "\U0001f600"])
def test_malformed_security_descriptors(bad, name, path):
    for file in (None, path, path.parent / "new"):
        with pytest.raises(ValueError, match="not a security descriptor in SDDL: " + re.escape(repr(bad))):
            NamedMap.create(name, 100, sddl=bad, file=file)
    assert path.read_bytes() == b"0123456789"
    assert not (path.parent / "new").exists()


@windows
def test_the_documented_security_descriptors(name):
    documented = re.findall(r'``"([DS]:.*?)"``', NamedMap.create.__doc__)
    assert len(documented) == 2
    for sddl in documented:
        with NamedMap.create(name, 100, sddl=sddl) as m:
            m[0] = 1
            with NamedMap.open(name, access="r") as other:
                assert other[0] == 1


@windows
def test_a_descriptor_for_a_file_mapping(name, path):
    with NamedMap.create(name, file=path, sddl="D:(A;;0x0004;;;WD)"):
        with NamedMap.open(name, access="r") as m:
            assert m[:] == b"0123456789"  # the exact size, although this may not ask for it
        with pytest.raises(PermissionError):
            NamedMap.open(name)
    for size in (1, 4095, 4096, 4097, 70000):
        with NamedMap.create(name, size, file=path.parent / str(size), sddl="D:(A;;0x0004;;;WD)"):
            with NamedMap.open(name, access="r") as m:
                assert m.size == len(m[:]) == size


@windows
def test_exist_ok_opens_what_creating_may_not_touch(name, secured_mapping, path):
    secured_mapping("D:(A;;0x0007;;;WD)")  # to query, write and read, but not all that creating asks for
    for arguments in ({}, {"file": path}):
        with NamedMap.create(name, 100, exist_ok=True, **arguments) as m:
            assert (m.created, m.access, m.size) == (False, "rw", 100)
            m[0] = 1
        with pytest.raises(FileExistsError):
            NamedMap.create(name, 100, **arguments)


# ---------------------------------------------------------------- reading and writing

def test_indexing_is_that_of_a_bytearray(memory):
    model = bytearray(100)
    memory[:5] = model[:5] = b"hello"
    memory[-1] = model[-1] = 255
    memory[10:20:3] = model[10:20:3] = b"abcd"
    memory[20:10:-3] = model[20:10:-3] = b"wxyz"
    for key in (slice(None), slice(0, 5), slice(-3, None), slice(90, 200), slice(200, 300), slice(5, 2),
                slice(None, None, 7), slice(None, None, -1), 0, 4, -1, -100):
        assert memory[key] == model[key]
        assert type(memory[key]) is (bytes if isinstance(key, slice) else int)
    for key in (0, slice(0, 2)):
        with pytest.raises(TypeError, match="fixed size"):
            del memory[key]
    assert list(memory) == list(model)
    assert 255 in memory and 254 not in memory
    for key in (100, -101):
        with pytest.raises(IndexError):
            memory[key]
        with pytest.raises(IndexError):
            memory[key] = 0
    for key in ("a", None, 1.5, (0, 1), (slice(0, 1), slice(0, 1)), (slice(0, 1),), ()):
        with pytest.raises(TypeError):
            memory[key]
        with pytest.raises(TypeError):
            memory[key] = b"x"


def test_slice_assignment_takes_bytes_like_objects_of_the_same_length(memory):
    memory[0:8] = array.array("I", [1, 2])
    assert memory[0:8] == b"\1\0\0\0\2\0\0\0"
    memory[8:12] = memoryview(b"abcdefgh")[::2]
    assert memory[8:12] == b"aceg"
    memory[0:4] = memory.buf[8:12]
    assert memory[0:4] == b"aceg"
    before = memory[:]
    for key, data in ((slice(0, 4), b"12345"), (slice(0, 4), b""), (slice(98, 200), b"123"),
                      (slice(0, 4), array.array("I", [1, 2]))):
        with pytest.raises(ValueError, match="do not fit a slice of"):
            memory[key] = data
    for data in ("abcd", 5, None, [1, 2, 3, 4]):
        with pytest.raises(TypeError):
            memory[0:4] = data
    for value in (256, -1, 2 ** 70):
        with pytest.raises(ValueError):
            memory[0] = value
    with pytest.raises(TypeError):
        memory[0] = b"x"
    assert memory[:] == before


def test_read_stops_at_the_end(memory):
    memory[:] = bytes(range(100))
    assert memory.read() == memory.read(-1) == memory.read(None) == memory.read(100) == memory.read(2 ** 70)
    assert memory.read() == bytes(range(100))
    assert memory.read(3) == b"\0\1\2"
    assert memory.read(3, 98) == b"bc"
    assert memory.read(3, offset=100) == memory.read(offset=2 ** 70) == memory.read(0) == b""
    with pytest.raises(ValueError, match="negative"):
        memory.read(1, -1)
    for arguments in (("1",), (1, "1"), (1.5,), (1, 1.5), (1, None)):
        with pytest.raises(TypeError):
            memory.read(*arguments)


def test_write_fills_exactly_and_nothing_more(memory):
    assert memory.write(b"x" * 100) == 100
    assert memory.write(b"ab", 98) == 2
    assert memory.write(b"", 100) == 0
    before = memory[:]
    for data, offset in ((b"y" * 101, 0), (b"yy", 99), (b"y", 100), (b"y", -1), (b"y", -10), (b"", 101), (b"", -1),
                         (b"y", 2 ** 70)):
        with pytest.raises(ValueError, match="not inside the memory, which has 100 bytes"):
            memory.write(data, offset)
        assert memory[:] == before
    for data in ("text", 5, None, [1]):
        with pytest.raises(TypeError, match="bytes-like"):
            memory.write(data)
    for offset in (1.5, "1", None):
        with pytest.raises(TypeError):
            memory.write(b"y", offset)
    assert memory[:] == before
    for data in (bytearray(b"1234"), memoryview(b"1234"), array.array("I", [0x34333231]), memoryview(b"11223344")[::2],
                 ctypes.create_string_buffer(b"1234", 4), (ctypes.c_uint32 * 1)(0x34333231)):
        memory[:4] = b"    "
        assert memory.write(data) == 4
        assert memory[:4] == b"1234"
    assert memory.write(memoryview(b"").cast("B")) == 0


def test_read_only_memory_refuses_every_way_of_storing(memory, name):
    with NamedMap.open(name, 100, access="r") as r, memory.view(access="r") as view:
        for m in (r, view):
            assert m.access == "r" and m.buf.readonly
            for store in (lambda: m.write(b"x"), lambda: m.__setitem__(0, 1), lambda: m.__setitem__(slice(0, 1), b"x"),
                          lambda: m.buf.__setitem__(0, 1), lambda: m.overlay(ctypes.c_int),
                          lambda: ctypes.c_int.from_buffer(m.buf)):
                with pytest.raises(TypeError):
                    store()
            assert m.snapshot(ctypes.c_int).value == 0
    assert memory[:] == bytes(100)


def test_copy_on_write_keeps_changes_private(memory, name):
    memory[:4] = b"base"
    with NamedMap.open(name, access="c") as private, memory.view(access="c") as view:
        for m in (private, view):
            assert m.access == "c"
            assert m[:4] == b"base"
            m[:4] = b"mine"
            m.overlay(ctypes.c_uint8, 9).value = 1
            assert m[:4] == b"mine"
        assert memory[:10] == b"base" + bytes(6)


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int32), ("y", ctypes.c_double)]


def test_overlay_lives_in_the_memory_and_snapshot_does_not(memory):
    point = memory.overlay(Point, 8)
    copy = memory.snapshot(Point, 8)
    point.x, point.y = 7, 2.5
    assert memory[8:12] == b"\7\0\0\0"
    memory[8] = 9
    assert (point.x, point.y) == (9, 2.5)
    assert (copy.x, copy.y) == (0, 0)
    assert memory.snapshot(Point, 8).x == 9
    assert list(memory.overlay(ctypes.c_uint8 * 3, 97)) == [0, 0, 0]
    for place in (memory.overlay, memory.snapshot):
        for offset in (100 - ctypes.sizeof(Point) + 1, 100, -1):
            with pytest.raises(ValueError, match="not inside"):
                place(Point, offset)
        with pytest.raises(ValueError, match="not inside"):
            place(ctypes.c_char * 101)
        for bad in (int, 5, None, "Point", Point()):
            with pytest.raises(TypeError):
                place(bad)
        for pointer in (ctypes.c_char_p, ctypes.c_wchar_p, ctypes.py_object):
            with pytest.raises(TypeError, match="is a pointer to what only one process has"):
                place(pointer)


class Index:
    """What has __index__ alone, as some integers of numpy."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


def test_offsets_and_sizes_are_whatever_is_an_index(memory):
    memory[10:14] = b"1234"
    assert memory.read(Index(2), Index(10)) == b"12"
    assert memory.write(b"ab", Index(10)) == 2
    assert memory.overlay(ctypes.c_char, Index(10)).value == memory.snapshot(ctypes.c_char, Index(10)).value == b"a"
    assert memory.view(Index(10), Index(2))[:] == b"ab"
    memory.flush(Index(10), Index(2))
    for bad in (-1.0, -math.inf, math.nan, fractions.Fraction(-1, 2), "1", b"1"):
        for use in (lambda: memory.read(bad), lambda: memory.read(1, bad), lambda: memory.write(b"", bad),
                    lambda: memory.overlay(ctypes.c_char, bad), lambda: memory.snapshot(ctypes.c_char, bad),
                    lambda: memory.view(bad), lambda: memory.view(0, bad), lambda: memory.flush(bad)):
            with pytest.raises(TypeError):
                use()


# ---------------------------------------------------------------- views

def test_views_begin_and_end_anywhere(name):
    with NamedMap.create(name, 300000) as m:
        m[:] = bytes(index * 7 % 251 for index in range(300000))
        for offset, size in ((0, 1), (1, 10), (65535, 2), (65536, 100), (65537, 70000), (299999, 1), (0, 300000)):
            with m.view(offset, size) as view:
                assert (view.size, len(view)) == (size, size)
                assert view[:] == m[offset:offset + size]
        with m.view(131073) as rest:
            assert rest.size == 300000 - 131073
            rest[0] = 255
            assert m[131073] == 255
            unit = 0x10000 if ON_WINDOWS else os.sysconf("SC_PAGE_SIZE")
            assert rest.address % unit == 131073 % unit


def test_views_that_cannot_be(memory, name):
    for offset, size in ((0, 101), (100, 1), (99, 2), (-1, None), (-1, 1), (100, None), (200, None), (2 ** 70, 1),
                         (0, 0), (0, -1), (0, 2 ** 70)):
        with pytest.raises(ValueError):
            memory.view(offset, size)
    for offset, size in ((1.5, None), ("0", None), (None, None), (0, 1.5), (0, "1")):
        with pytest.raises(TypeError):
            memory.view(offset, size)
    with pytest.raises(ValueError, match="access must be"):
        memory.view(access="w")
    for mine, theirs in (("r", "rw"), ("c", "rw")):
        with NamedMap.open(name, access=mine) as m, pytest.raises(ValueError, match="wider than its map"):
            m.view(access=theirs)


def test_a_view_outlives_its_map(name):
    m = NamedMap.create(name, 100)
    view = m.view(10, 10)
    m.close()
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)  # the name is gone
    view[0] = 1
    assert view[:2] == b"\1\0"
    address = view.address
    view.close()
    assert is_free(address)


def test_a_view_keeps_its_map_alive(name):
    view = NamedMap.create(name, 100).view()
    gc.collect()
    NamedMap.open(name).close()
    view.close()
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)


def test_nothing_is_mapped_before_it_is_used(name):
    with NamedMap.create(name, 1 << 20) as m:
        regions = mapped_regions()
        assert (m.size, len(m), bool(m), m.created, m.access, m.name) == (1 << 20, 1 << 20, True, True, "rw", name)
        assert mapped_regions() == regions
        m.view(0, 10).close()
        assert mapped_regions() == regions
        m[0]
        assert mapped_regions() == regions + 1


@pytest.mark.skipif(sys.maxsize < 2 ** 32, reason="more than 4 GiB do not fit a 32-bit process")
def test_memory_beyond_4_gib(name):
    size = 2 ** 32 + 65536 + 5
    if free_memory() < size + 2 ** 30:
        pytest.skip("this machine cannot commit 5 GiB")
    with NamedMap.create(name, size) as m, NamedMap.open(name) as o:
        assert o.size == 2 ** 32 + 65536 + 4096
        assert m.address > 2 ** 32  # so that a truncated pointer would crash
        m[2 ** 32 + 1] = 77
        assert m[1] == 0
        m.write(b"end", size - 3)
        assert o[2 ** 32 + 1] == 77
        assert o.read(3, size - 3) == b"end"
        with o.view(2 ** 32 + 65536, 5) as view:
            assert view[:] == b"\0\0end"


def test_many_views_at_once(name):
    with NamedMap.create(name, 1 << 20) as m:
        regions = mapped_regions()
        views = [m.view(1000 * number, 1048) for number in range(1000)]
        for number, view in enumerate(views):
            view.write(number.to_bytes(2, "little"), 24)
        assert [view.read(2, 24) for view in views] == [m.read(2, 1000 * number + 24) for number in range(1000)]
        assert views[-1][24:26] == (999).to_bytes(2, "little")
        m.close()
        assert views[500][1024:1026] == (501).to_bytes(2, "little")  # where the next one begins
        for view in views:
            view.close()
        del view
        views.clear()
        assert mapped_regions() == regions


def test_small_views_of_a_huge_object(name):
    size = 5 * 2 ** 30
    with NamedMap.create(name, size, reserve=True) as m, m.view(2 ** 32 + 70000, 10) as view:
        assert m.size == size
        view[:] = b"0123456789"
        assert view[:] == b"0123456789"
        with m.view(70000, 10) as low:
            assert low[:] == bytes(10)
        with m.view(size - 1) as last:
            last[0] = 1
        with pytest.raises(ValueError, match="not inside"):
            m.view(size - 1, 2)


@pytest.fixture
def free():
    """An address with 4 MiB of free memory, if possible above 4 GiB, where a truncated pointer would crash."""
    address = 0x20000000000 if sys.maxsize > 2 ** 32 else 0x10000000
    while not is_free(address) or region_at(address).RegionSize < 0x400000:
        address = region_at(address).BaseAddress + region_at(address).RegionSize + 0xFFFF & ~0xFFFF
    return address


@windows
def test_a_view_at_an_address(name, free):
    with NamedMap.create(name, 300000) as m:
        above = free + 0x100000 + 70001 % 65536
        with m.view(0, 70000, address=free) as view, m.view(70001, 10, address=above) as other:
            assert (view.address, other.address) == (free, above)
            view[0] = other[0] = view.overlay(ctypes.c_uint8, 69999).value = 77
            assert (m[0], m[70001], m[69999]) == (77, 77, 77)
            with pytest.raises(OSError, match="not free") as caught:
                m.view(0, 10, address=free)
            assert told(caught) == (487, name)
        assert is_free(free)
        with m.view(0, 10, access="r", address=free) as view:
            assert view[0] == 77
            with pytest.raises(OSError, match="not free"):
                m.view(0, 10, address=free)


@windows
def test_addresses_that_cannot_be(memory, free):
    highest = namedmap._layer.user_space()[1]
    for address in (0, -65536, 2 ** 64, 2 ** 70, highest + 1, highest + 1 - 65536 + 2 ** 48):
        with pytest.raises(ValueError, match="which programs may use"):
            memory.view(0, 10, address=address)
    for offset, address in ((0, free + 1), (1, free), (1, free + 4097)):
        with pytest.raises(ValueError, match="congruent modulo 64 KiB"):
            memory.view(offset, 10, address=address)
    for address in (1.5, "1", b""):
        with pytest.raises(TypeError):
            memory.view(address=address)
    with pytest.raises(ValueError, match="not inside the memory"):
        memory.view(99, 2, address=free)


@windows
def test_what_the_system_says_of_addresses(free):
    system = namedmap.SYSTEM_INFO()
    namedmap._win.GetSystemInfo(ctypes.byref(system))
    assert system.dwAllocationGranularity == namedmap._GRANULARITY
    assert (system.dwPageSize, system.lpMinimumApplicationAddress) == (4096, 65536)
    assert namedmap._layer.user_space()[1] > free


@pytest.mark.parametrize("flag", [ctypes.c_int(0), ctypes.c_int(1)], ids=["false", "true"])
def test_a_flag_may_be_any_object(flag, name):
    with NamedMap.create(name, 100, exist_ok=flag, reserve=flag) as m:
        assert m.created and m[:] == bytes(100)
    with Event.create(name, manual_reset=flag, initial_state=flag, exist_ok=flag) as event:
        assert event.is_set() == bool(flag)
        assert event.wait(0) == bool(flag)


@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_reserved_pages_are_committed_when_mapped(access, name):
    with NamedMap.create(name, 1 << 20, reserve=True) as m, NamedMap.open(name, access=access) as other:
        assert (m.size, other.size) == (1 << 20, 1 << 20)
        with other.view(0, 70000) as view:
            assert is_committed(view)
            assert view[:] == bytes(70000)
            if access != "r":
                view[69999] = 1
            with m.view(0, 10) as first:  # what was committed at offset 0 shows in other views
                first[0] = 5
                assert view[0] == 5
        assert other[:] == b"\5" + bytes(69998) + (b"\1" if access == "rw" else b"\0") + bytes((1 << 20) - 70000)


@windows
@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_pages_that_another_program_only_reserved(access, name, python):
    process = python(
        "import ctypes, sys\n"
        "from ctypes import wintypes\n"
        "create = ctypes.WinDLL('kernel32').CreateFileMappingW\n"
        "create.restype = wintypes.HANDLE\n"
        "create.argtypes = (wintypes.HANDLE, wintypes.LPVOID) + (wintypes.DWORD,) * 3 + (wintypes.LPCWSTR,)\n"
        "handle = create(-1, None, 0x4000004, 0, 1 << 20, sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n", name)
    assert process.line() == "ready"
    with NamedMap.open(name, access=access) as m:
        with m.view(70000, 100000) as view:
            assert is_committed(view)
        assert is_committed(m)
        assert m[:] == bytes(1 << 20)


@windows
@pytest.mark.parametrize("code", [8, 87, 1450, 1455])
def test_memory_that_is_short_does_not_hide_a_taken_name(code, name, monkeypatch):
    # Injected: Windows makes the new object before it looks at the name, Wine afterwards.
    monkeypatch.setattr(namedmap._win, "CreateFileMappingW", refused(code))
    with pytest.raises(OSError) as caught:
        NamedMap.create(name, 100)
    assert caught.value.winerror == code
    monkeypatch.undo()
    with NamedMap.create(name, 100) as m:
        monkeypatch.setattr(namedmap._win, "CreateFileMappingW", refused(code))
        gc.collect()
        handles = handle_count()
        with NamedMap.create(name, 50, exist_ok=True) as again:
            assert (again.created, again.size) == (False, 50)
        with pytest.raises(ValueError, match="has 4096 bytes, and 8192 were asked for"):
            NamedMap.create(name, 8192, exist_ok=True)
        with pytest.raises(FileExistsError, match="a reader counts"):
            NamedMap.create(name, 50)
        del again  # which has a lock: with Python 3.8, that is a handle
        assert handle_count() == handles and not m.closed


@windows
def test_pages_that_cannot_be_committed_are_unmapped(name, monkeypatch):
    # Injected: Wine does not count what is committed.
    with NamedMap.create(name, 1 << 20, reserve=True) as m:
        regions = mapped_regions()
        monkeypatch.setattr(namedmap._win, "VirtualAlloc", refused(namedmap.ERROR_COMMITMENT_LIMIT))
        for use in (lambda: m[0], lambda: m.view(0, 1)):
            with pytest.raises(OSError) as caught:
                use()
            assert told(caught) == (1455, name)
        assert mapped_regions() == regions


@windows
def test_looking_at_the_size_commits_nothing(name, secured_mapping, monkeypatch):
    commits = count_calls(monkeypatch, "VirtualAlloc")
    with NamedMap.create(name, 1 << 20, reserve=True, sddl="D:(A;;0x0004;;;WD)"):
        with NamedMap.open(name, access="r") as m:
            assert (m.size, commits) == (1 << 20, [])
            m[0]
            assert len(commits) == 1


@windows
def test_a_size_is_split_into_two_dwords(monkeypatch):
    calls = []
    monkeypatch.setattr(namedmap._win, "CreateFileMappingW", lambda *arguments: calls.append(arguments) or (0, True))
    for size in (1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 63 - 1):
        namedmap._layer.create_file_mapping("x", size, "rw", None, False, namedmap.SECURITY_ATTRIBUTES())
    assert [call[3:5] for call in calls] == [(0, 1), (0, 2 ** 32 - 1), (1, 0), (1, 5), (2 ** 31 - 1, 2 ** 32 - 1)]


@windows
def test_what_cannot_be_mapped(monkeypatch, name):
    with NamedMap.create(name, 10) as m:
        # Injected: what Windows answers when the object was created read-only; Wine allows the view.
        def refuse(*arguments):
            ctypes.set_last_error(code)
            return namedmap._mapped(None, None, arguments)
        monkeypatch.setattr(namedmap._win, "MapViewOfFileEx", refuse)
        for code in (namedmap.ERROR_INVALID_PARAMETER, namedmap.ERROR_ACCESS_DENIED):
            with pytest.raises(PermissionError, match="created read-only") as caught:
                m[0]
            assert told(caught) == (5, name)
        code = namedmap.ERROR_INVALID_PARAMETER
        with pytest.raises(OSError) as caught:
            m.view(access="r")
        assert told(caught) == (87, name)
        monkeypatch.undo()
        assert m[0] == 0
        for access in ("r", "rw"):
            for size in (sys.maxsize - 4096, sys.maxsize + 1):
                with pytest.raises(OSError, match=re.escape("view()")) as caught:
                    namedmap._layer.map_view(m.handle, access, 0, size)
                assert caught.value.winerror == 8


@windows
def test_a_handle_that_something_else_closed(name):
    for which in (name, None):
        m = NamedMap.create(which, 10)
        assert kernel32.CloseHandle(m.handle)
        for use in (lambda: m[0], m.view):
            with pytest.raises(OSError, match="closed by something other") as caught:
                use()
            assert told(caught) == (6, which)
            assert "None" not in str(caught.value)
        leave_open(m)  # it must not close whose handle has this value by now


@windows
def test_only_a_missing_name_is_waited_for(name, monkeypatch):
    # Injected: what Windows answers when the directory of the names itself is missing.
    monkeypatch.setattr(namedmap._layer, "open_file_mapping", refused(namedmap.ERROR_PATH_NOT_FOUND))
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name, timeout=None)


def test_a_size_that_cannot_be_asked_for(name, monkeypatch):
    with NamedMap.create(name, 10):
        monkeypatch.setattr(namedmap._layer, "section_size", refused(namedmap.ERROR_NOT_ENOUGH_MEMORY))
        with pytest.raises(OSError) as caught:
            NamedMap.open(name)
        assert told(caught) == (8, name)


# ---------------------------------------------------------------- files

@pytest.fixture
def path(tmp_path):
    """A file of 10 bytes."""
    path = tmp_path / "caf\u00e9 file.bin"
    path.write_bytes(b"0123456789")
    return path


def refused(code):
    """A function that fails like one of kernel32."""
    def refuse(*_):
        raise namedmap._os_error(code, None, "refused")
    return refuse


def test_a_file_is_read_and_written(path, name):
    with NamedMap.create(name, file=path) as m:
        assert (m.size, m.access, m.created, m[:]) == (10, "rw", True, b"0123456789")
        m[2:4] = b"xy"
        m.flush()
    assert path.read_bytes() == b"01xy456789"
    for form in (str(path), os.fsencode(path)):
        with NamedMap.create(None, file=form, access="r") as m:
            assert m[:] == b"01xy456789"


def test_another_process_opens_a_file_by_the_name_of_its_mapping(path, name, python):
    with NamedMap.create(name, 20, file=path) as m:
        process = python(
            "import sys, namedmap\n"
            "m = namedmap.NamedMap.open(sys.argv[1])\n"
            "print(m.size, m[:10].decode())\n"
            "m[15:20] = b'there'\n", name)
        assert process.end() == (0, ["20 0123456789"], "")  # the size of a file is exact
        assert m[15:] == b"there"
    assert path.read_bytes() == b"0123456789" + bytes(5) + b"there"


def test_size_makes_a_file_larger_and_never_smaller(path):
    with NamedMap.create(None, 5000, file=path) as m:
        assert m.size == 5000
        m[4999] = 1
    assert path.read_bytes() == b"0123456789" + bytes(4989) + b"\1"
    with NamedMap.create(None, 3, file=path) as m:
        assert m[:] == b"012"
        with pytest.raises(ValueError, match="not inside"):
            m.view(0, 4)
    assert path.stat().st_size == 5000


def test_a_file_is_made_only_to_be_written(path):
    missing = path.parent / "missing"
    for arguments in ({}, {"access": "r"}, {"access": "c"}, {"access": "r", "size": 10}):
        with pytest.raises(FileNotFoundError, match="no such file") as caught:
            NamedMap.create(None, file=missing, **arguments)
        assert told(caught) == (2, str(missing))
        assert not missing.exists()
    with NamedMap.create(None, 10, file=missing) as m:
        m[:] = b"abcdefghij"
    assert missing.read_bytes() == b"abcdefghij"
    with pytest.raises(FileNotFoundError, match="no such folder"):
        NamedMap.create(None, 10, file=path.parent / "missing folder" / "file")


def test_files_that_cannot_be_mapped_stay_as_they_were(path, tmp_path):
    for access in ("r", "c"):
        with pytest.raises(ValueError, match=r"has 10 bytes, 11 were asked for, and only access=\"rw\""):
            NamedMap.create(None, 11, file=path, access=access)
    with pytest.raises(OSError, match="no room") as caught:
        NamedMap.create(None, 2 ** 60, file=path)
    assert caught.value.filename == str(path)
    for size in (2 ** 60, 2 ** 63 - 1):
        with pytest.raises(OSError, match="no room"):
            NamedMap.create(None, size, file=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert path.read_bytes() == b"0123456789"
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for access in ("r", "rw", "c"):
        with pytest.raises(OSError, match="the file is empty; a size makes it larger") as caught:
            NamedMap.create(None, file=empty, access=access)
        assert told(caught) == (1006, str(empty))
    with NamedMap.create(None, 1, file=empty) as m:
        m[0] = 7
    assert empty.read_bytes() == b"\7"
    for bad, error in ((tmp_path, PermissionError), (os.devnull, OSError), ("", FileNotFoundError),
                       ("a\0b", ValueError), (5, TypeError), (None, ValueError), (object(), TypeError)):
        with pytest.raises(error):
            NamedMap.create(None, file=bad)


@windows
def test_a_file_that_may_only_be_read(path, monkeypatch):
    # Injected: root under Wine may write every file.
    open_file = namedmap._win.CreateFileW

    def refuse_writing(path, access, *arguments):
        if not access & namedmap.GENERIC_WRITE:
            return open_file(path, access, *arguments)
        ctypes.set_last_error(namedmap.ERROR_ACCESS_DENIED)
        return namedmap._file_opened(namedmap.INVALID_HANDLE_VALUE, None, (path, access) + arguments)

    monkeypatch.setattr(namedmap._win, "CreateFileW", refuse_writing)
    with pytest.raises(PermissionError, match='access="r" may be allowed') as caught:
        NamedMap.create(None, file=path)
    assert told(caught) == (5, str(path))
    for access in ("r", "c"):
        with NamedMap.create(None, file=path, access=access) as m:
            assert m[:] == b"0123456789"


@windows
@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_nobody_else_opens_a_file_while_its_path_is_mapped(access, path, name):
    m = NamedMap.create(name, file=path, access=access)
    for _ in range(2):
        with pytest.raises(PermissionError):
            path.open("rb")
        for other in (None, name + "2"):
            with pytest.raises(PermissionError, match="open elsewhere") as caught:
                NamedMap.create(other, file=path, access="r")
            assert told(caught) == (32, str(path))
    m.close()
    path.open("r+b").close()
    m = NamedMap.create(name, file=path, access=access)
    del m  # forgotten
    gc.collect()
    path.open("r+b").close()


RACER = """
import sys, namedmap
created = 0
for _ in range(60):
    with namedmap.NamedMap.create(sys.argv[1], 4096, file=sys.argv[2], exist_ok=True) as m:
        created += m.created
        m[0] = 1
print(created, flush=True)
"""


def test_processes_that_create_the_same_file_at_once(name, path, python):
    racers = [python(RACER, name, str(path.parent / "new")) for _ in range(3)]
    created = []
    for racer in racers:
        status, lines, err = racer.end()
        assert (status, err) == (0, "")
        created.append(int(lines[0]))
    assert sum(created) > 0


def test_a_file_is_closed_if_somebody_else_was_first(name, path, monkeypatch):
    open_file, others = namedmap._layer.open_file, []

    def open_it(*arguments):
        others.append(NamedMap.create(name, 10))
        return open_file(*arguments)

    monkeypatch.setattr(namedmap._layer, "open_file", open_it)
    with NamedMap.create(name, 10, file=path, exist_ok=True) as m:
        assert not m.created
        path.open("r+b").close()
    others[0].close()
    with pytest.raises(FileExistsError):
        NamedMap.create(name, 10, file=path)
    others[1].close()
    path.open("r+b").close()


def test_what_others_append_stays(name, path, monkeypatch):
    create = namedmap._layer.create_file_mapping

    def append_and_refuse(*arguments):
        with path.open("ab") as file:
            file.write(b"appended")
        raise OSError(errno.ENOSPC, "refused", None, namedmap.ERROR_COMMITMENT_LIMIT)

    monkeypatch.setattr(namedmap._layer, "create_file_mapping", append_and_refuse)
    for size in (None, 5, 20):
        with path.open("r+b") as file, pytest.raises(OSError, match="refused"):
            NamedMap.create(name, size, file=file)
    monkeypatch.setattr(namedmap._layer, "create_file_mapping", create)
    assert path.read_bytes() == b"0123456789" + 3 * b"appended"


@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_an_open_file_is_duplicated(path, name, access):
    with path.open("r+b") as file:
        file.seek(3)
        file.write(b"X")  # still in the buffer of Python
        m = NamedMap.create(name, file=file, access=access)
        assert m[:] == b"012X456789"
        assert file.tell() == 4
        forgotten = weakref.ref(file)
    del file
    assert forgotten() is None
    with m:
        assert m[:] == b"012X456789"
        with path.open("rb") as file:
            assert file.read() == b"012X456789"  # it is shared as it was opened
        m.flush()


def test_open_files_that_will_not_do(path):
    for mode, access in (("rb", "rw"), ("ab", "r"), ("ab", "rw")):
        with path.open(mode) as file, pytest.raises(PermissionError, match="not opened for access") as caught:
            NamedMap.create(None, file=file, access=access)
        assert told(caught) == (5, str(path))
    with pytest.raises(TypeError, match="not BytesIO"):
        NamedMap.create(None, file=io.BytesIO(b"abc"))
    for descriptor, error in ((2 ** 40, ValueError), (-2 ** 70, ValueError), (987, OSError)):
        file = io.BytesIO()
        file.fileno = lambda: descriptor
        with pytest.raises(error):
            NamedMap.create(None, file=file)
    file = path.open("rb")
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        NamedMap.create(None, file=file)
    with open(os.devnull, "r+b", buffering=0) as device, pytest.raises(OSError):
        NamedMap.create(None, 10, file=device)
    assert path.read_bytes() == b"0123456789"


@windows
@pytest.mark.parametrize("opened", [False, True], ids=["path", "open file"])
def test_growth_is_taken_back_when_creating_fails(opened, path, name, monkeypatch):
    # Windows makes the file larger before it refuses the name, so that is done here for Wine.
    create = namedmap._layer.create_file_mapping

    def grow_and_refuse(name, size, access, file, *arguments):
        namedmap._layer.take_back_growth(file, size)
        raise OSError(errno.ENOSPC, "refused", None, namedmap.ERROR_ACCESS_DENIED)

    def grow_and_find_another(name, size, access, file, *arguments):
        namedmap._layer.take_back_growth(file, size)
        return create(None, size, access, None, *arguments)[0], False

    for fail, error in ((grow_and_refuse, PermissionError), (grow_and_find_another, FileExistsError)):
        monkeypatch.setattr(namedmap._layer, "create_file_mapping", fail)
        with path.open("r+b") as file:
            file.seek(4)
            if not opened:
                file.close()
            with pytest.raises(error):
                NamedMap.create(name, 5000, file=file if opened else path)
            assert not opened or file.tell() == 4
        assert path.read_bytes() == b"0123456789"
        with pytest.raises(error):
            NamedMap.create(name, 5000, file=path.parent / "new")
        assert not (path.parent / "new").exists()


@windows
@pytest.mark.parametrize("code, text", [(112, "the disk has no room"), (33, "locked by another program")])
def test_what_windows_says_of_a_file(code, text, path, name, monkeypatch):
    # Injected: Wine has another code for a full disk, and never one for a lock.
    def refuse(*arguments):
        ctypes.set_last_error(code)
        return namedmap._section_created(None, None, arguments)

    monkeypatch.setattr(namedmap._win, "CreateFileMappingW", refuse)
    for which in (None, name, "Global\\" + name[len("Local\\"):]):
        with pytest.raises(OSError, match=text) as caught:
            NamedMap.create(which, 100, file=path)
        assert told(caught) == (code, str(path))
    assert path.read_bytes() == b"0123456789"


def test_the_name_comes_before_the_file(path, name):
    missing = path.parent / "missing"
    with NamedMap.create(name, 4096) as memory:
        memory[:5] = b"there"
        for file in (path, missing):
            with pytest.raises(FileExistsError):
                NamedMap.create(name, 5000, file=file)
            with NamedMap.create(name, 10, file=file, exist_ok=True) as m:
                assert (m.created, m[:5]) == (False, b"there")
                m.flush()
            with NamedMap.create(name, file=file, exist_ok=True, access="r") as m:
                assert (m.created, m.access, m.size) == (False, "r", 4096)
            with pytest.raises(ValueError, match="has 4096 bytes, and 5000 were asked for"):
                NamedMap.create(name, 5000, file=file, exist_ok=True)
    assert path.read_bytes() == b"0123456789"
    assert not missing.exists()
    with NamedMap.create(name, 5, file=missing, exist_ok=True) as m:
        assert m.created
    assert missing.read_bytes() == bytes(5)


@windows
def test_a_name_with_a_descriptor_comes_before_the_file_too(path, name, secured_mapping):
    secured_mapping("D:(A;;0x0005;;;WD)")
    with pytest.raises(FileExistsError):
        NamedMap.create(name, 5000, file=path)
    with pytest.raises(PermissionError):
        NamedMap.create(name, 5000, file=path, exist_ok=True)
    with NamedMap.create(name, file=path, exist_ok=True, access="r") as m:
        assert not m.created
    assert path.read_bytes() == b"0123456789"


def test_copy_on_write_leaves_a_file_alone(path, name):
    with NamedMap.create(name, file=path, access="c") as m, m.view(2, 4) as view:
        m[0] = view[0] = 255
        m.flush()
        view.flush()
        assert (m[:4], view[:]) == (b"\xff123", b"\xff345")
        with NamedMap.open(name, access="r") as other:
            assert other[:] == b"0123456789"
    assert path.read_bytes() == b"0123456789"


def test_a_read_only_file_mapping_is_never_written(path, name):
    with NamedMap.create(name, file=path, access="r") as m, m.view(2, 4) as view:
        for memory in (m, view):
            for store in (lambda: memory.write(b"x"), lambda: memory.__setitem__(0, 1),
                          lambda: memory.buf.__setitem__(0, 1), lambda: memory.overlay(ctypes.c_char),
                          lambda: memory.__setitem__(slice(0, 1), b"x")):
                with pytest.raises(TypeError):
                    store()
            memory.flush()
        with pytest.raises(ValueError, match="wider"):
            m.view(access="rw")
        with m.view(access="c") as private:
            private[0] = 1
    assert path.read_bytes() == b"0123456789"


def count_calls(monkeypatch, function, of=namedmap._win):
    calls, call = [], getattr(of, function)
    monkeypatch.setattr(of, function, lambda *arguments: calls.append(arguments) or call(*arguments), raising=False)
    return calls


def count_closes(monkeypatch):
    """The handles of objects that are made later and then closed."""
    return count_calls(monkeypatch, "close_handle", namedmap._layer)


def test_flush_reaches_the_disk(path, name, monkeypatch):
    views, disks = (count_calls(monkeypatch, function, namedmap._layer) for function in ("flush_view", "flush_file"))
    with NamedMap.create(name, 200000, file=path) as m:
        m.flush()
        m.flush(100, 50)
        m.flush(200000)
        assert [(base - m.address, size) for base, size in views] == [(0, 200000), (100, 50)]
        assert len(disks) == 3
        with m.view(70000, 1000) as view:
            view.flush(10)
            assert views[-1] == (view.address + 10, 990)
            with m.view(access="r") as reader:
                reader.flush()
            assert len(disks) == 5
            with NamedMap.open(name) as other:
                other.flush()
            assert len(disks) == 5  # it has no file
            m.close()
            view.flush()
            assert len(disks) == 5
    with NamedMap.create(name, 100) as m:
        m.flush()
    with NamedMap.create(name, file=path, access="r") as m:
        m.flush()
    assert len(disks) == 5


def test_flush_checks_its_range(memory):
    for offset, size in ((-1, None), (101, None), (0, 101), (50, 51), (0, -1), (-1, 1), (50, -10), (2 ** 70, None)):
        with pytest.raises(ValueError, match="not inside"):
            memory.flush(offset, size)
    for offset, size in ((None, None), ("0", None), (0, 1.5)):
        with pytest.raises(TypeError):
            memory.flush(offset, size)


@windows
def test_flush_retries_while_the_system_writes(path, monkeypatch):
    # Injected: Wine never answers so.
    answers = []

    def flush(base, size):
        ctypes.set_last_error(answers.pop())
        return namedmap._flushed(0 if ctypes.get_last_error() else 1, None, (base, size))

    monkeypatch.setattr(namedmap._win, "FlushViewOfFile", flush)
    with NamedMap.create(None, file=path) as m:
        answers[:] = [0, 33, 33, 33]
        m.flush()
        assert not answers
        monkeypatch.setattr(namedmap, "_PAUSES", [0.001, 0.001])
        answers[:] = [33] * 10
        with pytest.raises(PermissionError, match="locked") as caught:
            m.flush()
        assert (caught.value.winerror, caught.value.filename, len(answers)) == (33, str(path), 7)
        answers[:] = [1117]
        with pytest.raises(OSError) as caught:
            m.flush()
        assert told(caught) == (1117, str(path))


def test_a_new_file_is_deleted_by_its_handle(name, path, monkeypatch):
    # Not by its path, which may lead elsewhere by then.
    other = path.parent / "other"
    other.mkdir()
    before = os.getcwd()

    def move_and_refuse(*arguments):
        os.chdir(str(other))
        raise OSError(errno.ENOSPC, "refused", None, namedmap.ERROR_COMMITMENT_LIMIT)

    monkeypatch.setattr(namedmap._layer, "create_file_mapping", move_and_refuse)
    os.chdir(str(path.parent))
    try:
        (other / "new").write_bytes(b"another file")
        with pytest.raises(OSError, match="refused") as caught:
            NamedMap.create(name, 10, file="new")
        assert caught.value.filename == "new"
    finally:
        os.chdir(before)
    assert (other / "new").read_bytes() == b"another file"
    assert not (path.parent / "new").exists()


def test_failing_files_leak_no_handle(path, name):
    opened = path.parent / "opened"
    opened.write_bytes(b"0123456789")
    for attempt in range(21):
        if attempt == 1:  # what the first one loads stays
            gc.collect()
            before = handle_count(), mapped_regions()
        with opened.open("rb") as file:
            for arguments in ({"file": path, "size": 11, "access": "r"}, {"file": file, "access": "rw"},
                              {"file": file, "size": 11, "access": "c"}, {"file": path.parent},
                              {"file": path, "sddl": "x"}, {"file": path, "size": 2 ** 60},
                              {"file": path.parent / "new", "size": 2 ** 60}):
                with pytest.raises((OSError, ValueError, NotImplementedError)):
                    NamedMap.create(name, **arguments)
        with NamedMap.create(name, file=path) as m, m.view() as view:
            view.flush()
    gc.collect()
    assert (handle_count(), mapped_regions()) == before


@pytest.mark.parametrize("arguments, text", [
    ({"access": "r"}, 'access="rw"'), ({"access": "c"}, 'access="rw"'),
    ({"access": "r", "exist_ok": True}, 'access="rw"'),
    ({"file": "x", "reserve": True}, "paging file"),
    ({"sddl": ""}, "empty"), ({"sddl": "D:\0"}, "NUL"),
])
def test_arguments_that_exclude_each_other(arguments, text):
    with pytest.raises(ValueError, match=text):
        NamedMap.create("x", 10, **arguments)


@pytest.mark.parametrize("arguments", [{"sddl": 5}, {"sddl": b"D:"}, {"access": None}, {"access": 1}])
def test_arguments_of_the_wrong_type(arguments):
    with pytest.raises(TypeError):
        NamedMap.create("x", 10, **arguments)


# ---------------------------------------------------------------- handles

CHILD = """
import sys, namedmap
m = namedmap.NamedMap.from_handle(int(sys.argv[1]))
found = m[:5].decode()
if m.access == "rw":
    m[:5] = b"child"
print(m.size, m.access, m.name, m.created, found, flush=True)
sys.stdin.readline()
"""


CHILD_THAT_IS_GIVEN = """
import os, sys
print(os.getpid(), flush=True)
sys.argv[1] = sys.stdin.readline()
""" + CHILD


def give(memory, process):
    """Duplicate the handle into a process that runs CHILD_THAT_IS_GIVEN, and tell it."""
    process.popen.stdin.write(b"%d\n" % memory.duplicate(int(process.line())))
    process.popen.stdin.flush()


def is_inheritable(handle):
    return os.get_handle_inheritable(handle)


@windows
def test_a_child_inherits_memory_without_a_name():
    with NamedMap.create(None, 5000, inheritable=True) as m:
        m[:5] = b"hello"
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [m.handle]})
        child = subprocess.run([sys.executable, "-c", CHILD, str(m.handle)], cwd=HERE, startupinfo=startup,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=True)
        assert child.stdout.split() == b"8192 rw None False hello".split()
        assert m[:5] == b"child"


@windows
def test_inheritance_is_asked_for(name, path):
    with NamedMap.create(name, 100) as made, NamedMap.open(name) as opened:
        assert not is_inheritable(made.handle) and not is_inheritable(opened.handle)
        with NamedMap.open(name, inheritable=True) as m:
            assert is_inheritable(m.handle)
        for file in (None, path):
            with NamedMap.create(name, 100, inheritable=True, exist_ok=True, file=file) as m:
                assert is_inheritable(m.handle) and not m.created
    with NamedMap.create(name, 100, inheritable=True) as m:
        assert is_inheritable(m.handle)


@windows
@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_a_handle_is_duplicated_into_another_process(access, name, python):
    with NamedMap.create(name, 5000) as made, NamedMap.open(name, access=access) as m:
        made[:5] = b"hello"
        process = python(CHILD_THAT_IS_GIVEN, "")
        give(m, process)
        assert process.line() == f"8192 {'rw' if access == 'rw' else 'r'} None False hello"
        assert made[:5] == (b"child" if access == "rw" else b"hello")
        made.close()
        m.close()
        with NamedMap.open(name, access="r"):
            pass  # the other process holds it, and with it the name
        process.enter()
        assert process.end() == (0, [], "")
        with pytest.raises(FileNotFoundError):
            NamedMap.open(name)


@windows
def test_duplicating_into_what_is_not_there(memory):
    before = handle_count()
    handle = memory.duplicate(os.getpid())
    assert handle_count() == before + 1 and not is_inheritable(handle)
    assert kernel32.CloseHandle(handle)
    with pytest.raises(OSError, match="no such process") as caught:
        memory.duplicate(0xFFFFFFF0)
    assert caught.value.winerror == 87
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(OSError, match="process"):  # that it has ended, while its Popen keeps its id
        memory.duplicate(ended.pid)
    for bad in (-1, 2 ** 32):
        with pytest.raises(ValueError):
            memory.duplicate(bad)
    for bad in ("1", None, 1.5):
        with pytest.raises(TypeError):
            memory.duplicate(bad)


@windows
def test_from_handle_takes_the_handle(memory, name):
    handle = memory.duplicate(os.getpid())
    with NamedMap.from_handle(handle, 50) as m:
        assert (m.handle, m.name, m.created, m.size, m.access) == (handle, None, False, 50, "rw")
        m[0] = 7
        assert memory[0] == 7
        assert repr(m) == f"<NamedMap None, size=50, access='rw', handle={handle:#x}>"
    with pytest.raises(OSError):
        NamedMap.from_handle(handle)
    with NamedMap.open(name, access="r") as reader, NamedMap.from_handle(reader.duplicate(os.getpid())) as m:
        assert m.access == "r"
        with pytest.raises(TypeError):
            m[0] = 1
        with m.view(access="c") as view:
            view[0] = 9
    assert memory[0] == 7


@windows
def test_from_handle_takes_one_that_may_only_write(memory, name):
    handle = namedmap._win.OpenFileMappingW(namedmap.FILE_MAP_WRITE, False, name)
    with NamedMap.from_handle(handle) as m:
        assert (m.size, m.access) == (4096, "rw")
        m[0] = 7
        assert memory[0] == 7


@windows
def test_from_handle_leaves_what_it_refuses(memory, path):
    handle = memory.duplicate(os.getpid())
    with pytest.raises(ValueError, match="has 4096 bytes, and 5000 were asked for"):
        NamedMap.from_handle(handle, 5000)
    for size in (0, -1):
        with pytest.raises(ValueError):
            NamedMap.from_handle(handle, size)
    NamedMap.from_handle(handle).close()  # it was still open
    with pytest.raises(OSError, match="closed, or belongs to another process") as caught:
        NamedMap.from_handle(handle)
    assert caught.value.winerror == 6
    event = kernel32.CreateEventW(None, False, False, None)
    for other, kind in ((event, "Event"), (kernel32.CreateMutexW(None, False, None), "Mutant")):
        with pytest.raises(OSError, match="another kind of object: " + kind) as caught:
            NamedMap.from_handle(other)
        assert caught.value.winerror == 6
        assert kernel32.CloseHandle(other)
    with path.open() as file, pytest.raises(OSError, match="another kind of object: File"):
        NamedMap.from_handle(msvcrt.get_osfhandle(file.fileno()))
    for bad in (0, -1, 2 ** 64, 2 ** 70):
        with pytest.raises(ValueError):
            NamedMap.from_handle(bad)
    for bad in ("1", None, 1.5):
        with pytest.raises(TypeError):
            NamedMap.from_handle(bad)


@windows
def test_a_handle_that_allows_nothing(memory):
    process, handle = kernel32.GetCurrentProcess(), wintypes.HANDLE()
    assert kernel32.DuplicateHandle(process, memory.handle, process, ctypes.byref(handle), namedmap.SECTION_QUERY,
                                    False, 0)
    with pytest.raises(PermissionError, match="does not allow reading"):
        NamedMap.from_handle(handle.value)
    assert kernel32.CloseHandle(handle)


@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_pickling_opens_the_name_again(access, name):
    with NamedMap.create(name, 5000) as made, NamedMap.open(name, 100, access=access) as m:
        made[:5] = b"hello"
        child = subprocess.run(
            [sys.executable, "-c", "import pickle, sys\nm = pickle.load(sys.stdin.buffer)\n"
             "print(m.name, m.size, m.access, m.created, m[:5])\nif m.access != 'r': m[0] = 74"],
            cwd=HERE, input=pickle.dumps(m), stdout=subprocess.PIPE, timeout=60, check=True,
            env={**os.environ, "PYTHONUTF8": "1"})
        assert child.stdout.decode().strip() == f"{name} 100 {access} False b'hello'"
        assert made[:5] == (b"Jello" if access == "rw" else b"hello")
        with copy.copy(m) as other:
            assert other.handle != m.handle
        kept = pickle.dumps(m)
    with pytest.raises(FileNotFoundError):
        pickle.loads(kept)
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(m)


def test_what_cannot_be_pickled(memory):
    with NamedMap.create(None, 100) as m, pytest.raises(TypeError, match="inheritance or duplicate"):
        pickle.dumps(m)
    with memory.view() as view, pytest.raises(TypeError, match="pickle its NamedMap"):
        pickle.dumps(view)


def test_multiprocessing_takes_a_map_as_argument(memory):
    process = multiprocessing.get_context("spawn").Process(target=memory.write, args=(b"from the child",))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert memory[:14] == b"from the child"


# ---------------------------------------------------------------- mutexes, events and semaphores

WAITABLES = [Mutex, Event, Semaphore]
every_waitable = pytest.mark.parametrize("cls", WAITABLES)


@pytest.fixture
def mutex(name):
    with contextlib.closing(Mutex.create(name)) as m:
        yield m


def in_thread(function, *arguments):
    """What a function returns in a thread that has ended."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    thread.join(60)
    return results[0]


def take(waitable, timeout=0):
    return (waitable.wait if isinstance(waitable, Event) else waitable.acquire)(timeout=timeout)


def is_free_for_others(waitable):
    """Whether another thread gets a mutex or semaphore, which it gives back."""
    def try_it():
        taken = waitable.acquire(blocking=False)
        if taken:
            waitable.release()
        return taken
    return in_thread(try_it)


def ready_to_take(cls, name=None):
    return Event.create(name, manual_reset=False, initial_state=True) if cls is Event else cls.create(name)


@contextlib.contextmanager
def never_free(cls):
    """A mutex that another thread holds, an event that is not set, or a semaphore of 0."""
    end = threading.Event()
    with contextlib.closing(Semaphore.create(None, 0) if cls is Semaphore else cls.create()) as waitable:
        holder = threading.Thread(target=lambda: (waitable.acquire(), end.wait(60), waitable.release()))
        if cls is Mutex:
            holder.start()
            eventually(lambda: not is_free_for_others(waitable))
        try:
            yield waitable
        finally:
            end.set()
            if cls is Mutex:
                holder.join()


def gone(cls, name):
    try:
        cls.open(name).close()
    except FileNotFoundError:
        return True
    return False


@every_waitable
def test_waitables_are_created_and_opened_like_maps(cls, name):
    with pytest.raises(FileNotFoundError, match="nothing has this name now") as caught:
        cls.open(name)
    assert told(caught) == (2, name)
    made = cls.create(name)
    assert (made.name, made.created, made.closed) == (name, True, False)
    with pytest.raises(FileExistsError, match="the name is taken") as caught:
        cls.create(name)
    assert told(caught) == (183, name)
    again, opened = cls.create(name, exist_ok=True), cls.open(name)
    assert (again.created, opened.created, opened.name) == (False, False, name)
    assert len({made.handle, again.handle, opened.handle}) == 3
    with pytest.raises(FileNotFoundError):
        cls.open(name.replace("test", "Test"))
    cls.open(name[len("Local\\"):]).close()
    assert repr(made) == f"<{cls.__name__} {name!r}, handle={made.handle:#x}>"
    for each in (made, again, opened):
        each.close()
        each.close()
    assert gone(cls, name)
    assert repr(made) == f"<{cls.__name__} {name!r}, closed>"
    assert (made.name, made.created, made.closed) == (name, True, True)


@every_waitable
def test_a_closed_waitable_refuses_everything_else(cls, name):
    closed = cls.create(name)
    closed.close()
    own = {Mutex: ["release"], Event: ["set", "clear", "is_set"], Semaphore: ["release"]}[cls]
    for use in [lambda: closed.handle, lambda: closed.duplicate(os.getpid()), lambda: pickle.dumps(closed),
                lambda: take(closed), closed.__enter__] + [getattr(closed, method) for method in own]:
        with pytest.raises(ValueError, match="is closed"):
            use()
    if cls is Mutex:
        with pytest.raises(ValueError, match="is closed"):
            closed.abandoned


@every_waitable
def test_waitables_without_a_name(cls):
    first, second = ready_to_take(cls), ready_to_take(cls)
    assert first.name is None and first.created
    assert take(first) and in_thread(take, second) and not in_thread(take, first)
    with pytest.raises(TypeError, match="without a name cannot be pickled"):
        pickle.dumps(first)
    if cls is Mutex:
        first.release()
    first.close()
    second.close()


@every_waitable
def test_waitables_in_global(cls, name):
    # Windows asks for no privilege here, other than for memory.
    bare = name[len("Local\\"):]
    with contextlib.closing(cls.create("Global\\" + bare)):
        assert gone(cls, bare) and not gone(cls, "Global\\" + bare)


@every_waitable
def test_what_may_not_be_created(cls, name, monkeypatch):
    create = "create_" + cls.__name__.lower()
    monkeypatch.setattr(namedmap._layer, create, denied, raising=False)
    for bad in (name, "Global\\" + name[len("Local\\"):]):
        for exist_ok in (False, True):
            with pytest.raises(PermissionError) as caught:
                cls.create(bad, exist_ok=exist_ok)
            assert "Privilege" not in str(caught.value)  # which is only asked for memory
    monkeypatch.undo()
    with contextlib.closing(cls.create(name)):
        monkeypatch.setattr(namedmap._layer, create, denied, raising=False)
        with pytest.raises(FileExistsError):
            cls.create(name)
        with contextlib.closing(cls.create(name, exist_ok=True)) as again:
            assert not again.created
            if ON_WINDOWS:
                assert not is_inheritable(again.handle)
                with contextlib.closing(cls.create(name, exist_ok=True, inheritable=True)) as inheritable:
                    assert is_inheritable(inheritable.handle)


@every_waitable
def test_open_waits_for_a_waitable(cls, name):
    made = []
    timer = threading.Timer(0.2, lambda: made.append(cls.create(name)))
    timer.start()
    begin = time.perf_counter()
    cls.open(name, timeout=30).close()
    assert 0.1 < time.perf_counter() - begin < 20
    timer.join()
    made[0].close()
    with pytest.raises(FileNotFoundError):
        cls.open(name, timeout=0.05)


CHILD_THAT_TAKES = """
import os, sys, namedmap
print(os.getpid(), flush=True)
waitable = getattr(namedmap, sys.argv[1]).from_handle(int(sys.argv[2] or sys.stdin.readline()))
taken = waitable.wait(0) if sys.argv[1] == "Event" else waitable.acquire(False)
print(waitable.name, waitable.created, taken, flush=True)
sys.stdin.readline()
"""


@windows
@every_waitable
def test_a_child_inherits_a_waitable(cls, name):
    with contextlib.closing(cls.create(name, inheritable=True)) as made:
        assert is_inheritable(made.handle)
        for again in (cls.open(name, inheritable=True), cls.create(name, exist_ok=True, inheritable=True)):
            assert is_inheritable(again.handle)
            again.close()
        with contextlib.closing(cls.open(name)) as again:
            assert not is_inheritable(again.handle)
    with contextlib.closing(ready_to_take(cls)) as waitable:
        assert not is_inheritable(waitable.handle)
        os.set_handle_inheritable(waitable.handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [waitable.handle]})
        child = subprocess.run([sys.executable, "-c", CHILD_THAT_TAKES, cls.__name__, str(waitable.handle)], cwd=HERE,
                               startupinfo=startup, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60,
                               check=True)
        assert child.stdout.split()[1:] == [b"None", b"False", b"True"]
        assert take(waitable) == (cls is Mutex)  # which its death released
        if cls is Mutex:
            assert waitable.abandoned
            waitable.release()


@windows
@every_waitable
def test_a_waitable_is_duplicated_into_another_process(cls, name, python):
    with contextlib.closing(ready_to_take(cls, name)) as waitable:
        process = python(CHILD_THAT_TAKES, cls.__name__, "")
        give(waitable, process)
        assert process.line() == "None False True"
        assert not take(waitable)
        waitable.close()
        cls.open(name).close()  # the other process holds it
        process.enter()
        assert process.end() == (0, [], "")
    eventually(lambda: gone(cls, name))


@windows
@every_waitable
def test_from_handle_of_waitables_checks_the_kind(cls, memory):
    other = Event if cls is Mutex else Mutex
    with contextlib.closing(other.create()) as wrong, contextlib.closing(cls.create()) as right:
        for handle in (wrong.handle, memory.handle):
            with pytest.raises(OSError, match="belongs to another kind of object") as caught:
                cls.from_handle(handle)
            assert caught.value.winerror == 6
        handle = right.duplicate(os.getpid())
        with contextlib.closing(cls.from_handle(handle)) as again:
            assert (again.handle, again.name, again.created) == (handle, None, False)
        with pytest.raises(OSError, match="closed, or belongs to another process"):
            cls.from_handle(handle)
        for bad, error in ((0, ValueError), (-1, ValueError), (2 ** 64, ValueError), (None, TypeError),
                           ("1", TypeError)):
            with pytest.raises(error):
                cls.from_handle(bad)


@every_waitable
def test_pickling_a_waitable_opens_its_name_again(cls, name):
    with contextlib.closing(ready_to_take(cls, name)) as waitable:
        with contextlib.closing(pickle.loads(pickle.dumps(waitable))) as again:
            assert (type(again), again.name, again.created) == (cls, name, False)
            assert again.handle != waitable.handle
            assert take(again) and not in_thread(take, waitable)
            if cls is Mutex:
                again.release()
        kept = pickle.dumps(waitable)
    with pytest.raises(FileNotFoundError):
        pickle.loads(kept)


@every_waitable
def test_what_was_forgotten_of_waitables_is_closed(cls, name):
    cls.create(name)
    assert gone(cls, name)
    cycle = [cls.create(name)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert gone(cls, name)


@windows
@every_waitable
def test_security_descriptors_of_waitables(cls, name, monkeypatch):
    with contextlib.closing(cls.create(name, sddl="D:(A;;GA;;;WD)")):
        cls.open(name).close()
    with contextlib.closing(cls.create(name, sddl="D:(A;;RC;;;WD)")):  # READ_CONTROL is of no use
        # Injected, because Wine grants SYNCHRONIZE always.
        monkeypatch.setattr(namedmap._win, f"Open{cls.__name__}W", refused(namedmap.ERROR_ACCESS_DENIED))
        for use in (cls.open, cls.create, lambda name: cls.create(name, exist_ok=True)):
            with pytest.raises((PermissionError, FileExistsError)) as caught:
                use(name)
            assert caught.value.winerror == (183 if use == cls.create else 5)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="not a security descriptor in SDDL"):
        cls.create(name, sddl="everyone")
    with pytest.raises(TypeError):
        cls.create(name, sddl=5)


SYNCHRONIZE_ONLY, SYNCHRONIZE_AND_MODIFY = "D:(A;;0x100000;;;WD)", "D:(A;;0x100002;;;WD)"


@windows
@pytest.mark.parametrize("attach", [
    lambda cls, name: cls.open(name), lambda cls, name: cls.create(name, exist_ok=True)], ids=["open", "create"])
def test_what_a_descriptor_leaves_is_used(attach, name):
    with Event.create(name, initial_state=True, sddl=SYNCHRONIZE_ONLY), attach(Event, name) as event:
        assert event.wait(0)
        for use in (event.set, event.clear, event.is_set):
            with pytest.raises(PermissionError, match="this handle does not allow it") as caught:
                use()
            assert told(caught) == (5, name)
    with Event.create(name, sddl=SYNCHRONIZE_AND_MODIFY) as made, attach(Event, name) as event:
        event.set()
        assert event.wait(0) and made.is_set()
        with pytest.raises(PermissionError, match="this handle does not allow it"):
            event.is_set()
    with contextlib.closing(Semaphore.create(name, 2, sddl=SYNCHRONIZE_ONLY)) as made, \
            contextlib.closing(attach(Semaphore, name)) as semaphore:
        assert semaphore.acquire(False)
        with pytest.raises(PermissionError, match="this handle does not allow it"):
            semaphore.release()
        assert made.release() == 1
    with contextlib.closing(Mutex.create(name, sddl=SYNCHRONIZE_ONLY)) as made:
        with contextlib.closing(attach(Mutex, name)) as mutex:
            with mutex:
                assert not is_free_for_others(made)
            assert is_free_for_others(made)


@windows
@every_waitable
def test_a_handle_that_does_not_allow_to_wait(cls):
    process, handle = kernel32.GetCurrentProcess(), wintypes.HANDLE()
    with contextlib.closing(cls.create()) as waitable:
        assert kernel32.DuplicateHandle(process, waitable.handle, process, ctypes.byref(handle),
                                        namedmap.READ_CONTROL, False, 0)
    with contextlib.closing(cls.from_handle(handle.value)) as waitable:
        with pytest.raises(PermissionError, match="this handle does not allow it") as caught:
            take(waitable)
        assert caught.value.winerror == 5 and caught.value.filename is None


@windows
@every_waitable
def test_a_waitable_whose_handle_something_else_closed(cls, name):
    waitable = cls.create(name)
    kernel32.CloseHandle(waitable.handle)
    own = {Mutex: [], Event: ["set", "clear"], Semaphore: ["release"]}[cls]
    for use in [lambda: take(waitable)] + [getattr(waitable, method) for method in own]:
        with pytest.raises(OSError, match="closed by something other") as caught:
            use()
        assert told(caught) == (6, name)
    waitable.close()


@every_waitable
def test_a_wait_takes_its_time_and_lets_other_threads_run(cls, monkeypatch):
    slices, wait = [], namedmap._layer.wait

    def spy(handle, seconds, result):
        slices.append(seconds)
        wait(handle, seconds, result)
    monkeypatch.setattr(namedmap._layer, "wait", spy)
    with never_free(cls) as waitable:
        counted, stop = [0], threading.Event()

        def count():
            while not stop.is_set():
                counted[0] += 1
                time.sleep(0.001)
        counter = threading.Thread(target=count)
        counter.start()
        try:
            for timeout in (0, 0.005, 0.25, 1):
                slices.clear()
                begin, counted[0] = time.perf_counter(), 0
                assert take(waitable, timeout) is False
                seconds = time.perf_counter() - begin
                assert timeout <= seconds < timeout + 5
                assert counted[0] >= int(50 * timeout)
                if ON_WINDOWS:  # where nothing else would interrupt it
                    assert max(slices) <= 0.1 and len(slices) >= 10 * timeout
                else:
                    assert len(slices) <= 2
        finally:
            stop.set()
            counter.join()


@windows
def test_a_wait_does_not_spin(monkeypatch):
    milliseconds = []

    def wait(handle, number):
        milliseconds.append(number)
        time.sleep(number / 1000)
        return namedmap.WAIT_TIMEOUT
    monkeypatch.setattr(namedmap._win, "WaitForSingleObject", wait)
    with Event.create() as event:
        assert not event.wait(0.0004)
    assert milliseconds == [1]


@pytest.mark.parametrize("bad, error", [
    (-1, ValueError), (-0.001, ValueError), (math.nan, ValueError), (math.inf, ValueError), (1e300, ValueError),
    (threading.TIMEOUT_MAX * 1.01, ValueError), ("1", TypeError), ([1], TypeError),
])
@every_waitable
def test_bad_timeouts_of_waits(cls, bad, error):
    with contextlib.closing(ready_to_take(cls)) as waitable:
        with pytest.raises(error, match="a timeout must be"):
            take(waitable, bad)
        if cls is not Event:
            with pytest.raises(ValueError, match="takes no timeout"):
                waitable.acquire(False, 1)
        assert take(waitable, threading.TIMEOUT_MAX)  # and nothing was taken by the others
        if cls is Mutex:
            waitable.release()


@every_waitable
@pytest.mark.parametrize("timeout", [None, 60])
def test_ctrl_c_interrupts_a_wait(cls, timeout):
    with never_free(cls) as waitable:
        moments = []

        def interrupt():
            moments.append(time.perf_counter())
            send()
        timer = threading.Timer(0.25, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            take(waitable, timeout)
        assert time.perf_counter() - moments[0] < 0.5  # 0.1, and what a busy machine adds


def interrupted(function):
    """The function, with Ctrl+C arriving when it has done its work."""
    def call(*arguments):
        function(*arguments)
        raise KeyboardInterrupt
    return call


@pytest.mark.parametrize("held", [1, 2])
def test_a_release_that_ctrl_c_interrupts_before_it_is_noted(mutex, held, monkeypatch):
    for _ in range(held):
        mutex.acquire()
    with monkeypatch.context() as patch:
        note, interrupts = mutex._note, [KeyboardInterrupt]

        def interrupted_at_first(held):
            if interrupts:
                raise interrupts.pop()
            note(held)
        patch.setattr(mutex, "_note", interrupted_at_first)
        with pytest.raises(KeyboardInterrupt):
            mutex.release()
    assert (", held" in repr(mutex)) == (held == 2)
    assert is_free_for_others(mutex) == (held == 1)
    if held == 2:
        mutex.release()


def test_a_release_that_ctrl_c_interrupts_when_another_thread_has_the_mutex(mutex, monkeypatch):
    mutex.acquire()
    with ThreadPoolExecutor(1) as other:
        release = mutex._release

        def interrupted_late(*arguments):
            release(*arguments)
            assert other.submit(mutex.acquire, timeout=10).result()
            raise KeyboardInterrupt
        monkeypatch.setattr(mutex, "_release", interrupted_late)
        with pytest.raises(KeyboardInterrupt):
            mutex.release()
        monkeypatch.undo()
        assert ", held" in repr(mutex)
        other.submit(mutex.release).result()


@pytest.mark.parametrize("cls, held", [(Mutex, 0), (Mutex, 2), (Event, 0), (Semaphore, 0)])
@pytest.mark.parametrize("moment", ["got", "noted", "returning"])
def test_what_was_got_when_ctrl_c_arrives_is_given_back(cls, moment, held, monkeypatch):
    with contextlib.closing(ready_to_take(cls)) as waitable:
        for _ in range(held):
            waitable.acquire()
        with monkeypatch.context() as patch:
            if moment == "got":
                patch.setattr(namedmap._layer, "wait", interrupted(namedmap._layer.wait))
            elif moment == "noted":
                patch.setattr(waitable, "_got", interrupted(waitable._got))
            else:
                patch.setattr(waitable, "_wait_in_slices", interrupted(waitable._wait_in_slices))
            with pytest.raises(KeyboardInterrupt):
                take(waitable)
        if cls is Mutex:
            assert (", held" in repr(waitable)) == (held > 0)
            for _ in range(held):
                assert not is_free_for_others(waitable)
                waitable.release()
            with pytest.raises(RuntimeError):
                waitable.release()
            assert is_free_for_others(waitable)
        elif cls is Semaphore:
            assert waitable.release() == 1
        else:
            assert waitable.is_set()


def test_an_abandoned_mutex_is_given_back_too(mutex, monkeypatch):
    assert in_thread(mutex.acquire)
    with monkeypatch.context() as patch:
        patch.setattr(namedmap._layer, "wait", interrupted(namedmap._layer.wait))
        with pytest.raises(KeyboardInterrupt):
            mutex.acquire()
    assert is_free_for_others(mutex)


@pytest.mark.parametrize("cls", [Mutex, Semaphore])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_release_is_done_although_ctrl_c_arrives(cls, moment, monkeypatch):
    release = "release_" + cls.__name__.lower()
    do_release = getattr(namedmap._layer, release)

    def release_it(*arguments):
        if moment == "before" and len(calls) == 0:
            calls.append(arguments)
            raise KeyboardInterrupt
        count = do_release(*arguments)
        if moment == "after":
            raise KeyboardInterrupt
        return count
    with contextlib.closing(cls.create()) as waitable:
        for _ in range(2):
            calls = []
            with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch, waitable:
                patch.setattr(namedmap._layer, release, release_it)
            assert is_free_for_others(waitable)
        if cls is Semaphore:
            assert waitable.release() == 1


def test_a_cleared_manual_reset_event_is_not_set_again_by_ctrl_c(monkeypatch):
    with Event.create(initial_state=True) as event:
        wait = namedmap._layer.wait

        def wait_and_clear(*arguments):
            wait(*arguments)
            event.clear()
        monkeypatch.setattr(namedmap._layer, "wait", interrupted(wait_and_clear))
        with pytest.raises(KeyboardInterrupt):
            event.wait()
        assert not event.is_set()


@windows
def test_who_may_only_wait_is_interrupted_all_the_same(name, monkeypatch):
    with Event.create(name, manual_reset=False, initial_state=True, sddl=SYNCHRONIZE_ONLY), \
            contextlib.closing(Semaphore.create(name + "s", sddl=SYNCHRONIZE_ONLY)):
        with Event.open(name) as event, contextlib.closing(Semaphore.open(name + "s")) as semaphore:
            monkeypatch.setattr(namedmap._layer, "wait", interrupted(namedmap._layer.wait))
            for waitable in (event, semaphore):
                with pytest.raises(KeyboardInterrupt):
                    take(waitable)


@every_waitable
def test_closing_ends_the_waits_of_other_threads(cls, name, monkeypatch):
    with contextlib.closing(ready_to_take(cls, name)) as holder:
        assert take(holder)
        closed = count_closes(monkeypatch)
        waitable, errors = cls.open(name), []
        handle = waitable.handle

        def wait():
            try:
                take(waitable, None)
            except ValueError as error:
                errors.append(error)
        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(waitable._uses) == 3)
        begin = time.perf_counter()
        waitable.close()
        assert waitable.closed
        with pytest.raises(ValueError):
            take(waitable)
        for thread in threads:
            thread.join(60)
        assert time.perf_counter() - begin < 5 and ["is closed" in str(error) for error in errors] == [True] * 3
        assert [call[0] for call in closed].count(handle) == 1
        if cls is Mutex:
            holder.release()
        else:
            (holder.set if cls is Event else holder.release)()
        assert take(holder)  # nobody else took it
        if cls is Mutex:
            holder.release()
    assert gone(cls, name)


@every_waitable
def test_what_is_got_when_another_thread_closes_is_given_back(cls, name, monkeypatch):
    wait = namedmap._layer.wait
    with contextlib.closing(ready_to_take(cls, name)) as holder:
        waitable = cls.open(name)

        def close_then(handle, seconds, result):
            wait(handle, seconds, result)
            in_thread(waitable.close)
        monkeypatch.setattr(namedmap._layer, "wait", close_then)
        with pytest.raises(ValueError, match="is closed"):
            take(waitable)
        monkeypatch.undo()
        assert in_thread(take, holder)


@pytest.mark.parametrize("close_in", [lambda close: close(), in_thread], ids=["signal handler", "thread"])
def test_closing_leaves_the_handle_to_the_calls_that_have_it(close_in, monkeypatch):
    closed = count_closes(monkeypatch)
    event, set_event = Event.create(), namedmap._layer.set_event
    handle = event.handle

    def close_then_set(given):
        close_in(event.close)
        assert event.closed
        with Event.create() as other:  # which does not get the value of the handle
            set_event(given)
            assert namedmap._layer.query_event(given)[1] and not other.is_set()
    monkeypatch.setattr(namedmap._layer, "set_event", close_then_set)
    event.set()
    with pytest.raises(ValueError, match="is closed"):
        event.set()
    assert [call[0] is handle for call in closed].count(True) == 1


@pytest.mark.parametrize("cls", [Mutex, Semaphore])
def test_closing_and_ctrl_c_at_once_lose_nothing(cls, name, monkeypatch):
    wait = namedmap._layer.wait
    with contextlib.closing(cls.create(name)) as other:
        waitable = cls.open(name)

        def wait_and_close(*arguments):
            wait(*arguments)
            in_thread(waitable.close)
        monkeypatch.setattr(namedmap._layer, "wait", interrupted(wait_and_close))
        with pytest.raises(KeyboardInterrupt):
            waitable.acquire()
        monkeypatch.undo()
        assert waitable.closed and is_free_for_others(other)
    assert gone(cls, name)


@every_waitable
@pytest.mark.parametrize("code", [5, 288, 298])
def test_what_cannot_be_given_back_does_not_hide_ctrl_c(cls, code, monkeypatch):
    error = {5: PermissionError, 288: RuntimeError, 298: ValueError}[code]

    def refuse(*_):
        raise error("it cannot be given back")
    waitable = ready_to_take(cls)
    for function in ("release_mutex", "release_semaphore", "query_event"):
        monkeypatch.setattr(namedmap._layer, function, refuse)
    monkeypatch.setattr(namedmap._layer, "wait", interrupted(namedmap._layer.wait))
    with pytest.raises(KeyboardInterrupt):
        take(waitable)


def test_abandonment_is_told_whatever_was_noted(mutex):
    assert in_thread(mutex.acquire)
    mutex._hold = (threading.get_ident(), 1)  # as if the number of the thread that has ended were in use again
    assert mutex.acquire(timeout=10) and mutex.abandoned
    mutex.release()
    assert is_free_for_others(mutex)
    mutex.close()


def test_a_mutex_is_closed_after_a_thread_that_is_not_of_threading(name):
    mutex, started = Mutex.create(name), threading.Semaphore(0)

    def hold():
        mutex.acquire()
        started.release()
    _thread.start_new_thread(hold, ())
    assert started.acquire(timeout=60)
    eventually(lambda: ", held" not in repr(mutex))
    mutex.close()
    assert gone(Mutex, name)


def test_a_forgotten_mutex_is_closed_although_its_thread_has_it(name):
    class Worker(threading.Thread):
        def run(self):
            with self.mutex:
                pass
    worker = Worker()
    worker.mutex = Mutex.create(name)
    worker.start()
    worker.join()
    del worker  # without a garbage collection
    assert gone(Mutex, name)


@windows
@pytest.mark.parametrize("cls, allowed, usable", [
    (Event, 0x100003, "wait set is_set"), (Event, 0x100002, "wait set"), (Event, 0x100001, "wait is_set"),
    (Event, 0x100000, "wait"), (Event, 0x2, "set"), (Semaphore, 0x100002, "acquire release"),
    (Semaphore, 0x100000, "acquire"), (Semaphore, 0x2, "release"), (Mutex, 0x100000, "acquire release")])
def test_as_many_rights_as_a_descriptor_grants(cls, allowed, usable, name, monkeypatch):
    # Injected, because Wine grants SYNCHRONIZE always.
    opener = f"Open{cls.__name__}W"
    open_it = getattr(namedmap._win, opener)

    def open_allowed(rights, inheritable, name):
        if rights & ~allowed:
            raise OSError(0, "refused", name, namedmap.ERROR_ACCESS_DENIED)
        return open_it(rights, inheritable, name)
    holder = cls.create(name)
    monkeypatch.setattr(namedmap._win, opener, open_allowed)
    waitable = cls.open(name)
    monkeypatch.undo()
    able = []
    for use in ("acquire", "wait", "set", "is_set", "release"):
        try:
            if use == "acquire" and cls is not Event:
                waitable.acquire(False)
            elif use == "wait" and cls is Event:
                waitable.wait(0)
            elif hasattr(waitable, use):
                getattr(waitable, use)()
            else:
                continue
        except PermissionError:
            continue
        except ValueError:
            assert use == "release"  # the maximum
        able.append(use)
    assert sorted(able) == sorted(usable.split())
    waitable.close()
    holder.close()


@every_waitable
def test_the_interpreter_ends_while_threads_wait(cls, python):
    process = python(
        "import sys, threading, time, namedmap\n"
        "cls = getattr(namedmap, sys.argv[1])\n"
        "waitable = cls.create(None, 0) if sys.argv[1] == 'Semaphore' else cls.create()\n"
        "def wait():\n"
        "    waitable.wait() if sys.argv[1] == 'Event' else waitable.acquire()\n"
        "if sys.argv[1] == 'Mutex': waitable.acquire()\n"
        "for _ in range(2): threading.Thread(target=wait, daemon=True).start()\n"
        "while len(waitable._uses) < 2: time.sleep(0.01)\n"
        "print('waiting', flush=True)\n"
        "sys.stdin.readline()\n", cls.__name__)
    assert process.line() == "waiting"
    process.enter()
    assert process.end() == (0, [], "")


@every_waitable
def test_multiprocessing_takes_a_waitable_as_argument(cls, name):
    with contextlib.closing(ready_to_take(cls, name)) as waitable:
        process = multiprocessing.get_context("spawn").Process(target=take, args=(waitable,))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        assert take(waitable) == (cls is Mutex)
        if cls is Mutex:
            assert waitable.abandoned
            waitable.release()


# ---------------------------------------------------------------- mutexes

def test_a_mutex_is_held_by_one_thread(mutex, name):
    assert mutex.acquire() is True
    assert not is_free_for_others(mutex)
    with contextlib.closing(Mutex.open(name)) as other:
        assert not is_free_for_others(other)
        assert other.acquire()  # this thread may, whatever the handle
        other.release()
    mutex.release()
    assert is_free_for_others(mutex)


def test_a_mutex_is_recursive(mutex):
    for _ in range(3):
        assert mutex.acquire(timeout=0)
    with mutex as entered:
        assert entered is mutex
    for _ in range(3):
        assert not is_free_for_others(mutex)
        mutex.release()
    assert is_free_for_others(mutex)


def test_with_unlocks_and_does_not_close(mutex):
    with pytest.raises(ZeroDivisionError):
        with mutex:
            assert not is_free_for_others(mutex)
            1 / 0
    assert is_free_for_others(mutex) and not mutex.closed


def test_only_the_holder_releases(mutex, name):
    def release():
        with pytest.raises(RuntimeError, match="does not hold Mutex"):
            mutex.release()
        return True
    release()
    with mutex:
        assert in_thread(release)
        with contextlib.closing(Mutex.open(name)) as other, pytest.raises(RuntimeError, match="through this object"):
            other.release()  # what another object has acquired, and relies on
        assert not is_free_for_others(mutex)
    release()


@windows
def test_a_failing_release_leaves_the_last_error_alone(mutex):
    ctypes.set_last_error(77)  # as if this were called between another call and its check
    with pytest.raises(RuntimeError):
        namedmap._layer.release_mutex(mutex.handle, [])
    assert ctypes.get_last_error() == 77


def test_a_mutex_that_something_else_released(mutex):
    mutex.acquire()
    mutex.acquire()
    for _ in range(2):
        namedmap._layer.release_mutex(mutex.handle, [])
    with pytest.raises(RuntimeError, match="does not hold"):
        mutex.release()
    mutex.close()


def test_a_held_mutex_is_not_closed(mutex, name):
    def is_refused():
        with pytest.raises(RuntimeError, match="is held, and has to be released before"):
            mutex.close()
        return True
    mutex.acquire()
    for refused_here in (is_refused, lambda: in_thread(is_refused)):
        assert refused_here()
        assert not mutex.closed and not is_free_for_others(mutex)
    assert ", held, handle=" in repr(mutex)
    mutex.release()
    mutex.close()
    assert mutex.closed and gone(Mutex, name)


def test_a_mutex_is_closed_after_its_thread_has_ended(mutex, name):
    with contextlib.closing(Mutex.open(name)) as other:
        assert in_thread(mutex.acquire)
        assert "held" not in repr(mutex)
        mutex.close()
        assert other.acquire(timeout=10) and other.abandoned
        other.release()


def test_abandoned_by_a_thread(mutex):
    assert in_thread(mutex.acquire)
    assert mutex.acquire(timeout=10) is True
    assert mutex.abandoned
    with mutex:
        assert mutex.abandoned  # acquiring again repairs nothing
    mutex.release()
    assert mutex.abandoned
    with mutex:
        assert not mutex.abandoned


HOLDER = """
import sys, namedmap
mutex = namedmap.Mutex.open(sys.argv[1])
for _ in range(3):
    mutex.acquire()
print("holding", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("ends", [Process.kill, Process.enter], ids=["killed", "ended"])
def test_abandoned_by_a_process(ends, mutex, name, python):
    holder = python(HOLDER, name)
    assert holder.line() == "holding"
    assert not mutex.acquire(timeout=0.05) and not mutex.abandoned
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append((mutex.acquire(timeout=30), mutex.abandoned)))
    thread.start()
    ends(holder)
    thread.join(60)
    assert waiting == [(True, True)]  # and that thread has ended in turn
    assert mutex.acquire(timeout=10) and mutex.abandoned
    mutex.release()
    assert is_free_for_others(mutex)


def test_an_owner_killed_at_20_random_moments_never_blocks_others(mutex, name, python):
    moments, abandoned = random.Random(4), 0
    for _ in range(20):
        owner = python("import sys, time, namedmap\n"
                       "mutex = namedmap.Mutex.open(sys.argv[1])\n"
                       "print('ready', flush=True)\n"
                       "while True:\n"
                       "    with mutex:\n"
                       "        with mutex:\n"
                       "            time.sleep(0.001)\n", name)
        assert owner.line() == "ready"
        time.sleep(moments.uniform(0, 0.05))
        owner.kill()
        assert mutex.acquire(timeout=30)
        abandoned += mutex.abandoned
        mutex.release()
        assert is_free_for_others(mutex)
    assert 0 < abandoned <= 20


def go_on_together(processes):
    """Let processes go on when all are ready, and wait for their ends."""
    for process in processes:
        assert process.line() == "ready"
    for process in processes:
        process.enter()
    for process in processes:
        assert process.end() == (0, [], "")


def test_no_increment_is_lost(mutex, name, python):
    with NamedMap.create(name + " counter", 8) as memory:
        processes = [python(
            "import ctypes, sys, namedmap\n"
            "counter = namedmap.NamedMap.open(sys.argv[1] + ' counter').overlay(ctypes.c_uint64)\n"
            "mutex = namedmap.Mutex.open(sys.argv[1])\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "for _ in range(5000):\n"
            "    with mutex:\n"
            "        counter.value += 1\n", name) for _ in range(4)]
        go_on_together(processes)
        assert memory.overlay(ctypes.c_uint64).value == 20000


def test_two_threads_share_a_mutex_object(mutex):
    inside, most = [], []

    def work():
        for _ in range(200):
            with mutex:
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 800 and set(most) == {1}
    mutex.close()


# ---------------------------------------------------------------- events

def test_an_event_is_set_and_cleared(name):
    with Event.create(name) as event, Event.open(name) as other:
        assert not event.is_set() and event.wait(0) is False
        event.set()
        assert other.is_set() and other.wait() is True and other.wait(0) is True and event.is_set()
        other.clear()
        assert not event.is_set()
    assert event.closed
    with Event.create(initial_state=True) as event:
        assert event.is_set()


def test_an_event_that_resets_itself():
    with Event.create(manual_reset=False, initial_state=True) as event:
        assert event.is_set() and event.is_set()  # which changes nothing
        assert event.wait(0) is True
        assert not event.is_set() and event.wait(0) is False


def test_attaching_to_an_event_changes_nothing(name):
    with Event.create(name, manual_reset=False, initial_state=True):
        with Event.create(name, manual_reset=True, initial_state=False, exist_ok=True) as event:
            assert event.wait(0) and not event.is_set()
        Event.create(name, initial_state=True, exist_ok=True).close()
        assert not Event.open(name).is_set()


WAITER = """
import sys, namedmap
event = namedmap.Event.open(sys.argv[1])
print("ready", flush=True)
event.wait()
print("woken", flush=True)
"""


@pytest.mark.parametrize("manual_reset", [False, True])
def test_how_many_waiters_an_event_wakes(manual_reset, name, python):
    with Event.create(name, manual_reset=manual_reset) as event:
        woken = threading.Semaphore(0)
        threads = [threading.Thread(target=lambda: event.wait() and woken.release()) for _ in range(3)]
        for thread in threads:
            thread.start()
        processes = [python(WAITER, name) for _ in range(3)]
        for process in processes:
            assert process.line() == "ready"

        def count_woken():
            while woken.acquire(blocking=False):
                counts[0] += 1
            counts[1] = sum(process.lines.qsize() > 0 for process in processes)
            return sum(counts)
        counts = [0, 0]
        time.sleep(0.3)
        assert count_woken() == 0
        if manual_reset:
            event.set()
            eventually(lambda: count_woken() == 6)
        else:
            for number in range(1, 7):
                event.set()
                eventually(lambda: count_woken() == number)
                time.sleep(0.3)  # in which no other one wakes
                assert count_woken() == number and not event.is_set()
        for thread in threads:
            thread.join(60)


# ---------------------------------------------------------------- semaphores

MOST = 2 ** 31 - 1 if ON_WINDOWS else 4096  # what the count of a semaphore can be


def test_a_semaphore_counts(name):
    with contextlib.closing(Semaphore.create(name, 2, 3)) as semaphore:
        with contextlib.closing(Semaphore.open(name)) as other:
            assert semaphore.acquire() and other.acquire(timeout=0) and not semaphore.acquire(False)
            assert (semaphore.release(), other.release(2)) == (0, 1)
            for n in (1, 2, MOST, 2 ** 31 - 1):
                with pytest.raises(ValueError, match=f"{n} more would exceed the maximum"):
                    semaphore.release(n)
            assert [other.acquire(False) for _ in range(4)] == [True, True, True, False]
            with pytest.raises(ValueError, match="4 more would exceed"):
                semaphore.release(4)
            assert semaphore.release(3) == 0
    with contextlib.closing(Semaphore.create()) as semaphore:
        assert semaphore.acquire(False) and not semaphore.acquire(False)
        assert semaphore.release(MOST) == 0
        with pytest.raises(ValueError, match="maximum"):
            semaphore.release()
    with contextlib.closing(Semaphore.create(name, 1, 1)):
        with contextlib.closing(Semaphore.create(name, 5, 9, exist_ok=True)) as semaphore:
            assert semaphore.acquire(False) and not semaphore.acquire(False)


def test_with_gives_a_semaphore_back():
    with contextlib.closing(Semaphore.create()) as semaphore:
        with semaphore as entered:
            assert entered is semaphore and not semaphore.acquire(False)
        assert semaphore.acquire(False)


@pytest.mark.parametrize("arguments, error, text", [
    ((-1,), ValueError, "a value must be 0 to"), ((2 ** 31,), ValueError, "a value must be 0 to"),
    ((3, 2), ValueError, "a value must be 0 to the maximum of 2, not 3"),
    ((0, 0), ValueError, "a maximum must be 1 to"), ((0, -1), ValueError, "a maximum"),
    ((0, 2 ** 31), ValueError, "a maximum must be 1 to 2[*][*]31-1"),
    ((1.5,), TypeError, "a value must be an int"), (("1",), TypeError, "a value"), ((None,), TypeError, "a value"),
    ((1, 2.0), TypeError, "a maximum must be an int"),
])
def test_bad_counts(arguments, error, text):
    with pytest.raises(error, match=text):
        Semaphore.create("x", *arguments)


def test_bad_counts_to_release():
    with contextlib.closing(Semaphore.create(None, 0)) as semaphore:
        for bad, error in ((0, ValueError), (-1, ValueError), (2 ** 31, ValueError), (2 ** 32 + 1, ValueError),
                           (1.5, TypeError), ("1", TypeError), (None, TypeError)):
            with pytest.raises(error, match="n must be"):
                semaphore.release(bad)
        assert semaphore.release() == 0


def test_a_semaphore_of_2_never_lets_3_in(name, python):
    class Inside(ctypes.Structure):
        _fields_ = [("now", ctypes.c_uint32), ("most", ctypes.c_uint32), ("entered", ctypes.c_uint32)]

    with NamedMap.create(name, ctypes.sizeof(Inside)) as memory, \
            contextlib.closing(Semaphore.create(name + " semaphore", 2)), \
            contextlib.closing(Mutex.create(name + " mutex")):
        processes = [python(
            "import ctypes, sys, time, namedmap\n"
            "memory = namedmap.NamedMap.open(sys.argv[1])\n"
            "inside = memory.overlay(ctypes.c_uint32 * 3)\n"
            "semaphore = namedmap.Semaphore.open(sys.argv[1] + ' semaphore')\n"
            "mutex = namedmap.Mutex.open(sys.argv[1] + ' mutex')\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "for _ in range(100):\n"
            "    with semaphore:\n"
            "        with mutex:\n"
            "            inside[0] += 1\n"
            "            inside[1] = max(inside[:2])\n"
            "            inside[2] += 1\n"
            "        time.sleep(0.001)\n"
            "        with mutex:\n"
            "            inside[0] -= 1\n", name) for _ in range(4)]
        go_on_together(processes)
        inside = memory.snapshot(Inside)
        assert (inside.now, inside.most, inside.entered) == (0, 2, 400)


# ---------------------------------------------------------------- lifetime

def test_after_close_every_use_is_a_value_error(name):
    m = NamedMap.create(name, 100)
    view = m.view(1, 2)
    m[0]
    for closed in (m, view):
        size = closed.size
        closed.close()
        closed.close()
        assert closed.closed
        assert closed.size == size
        assert "closed" in repr(closed) and name.replace("\\", "\\\\") in repr(closed)
        uses = [lambda: closed[0], lambda: closed[:], lambda: closed.__setitem__(0, 1), lambda: closed.read(),
                lambda: closed.__setitem__(slice(0, 1), b"x"), lambda: closed.write(b"x"), lambda: closed.buf,
                lambda: closed.address, lambda: closed.access, lambda: closed.overlay(ctypes.c_char),
                lambda: closed.snapshot(ctypes.c_char), lambda: len(closed), lambda: closed.__enter__()]
        if closed is m:
            uses += [lambda: m.handle, lambda: m.view()]
            assert (m.name, m.created) == (name, True)
        for use in uses:
            with pytest.raises(ValueError, match="is closed") as caught:
                use()
            assert caught.value.__context__ is None  # nothing that nobody understands is shown with it
        with pytest.raises(AttributeError):
            closed.nonsense


def test_with_closes(name):
    with NamedMap.create(name, 100) as m:
        with m.view() as view:
            assert not view.closed
        assert view.closed and not m.closed
    assert m.closed


def borrow_numpy(m):
    numpy = pytest.importorskip("numpy")
    taken = numpy.frombuffer(m.buf, dtype=numpy.uint8)[1:]
    return taken, lambda: int(taken[0])


def borrow_buf(m):
    taken = m.buf
    return taken, lambda: taken[1]


def borrow_slice(m):
    taken = m.buf[1:5].cast("h")
    return taken, lambda: taken[0]


def borrow_overlay(m):
    class Outer(ctypes.Structure):
        _fields_ = [("first", ctypes.c_uint8), ("inner", ctypes.c_uint8 * 4)]
    taken = m.overlay(Outer).inner
    return taken, lambda: taken[0]


BORROWERS = [borrow_numpy, borrow_buf, borrow_slice, borrow_overlay]


@pytest.mark.parametrize("borrow", BORROWERS)
@pytest.mark.parametrize("of_view", [False, True], ids=["map", "view"])
def test_what_was_borrowed_outlives_close(borrow, of_view, name):
    m = NamedMap.create(name, 100)
    m[1] = 42
    source = m.view() if of_view else m
    address = source.address
    taken, value = borrow(source)
    source.close()
    m.close()
    del m, source
    gc.collect()
    assert not is_free(address)
    assert value() == 42
    with pytest.raises(FileNotFoundError):  # the name went at once
        NamedMap.open(name)
    del taken, value
    assert is_free(address)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_closing_in_every_order(order, name):
    m = NamedMap.create(name, 100)
    view = m.view()
    m[1] = 42
    taken = [m.buf[1:], view.overlay(ctypes.c_uint8, 1)]
    addresses = [m.address, view.address]
    steps = [m.close, view.close, lambda: taken.__setitem__(0, None), lambda: taken.__setitem__(1, None)]
    for step in order:
        steps[step]()
        assert taken[0] is None or taken[0][0] == 42
        assert taken[1] is None or taken[1].value == 42
    assert all(map(is_free, addresses))


def test_a_finalizer_in_a_reference_cycle_can_still_read(name):
    seen = []

    class Holder:
        def __init__(self, m):
            self.buf, self.overlay, self.map, self.me = m.buf, m.overlay(ctypes.c_uint8), m, self

        def __del__(self):
            seen.append((self.buf[0], self.overlay.value))

    m = NamedMap.create(name, 10)
    m[0] = 42
    address = m.address
    Holder(m)
    del m
    assert not is_free(address)
    gc.collect()
    assert seen == [(42, 42)]
    assert is_free(address)
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)


@pytest.mark.parametrize("again", [False, True])
def test_what_a_finalizer_resurrects_stays_valid(again, name):
    saved, read = [], []

    class Late:
        def __init__(self, holder):
            self.holder = holder

        def __del__(self):
            read.append(self.holder.buf[0])

    class Holder:
        def __init__(self, buf):
            self.buf, self.me = buf, self

        def __del__(self):
            saved.append(self)

    m = NamedMap.create(name, 10)
    m[0] = 42
    address = m.address
    Holder(m.buf)
    m.close()
    gc.collect()
    assert saved[0].buf[0] == 42
    if again:  # in a new cycle with a finalizer that was not yet called
        saved.append(Late(saved.pop()))
        saved[0].me = saved[0]
    saved.clear()
    gc.collect()
    gc.collect()
    assert read == ([42] if again else [])
    assert is_free(address)


def test_what_was_forgotten_is_closed(name):
    m = NamedMap.create(name, 10)
    m[0] = 1
    address = m.address
    del m
    assert is_free(address)
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)


def test_two_threads_close_once(monkeypatch, name):
    closed = []
    close = namedmap._layer.close_handle

    def counted(handle):
        closed.append(handle)
        time.sleep(0.001)
        return close(handle)
    monkeypatch.setattr(namedmap._layer, "close_handle", counted)
    for _ in range(50):
        m = NamedMap.create(name, 10)
        handle = m.handle
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=lambda: (barrier.wait(), m.close())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert closed == [handle]
        closed.clear()


def test_threads_that_use_and_close_at_once(name):
    unexpected = []

    def use(m, barrier):
        try:
            barrier.wait()
            for _ in range(50):
                m[0] = 1
                assert m.read(2) == b"\1\0"
                with m.view(1, 5) as view:
                    view[0]
        except ValueError as error:
            if "is closed" not in str(error):
                unexpected.append(error)
        except BaseException as error:
            unexpected.append(error)

    for round in range(30):
        m = NamedMap.create(name, 10)
        barrier = threading.Barrier(3)
        threads = [threading.Thread(target=use, args=(m, barrier)) for _ in range(2)]
        for thread in threads:
            thread.start()
        barrier.wait()
        time.sleep(round / 10000)
        m.close()
        for thread in threads:
            thread.join()
    assert unexpected == []


def test_first_use_in_many_threads_maps_once(name):
    with NamedMap.create(name, 10) as m:
        regions = mapped_regions()
        barrier, addresses = threading.Barrier(8), []
        threads = [threading.Thread(target=lambda: (barrier.wait(), addresses.append(m.address))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(addresses)) == 1 and len(addresses) == 8
        assert mapped_regions() == regions + 1


def test_failures_leak_nothing(monkeypatch, name, path):
    made = NamedMap.create(name, file=path, access="r")  # which may not be opened for writing everywhere
    for attempt in range(21):
        if attempt == 1:  # what the first one loads stays
            gc.collect()
            before = handle_count(), mapped_regions()
        for fail in (lambda: NamedMap.open(name, 5000, access="r"), lambda: NamedMap.create(name, 1),
                     lambda: NamedMap.create(name, 5000, exist_ok=True), lambda: Mutex.open(name),
                     lambda: NamedMap.open(name + "x")):
            with pytest.raises((OSError, ValueError)):
                fail()
    with monkeypatch.context() as patch:
        patch.setattr(namedmap._layer, "section_size", denied, raising=False)
        with pytest.raises(PermissionError):
            NamedMap.open(name, access="r")
    assert (handle_count(), mapped_regions()) == before
    made.close()


def test_the_interpreter_ends_with_everything_open(name, python):
    process = python(
        "import sys, threading, time, namedmap\n"
        "m = namedmap.NamedMap.create(sys.argv[1], 1 << 20)\n"
        "view, buf = m.view(), m.buf\n"
        "class Holder: pass\n"
        "cycle = Holder(); cycle.me, cycle.buf = cycle, m.view().buf\n"
        "def read():\n"
        "    own = m.view().buf\n"
        "    print('reading', flush=True)\n"
        "    while True:\n"
        "        bytes(own), bytes(buf), view[:], m[:]\n"
        "threading.Thread(target=read, daemon=True).start()\n"
        "sys.stdin.readline()\n", name)
    assert process.line() == "reading"
    process.enter()
    assert process.end() == (0, [], "")


def test_nothing_is_unmapped_or_closed_at_exit(name, python, path):
    process = python(
        "import os, sys, namedmap\n"
        "m = namedmap.NamedMap.create(sys.argv[1], 100, file=sys.argv[2])\n"
        "view, buf = m.view(), m.buf\n"
        "class Holder: pass\n"
        "cycle = Holder(); cycle.me, cycle.buf = cycle, m.view().buf\n"
        "class Late:\n"
        "    def __init__(self, buf): self.buf = buf\n"
        "    def __del__(self): del self.buf\n"  # the last reference, while the interpreter ends
        "late = Late(m.view().buf)\n"
        "for function in 'unmap_view', 'close_handle':\n"
        "    setattr(namedmap._layer, function, lambda *_, write=os.write: write(1, b'called'))\n",
        name, str(path))
    assert process.end() == (0, [], "")


def test_closing_while_the_interpreter_ends(name, python):
    process = python(
        "import atexit, sys\n"
        "def bye():\n"
        "    m.close()\n"
        "    try:\n"
        "        namedmap.NamedMap.open(sys.argv[1])\n"
        "    except FileNotFoundError:\n"
        "        print('gone')\n"
        "atexit.register(bye)\n"  # so that it is called after that of weakref
        "import namedmap\n"
        "m = namedmap.NamedMap.create(sys.argv[1], 100)\n", name)
    assert process.end() == (0, ["gone"], "")


@pytest.mark.parametrize("moment, use_as", [
    (moment, use_as) for moment in ("before", "reused", "after", "used") for use_as in ("map", "view")
    if (moment, use_as) != ("used", "view")])
def test_a_signal_handler_closes_what_is_just_mapped(moment, use_as, name, monkeypatch):
    m = NamedMap.create(name, 10)
    map_view, use, others = namedmap._layer.map_view, m._use, []

    def interrupt():
        signal.raise_signal(signal.SIGINT)

    def map_it(*arguments):
        if moment in ("before", "reused"):
            interrupt()
        if moment == "reused":
            others.append(NamedMap.create(None, 10))
            if others[0].handle != arguments[0]:
                arguments = (others[0].handle,) + arguments[1:]
        base = map_view(*arguments)
        if moment == "after":
            interrupt()
        return base

    def use_it(array):
        use(array)
        if moment == "used":
            interrupt()

    monkeypatch.setattr(namedmap._layer, "map_view", map_it)
    monkeypatch.setattr(m, "_use", use_it)
    before = signal.signal(signal.SIGINT, lambda *_: m.close())
    try:
        regions = mapped_regions()
        for _ in range(2):
            with pytest.raises(ValueError, match="is closed"):
                m.read(1) if use_as == "map" else m.view()
        assert m.closed and mapped_regions() == regions
    finally:
        signal.signal(signal.SIGINT, before)
        for other in others:
            other.close()


@windows
def test_the_last_error_survives_what_is_called_before_it_is_read(name, monkeypatch):
    # As a garbage collection may do it, in which a __del__ uses this module.
    opened = namedmap._opened

    def meddle(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(namedmap, "_opened", opened)
            NamedMap.create(None, 10).close()
        return opened(*arguments)

    monkeypatch.setattr(namedmap, "_opened", meddle)
    with NamedMap.create(name, 10) as m:
        assert m.created
        with pytest.raises(FileExistsError):
            NamedMap.create(name, 10)
        with NamedMap.create(name, 10, exist_ok=True) as other:
            assert not other.created


def test_weak_references_and_buffer_protocol(memory):
    assert weakref.ref(memory)() is memory
    assert hash(memory) and memory == memory
    if sys.version_info >= (3, 12):
        memory[:4] = b"abcd"
        with memoryview(memory) as buffer:
            assert bytes(buffer[:4]) == b"abcd"
        assert memory[:4] == b"abcd"
        assert ctypes.c_uint8.from_buffer(memory).value == ord("a")
        with memory.view(access="r") as view:
            assert memoryview(view).readonly
            with pytest.raises((BufferError, TypeError)):
                ctypes.c_uint8.from_buffer(view)
    else:
        with pytest.raises(TypeError):
            memoryview(memory)


def test_whoever_releases_buf_breaks_nothing_else(memory):
    with memory.buf as buf:
        buf[0] = 1
    assert memory[0] == 1
    memory.write(b"\2")
    assert memory.read(1) == b"\2"


def test_repr_tells_what_one_wants_to_know(memory, name):
    assert repr(memory) == f"<NamedMap {name!r}, size=100, access='rw', handle={memory.handle:#x}>"
    assert repr(memory.view(1, 2, access="r")) == f"<View of {name!r}, size=2, access='r'>"


# ---------------------------------------------------------------- the POSIX layer

def handle_files(name):
    """The files of an object."""
    directory, key = os.path.split(namedmap._layer._place(name))
    return [entry for entry in os.listdir(directory) if entry.startswith(key)]


EVERY_CLASS = [NamedMap, Mutex, Event, Semaphore]
every_class = pytest.mark.parametrize("cls", EVERY_CLASS)


def make(cls, name, **arguments):
    return cls.create(name, 4096, **arguments) if cls is NamedMap else cls.create(name, **arguments)


# A process that forks others, kills them, and looks at what they leave. What it prints last is its answer.
KILLER = """
import ctypes, gc, os, random, signal, sys, time
sys.path.insert(0, os.getcwd())
import namedmap
from namedmap import Event, Mutex, NamedMap, Semaphore
name = sys.argv[1]
""" + inspect.getsource(make) + inspect.getsource(gone) + """
def use_up(thing):
    "What nobody who comes later may see."
    if isinstance(thing, NamedMap):
        thing[:] = b"x" * len(thing)
    elif isinstance(thing, Event):
        thing.set()
    else:
        assert thing.acquire(timeout=10)

def is_fresh(thing):
    if isinstance(thing, NamedMap):
        return thing[:] == bytes(len(thing))
    if isinstance(thing, Event):
        return not thing.is_set()
    if not thing.acquire(False) or isinstance(thing, Mutex) and thing.abandoned:
        return False
    thing.release()
    return True

def forked(work, *arguments):
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work(*arguments)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid
"""

STEP_BY_STEP = KILLER + """
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p
PTRACE_TRACEME, PTRACE_SYSCALL = 0, 24

def child(cls):
    if libc.ptrace(PTRACE_TRACEME, 0, None, None):
        os._exit(77)
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        made = make(cls, name, exist_ok=True)
        if not keep or cls is Mutex:
            use_up(made)
        opened = cls.open(name)
        opened.close()
        if cls is Mutex or cls is Semaphore and not keep:
            made.release()
        made.close()
    except BaseException:
        os._exit(76)
    os._exit(75)

def killed_before_call(cls, number):
    "Whether there was a call of that number."
    pid = os.fork()
    if not pid:
        child(cls)
    _, status = os.waitpid(pid, 0)
    for _ in range(2 * number - 1):  # it stops at the begin and at the end of each
        if os.WIFSTOPPED(status):
            libc.ptrace(PTRACE_SYSCALL, pid, None, None)
            _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 75, os.WEXITSTATUS(status)
        return False
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True

total = abandonments = 0
for cls in NamedMap, Mutex, Event, Semaphore:
    for keep in False, True:
        number = 1
        while True:
            keeper = make(cls, name) if keep else None
            killed = killed_before_call(cls, number)
            if keep:
                with_it = cls.open(name)  # somebody holds it
                if cls is Mutex:
                    assert with_it.acquire(timeout=5), number
                    abandonments += with_it.abandoned
                    with_it.release()
                assert is_fresh(with_it), (cls, number)
                with_it.close()
                keeper.close()
            assert gone(cls, name), (cls, keep, number)
            again = make(cls, name)
            assert again.created and is_fresh(again), (cls, keep, number)
            again.close()
            assert not os.path.exists(namedmap._layer._place(name)), (cls, keep, number)
            if not killed:
                break
            number += 1
        assert number > 20, (cls, number)
        total += number
assert 10 < abandonments < total, abandonments
print("killed before each of", total, "calls")
"""


@posix
def test_killed_before_every_system_call(name, python):
    if not sys.platform.startswith("linux"):
        pytest.skip("needs ptrace() as Linux has it")
    status, lines, err = python(STEP_BY_STEP, name).end(300)
    if "(<class 'namedmap.NamedMap'>, False, 77)" in err or "AssertionError: 77" in err:
        pytest.skip("this process may not trace another one")
    assert (status, err) == (0, "") and re.fullmatch(r"killed before each of \d+ calls", lines[-1])
    assert int(lines[-1].split()[4]) > 400


AT_RANDOM = KILLER + """
def victim(seed):
    chance = random.Random(seed)
    while True:
        cls = chance.choice([NamedMap, NamedMap, Mutex, Event, Semaphore])
        own = f"{name} {cls.__name__} {chance.randrange(2)}"
        try:
            made = make(cls, own, exist_ok=chance.random() < 0.7)
        except FileExistsError:
            continue
        if made.created:  # nobody else changes memory or sets events, so that nobody sees what a dead one has left
            assert cls in (Mutex, Semaphore) or is_fresh(made)
            if cls in (NamedMap, Event):
                use_up(made)
        elif cls is NamedMap:
            assert set(made[:]) <= {0, ord("x")}
        if cls in (Mutex, Semaphore) and made.acquire(timeout=0.001):
            made.release()
        with_others = keeper_class.open(name + " keeper")
        assert keeper_class is not NamedMap or with_others[:4] == b"kept"
        with_others.close()
        made.close()

chance = random.Random(7)
kills = 0
for keeper_class in NamedMap, Event:
    keeper = make(keeper_class, name + " keeper")
    if keeper_class is NamedMap:
        keeper[:4] = b"kept"
    victims = [forked(victim, chance.random()) for _ in range(3)]
    for _ in range(100):
        time.sleep(chance.uniform(0, 0.01))
        place = chance.randrange(3)
        os.kill(victims[place], signal.SIGKILL)
        _, status = os.waitpid(victims[place], 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
        kills += 1
        keeper_class.open(name + " keeper").close()
        victims[place] = forked(victim, chance.random())
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), status
    for cls in NamedMap, Mutex, Event, Semaphore:
        for number in range(2):
            own = f"{name} {cls.__name__} {number}"
            assert gone(cls, own), own
            with make(cls, own) as made:
                assert made.created and (cls is not NamedMap or is_fresh(made))
            made.close()
    keeper.close()
    assert gone(keeper_class, name + " keeper")
print("killed", kills)
"""


@posix
def test_killed_at_random_moments(name, python):
    assert python(AT_RANDOM, name).end(300) == (0, ["killed 200"], "")


PATHS = """
import glob, os, sys, threading, namedmap
m, cycle = namedmap.NamedMap.create(sys.argv[1], 1 << 20), [namedmap.Event.create()]
cycle.append(cycle)
mutex = namedmap.Mutex.create()
mutex.acquire()
threading.Thread(target=cycle[0].wait, daemon=True).start()
view = m.view()
print(*[path for thing in (m, cycle[0], mutex) for path in glob.glob(thing._handle.to.path + "*")], sep="\\n")
print("ready", flush=True)
sys.stdin.readline()
"""


def paths_of(process):
    paths = list(iter(process.line, "ready"))
    assert len(paths) == 7 and all(map(os.path.exists, paths))
    return paths


@posix
@pytest.mark.parametrize("ends", ["os.kill(os.getpid(), 9)", "os._exit(0)"])
def test_what_was_left_behind_is_swept(ends, name, python):
    process = python(PATHS + ends, name)
    paths = paths_of(process)
    process.enter()
    process.end()
    NamedMap.create(None, 1).close()
    if any(map(os.path.exists, paths)):  # there was a sweep less than a second before
        time.sleep(1.1)
        NamedMap.create(None, 1).close()
    assert not any(map(os.path.exists, paths))


@posix
def test_a_program_that_ends_leaves_no_files(name, python):
    process = python(PATHS, name)
    paths = paths_of(process)
    process.enter()
    assert process.end() == (0, [], "")
    # A mutex may be held to the very end.
    assert not any(map(os.path.exists, paths[:-3]))
    time.sleep(1.1)
    NamedMap.create(None, 1).close()
    assert not any(map(os.path.exists, paths))


@posix
def test_objects_work_while_the_interpreter_ends(name, python):
    process = python(
        "import atexit, sys\n"
        "def bye():\n"
        "    with mutex, semaphore:\n"
        "        event.set()\n"
        "        print(event.wait(), m[:1], flush=True)\n"
        "        sys.stdin.readline()\n"
        "atexit.register(bye)\n"  # so that it is called after that of the module
        "import namedmap\n"
        "mutex = namedmap.Mutex.create(sys.argv[1])\n"
        "event, semaphore = namedmap.Event.create(), namedmap.Semaphore.create()\n"
        "m = namedmap.NamedMap.create(None, 10)\n"
        "mutex.acquire()\n", name)
    assert process.line() == "True b'\\x00'"
    with contextlib.closing(Mutex.open(name)) as other:
        assert not other.acquire(timeout=0.1)
        process.enter()
        assert process.end() == (0, [], "")
        assert other.acquire(timeout=10) and other.abandoned
        other.release()


@posix
def test_what_lives_is_not_swept(name, python):
    process = python("import sys, namedmap\n"
                     "m = namedmap.NamedMap.create(sys.argv[1], 10)\n"
                     "print('ready', flush=True)\n"
                     "sys.stdin.readline()\n", name)
    assert process.line() == "ready"
    namedmap._layer._swept.clear()
    NamedMap.create(None, 1).close()
    NamedMap.open(name).close()


def create_and_close(name):
    with contextlib.suppress(FileExistsError):
        NamedMap.create(name, 10)


def open_as_another_kind(name):
    with pytest.raises(OSError):
        Event.open(name)


def sweep(name):
    namedmap._layer._swept.clear()
    NamedMap.create(None, 1).close()


@posix
@pytest.mark.parametrize("look", [create_and_close, open_as_another_kind, sweep,
                                  lambda name: namedmap._layer.kind_of_name(name),
                                  lambda name: list(namedmap._layer.named_objects())],
                         ids=["create", "another kind", "sweep", "kind", "list"])
def test_who_only_looks_removes_what_is_closed_meanwhile(look, name, monkeypatch):
    made, path, join = NamedMap.create(name, 10), namedmap._layer._place(name), namedmap._join

    def join_and_see_it_closed(found, descriptors):
        is_alive = join(found, descriptors)
        if found == path:
            made.close()  # which finds the lock of who looks, and leaves it at that
        return is_alive
    monkeypatch.setattr(namedmap, "_join", join_and_see_it_closed)
    look(name)
    assert made.closed and not os.path.exists(path) and not os.path.exists(path + ".data")


# ---- fork

def forked(work):
    """The exit status of a forked process that does some work: 0 if it went well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
        pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def end_of(pid):
    return os.waitpid(pid, 0)[1]


@posix
@every_class
def test_a_forked_child_is_a_holder(cls, name):
    made = make(cls, name)
    read_end, write_end = os.pipe()

    def wait_for_the_end():
        os.close(write_end)
        os.read(read_end, 1)
    child = forked(wait_for_the_end)
    os.close(read_end)
    made.close()
    cls.open(name).close()
    with pytest.raises(FileExistsError):
        make(cls, name)
    os.close(write_end)
    assert end_of(child) == 0
    assert gone(cls, name)
    other = make(cls, name)
    assert end_of(forked(other.close)) == 0  # its own copy
    assert not gone(cls, name)
    other.close()
    assert gone(cls, name)


@posix
@pytest.mark.parametrize("named", [False, True])
def test_a_forked_child_owns_no_mutex(named, name):
    mutex = Mutex.create(name if named else None)
    other = Mutex.open(name) if named else mutex

    def look():
        assert not mutex.acquire(False) and not other.acquire(timeout=0.01)
        assert "held" not in repr(mutex)
        with pytest.raises(RuntimeError, match="does not hold"):
            mutex.release()
        mutex.close()  # which it could not do if it held the mutex
        if named:
            assert not other.acquire(False)

    mutex.acquire()
    assert end_of(forked(look)) == 0
    assert not is_free_for_others(mutex)
    mutex.release()
    assert is_free_for_others(mutex)
    assert end_of(forked(lambda: mutex.acquire(timeout=10) and os._exit(0))) == 0
    assert mutex.acquire(timeout=10) and mutex.abandoned
    mutex.release()
    other.close()
    mutex.close()


@posix
def test_a_forked_child_takes_nothing_from_other_threads(mutex, name):
    held, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: mutex.acquire() and held.set() or end.wait(60) and mutex.release())
    thread.start()
    held.wait(60)

    def look():
        assert not mutex.acquire(timeout=0.01)
    assert end_of(forked(look)) == 0
    other = Mutex.open(name)
    assert not other.acquire(timeout=0.05) and not mutex.acquire(False)
    end.set()
    thread.join()
    assert other.acquire(timeout=10) and not other.abandoned
    other.release()
    other.close()


@posix
def test_a_child_forked_while_a_thread_acquires_has_no_part_in_it(mutex, name, monkeypatch):
    read, inside, go_on = os.pread, threading.Event(), threading.Event()

    def slowly(*arguments):
        inside.set()
        go_on.wait(60)
        return read(*arguments)
    monkeypatch.setattr(os, "pread", slowly)
    thread = threading.Thread(target=lambda: mutex.acquire() and None)  # and ends without release()
    thread.start()
    inside.wait(60)
    read_end, write_end = os.pipe()

    def outlive():
        os.close(write_end)
        os.read(read_end, 1)
    child = forked(outlive)
    monkeypatch.undo()
    go_on.set()
    thread.join()
    assert mutex.acquire(timeout=10) and mutex.abandoned  # although the child still runs
    mutex.release()
    os.close(write_end)
    assert end_of(child) == 0
    os.close(read_end)


FIRST_FORKS = """
import itertools, os, signal, sys, threading, warnings
warnings.simplefilter("ignore")
import namedmap
name = sys.argv[1]

def create(name):
    namedmap.Event.create(name).close()

def fork_at(step):
    "False if the other thread, which uses the module for the first time, takes fewer steps."
    steps, reached, go_on = itertools.count(1), threading.Event(), threading.Event()
    def trace(*details):
        if next(steps) == step:
            reached.set()
            go_on.wait(0.02)  # not for ever: it may have a lock that fork() waits for
        return trace
    def first():
        sys.settrace(trace)
        create(name)
        sys.settrace(None)
        reached.set()
    thread = threading.Thread(target=first)
    thread.start()
    reached.wait()
    child = os.fork()
    if not child:
        signal.alarm(10)
        create(name + " child")
        os._exit(0)
    go_on.set()
    assert os.waitpid(child, 0)[1] == 0, step
    thread.join()
    return next(steps) > step

for step in itertools.chain(range(1, 400, 9), itertools.count(400, 251)):
    pid = os.fork()  # a process in which nothing was used
    if not pid:
        os._exit(0 if fork_at(step) else 99)
    status = os.waitpid(pid, 0)[1]
    if status:
        break
assert os.WEXITSTATUS(status) == 99 and step > 10000, (step, status)
"""


@posix
def test_forking_while_another_thread_uses_the_module_for_the_first_time(name, python):
    assert python(FIRST_FORKS, name).end() == (0, [], "")


@posix
@every_waitable
def test_what_is_closed_has_no_descriptors(cls):
    with never_free(cls) as waitable:
        assert not take(waitable, 0.01)
    before = handle_count()
    closed = []
    for _ in range(10):
        with never_free(cls) as waitable:
            assert not take(waitable, 0.01)
        closed.append(waitable)
    assert handle_count() == before


@posix
def test_a_program_that_is_just_started_holds_nothing(name):
    stop = threading.Event()

    def start_programs():
        while not stop.is_set():
            subprocess.Popen(["true"]).wait()
    threads = [threading.Thread(target=start_programs) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(500):  # between fork and exec they have copies of all descriptors
            NamedMap.create(name, 10).close()
            with pytest.raises(FileNotFoundError):
                NamedMap.open(name)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@posix
@every_class
@pytest.mark.parametrize("last", ["parent", "child"])
def test_after_a_fork_the_last_one_leaves_nothing(cls, last, name):
    made = make(cls, name)
    read_end, write_end = os.pipe()

    def close():
        os.close(write_end)
        if last == "child":
            os.read(read_end, 1)
        made.close()
    child = forked(close)
    if last == "child":
        made.close()
    os.close(write_end)
    assert end_of(child) == 0
    made.close()
    os.close(read_end)
    assert handle_files(name) == []


@posix
def test_a_forked_child_that_closes_what_another_thread_just_makes(name, monkeypatch):
    made, own, inside = [], namedmap._layer._own, threading.Event()

    def slowly(directory):
        if directory.endswith("/Local"):
            inside.set()
            time.sleep(0.2)  # the main thread begins to fork, and waits for the lock that this one has
        return own(directory)

    def close_all():
        for holder in list(namedmap._layer._holders):
            holder.close()
    monkeypatch.setattr(namedmap._layer, "_own", slowly)
    thread = threading.Thread(target=lambda: made.append(NamedMap.create(name, 10)))
    thread.start()
    inside.wait(60)
    assert end_of(forked(close_all)) == 0
    thread.join()
    monkeypatch.undo()
    NamedMap.open(name).close()  # what the child has closed is still open here


@posix
def test_a_forked_child_wakes_and_is_woken_alone(name):
    with Event.create(name) as event, Event.create(name + "2") as answer:
        waiter = threading.Thread(target=event.wait)
        waiter.start()
        eventually(lambda: event._uses)
        time.sleep(0.05)

        def work():
            thread = threading.Thread(target=lambda: answer.set() if event.wait(30) else None)
            thread.start()
            thread.join()
        child = forked(work)
        event.set()
        assert answer.wait(30)
        waiter.join()
        assert end_of(child) == 0


FORKER = KILLER + """
import threading, warnings
warnings.simplefilter("ignore")
stop = False

def churn(number):
    count = 0
    while not stop:
        for cls in NamedMap, Mutex, Event, Semaphore:
            count += 1  # a child has those of the moment in which it was forked
            mine = make(cls, f"{name} {number} {count}")
            cls.open(mine.name).close()
            if cls is NamedMap:
                mine[0]
            shared[number % 2] = make(cls, None)  # which closes the one before
            mine.close()

def child():
    for cls in NamedMap, Mutex, Event, Semaphore:
        mine = make(cls, f"{name} child {os.getpid()}")
        cls.open(f"{name} child {os.getpid()}").close()
        mine.close()
        assert gone(cls, f"{name} child {os.getpid()}")
    for each in [*shared, keeper]:
        each.close()

shared = [make(NamedMap, None), make(NamedMap, None)]
keeper = make(NamedMap, name)
threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for _ in range(100):
    _, status = os.waitpid(forked(child), 0)
    assert status == 0, status
stop = True
for thread in threads:
    thread.join()
NamedMap.open(name).close()
print("done")
"""


@posix
def test_forking_while_threads_create_and_close_never_hangs(name, python):
    assert python(FORKER, name).end(120) == (0, ["done"], "")


# ---- other users

# Two users without a name; others for each run of the tests, since their directories have fixed names.
NOBODY, SOMEBODY = (62000 + 2 * (os.getpid() % 1500) + number for number in range(2))


def as_user(user, work):
    """The exit status of some work that another user does."""
    def work_as_user():
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        work()
    return end_of(forked(work_as_user))


@pytest.fixture
def other_user():
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    base = os.path.dirname(os.path.dirname(namedmap._layer._scope("Local")))

    def remove():
        for user in (NOBODY, SOMEBODY):
            place = f"{base}/namedmap-{user}"
            if os.path.islink(place) or os.path.isfile(place):
                os.unlink(place)
            shutil.rmtree(place, ignore_errors=True)
    remove()
    yield base
    remove()


@posix
@every_class
def test_another_user_cannot_open_or_replace(cls, name, other_user):
    made = make(cls, name)
    path = namedmap._layer._place(name)

    def try_it():
        assert gone(cls, name)  # it has names of its own
        for victim in (path, path + ".data", os.path.dirname(path)):
            for attack in (lambda: os.open(victim, os.O_RDONLY), lambda: os.unlink(victim),
                           lambda: os.rename(victim, victim + "2"), lambda: os.chmod(victim, 0o777)):
                with pytest.raises(PermissionError):
                    attack()
        with pytest.raises(PermissionError):
            os.rename(os.path.dirname(os.path.dirname(path)), other_user + "/away")
        own = make(cls, name)
        assert own.created
        own.close()
    assert as_user(NOBODY, try_it) == 0
    made.close()


@posix
@pytest.mark.parametrize("squat", [
    lambda place: os.symlink("/tmp", place), lambda place: os.symlink("/nonexistent", place), os.mkdir,
    lambda place: os.mkdir(place, 0o777), lambda place: open(place, "w").close(),
], ids=["link", "dangling link", "directory", "open directory", "file"])
def test_what_another_user_put_there_is_not_used(squat, name, other_user):
    place = f"{other_user}/namedmap-{SOMEBODY}"
    assert as_user(NOBODY, lambda: squat(place)) == 0

    def try_it():
        for use in [lambda cls=cls: make(cls, name) for cls in EVERY_CLASS] + [
                lambda: NamedMap.open(name), lambda: NamedMap.create(name, file="/dev/null", access="r"),
                lambda: Mutex.create(name, exist_ok=True)]:
            with pytest.raises(PermissionError, match="must be a directory of this user"):
                use()
        assert not os.path.isdir(place) or os.path.islink(place) or os.listdir(place) == []
    assert as_user(SOMEBODY, try_it) == 0


@posix
@pytest.mark.parametrize("which", ["", "/Local"])
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_use_is_not_used(mode, which, name, other_user):
    def try_it():
        NamedMap.create(name, 1).close()
        place = f"{other_user}/namedmap-{SOMEBODY}{which}"
        os.chmod(place, mode)
        for exist_ok in (False, True):
            with pytest.raises(PermissionError, match="must be a directory of this user") as caught:
                NamedMap.create(name, 1, exist_ok=exist_ok)
            assert caught.value.filename == place
        os.chmod(place, 0o700)
        NamedMap.create(name, 1).close()
    assert as_user(SOMEBODY, try_it) == 0


@posix
@pytest.mark.parametrize("which", ["", "/Local"])
def test_root_uses_no_directory_of_another_user(which, name, other_user, tmp_path, monkeypatch):
    monkeypatch.setattr(namedmap, "_PARENTS", (str(tmp_path),))
    NamedMap.create(name, 1).close()
    place = f"{tmp_path}/namedmap-0{which}"
    os.chown(place, SOMEBODY, -1)
    with pytest.raises(PermissionError, match="must be a directory of this user") as caught:
        NamedMap.create(name, 1)
    assert caught.value.filename == place


@posix
@pytest.mark.parametrize("umask", [0o777, 0o277, 0o022])
def test_the_umask_does_not_matter(umask, name, other_user):
    def try_it():
        os.umask(umask)
        for cls in EVERY_CLASS:
            made = make(cls, name)
            os.umask(0o022)
            cls.open(name).close()
            os.umask(umask)
            made.close()
    assert as_user(SOMEBODY, try_it) == 0


@posix
def test_everything_is_for_the_user_only(name):
    old = os.umask(0)
    try:
        with NamedMap.create(name, 1):
            path = namedmap._layer._place(name)
            for each, mode in ((path, 0o600), (path + ".data", 0o600), (os.path.dirname(path), 0o700),
                               (os.path.dirname(os.path.dirname(path)), 0o700)):
                assert os.stat(each).st_mode & 0o7777 == mode
    finally:
        os.umask(old)


# ---- memory, files and waits

@posix
def test_memory_that_there_is_no_room_for(name):
    found = os.statvfs(os.path.dirname(namedmap._layer._place(name)))
    too_much = (found.f_blocks + 1) * found.f_frsize
    for size in (too_much, 2 ** 62, 2 ** 63 - 1):
        with pytest.raises(OSError, match="ask for less|not that much memory") as caught:
            NamedMap.create(name, size)
        assert caught.value.filename == name and handle_files(name) == []
    with NamedMap.create(name, too_much, reserve=True) as m:
        regions = mapped_regions()
        for use in (m.view, lambda: m[0]):
            with pytest.raises(OSError, match="ask for less") as caught:
                use()
            assert caught.value.filename == name
        with m.view(too_much - 10) as view:
            view[:] = b"0123456789"
        assert mapped_regions() == regions


@posix
def test_space_where_the_system_has_no_call_for_it(name, path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    with NamedMap.create(name, 300000) as m:
        assert is_committed(m) and m[:] == bytes(300000)
    with NamedMap.create(name, 300000, reserve=True) as m:
        m.view(65536, 10)[0] = 1
        m.view(0, 300000)[0] = 2
        assert is_committed(m)
        assert m[:] == b"\2" + bytes(65535) + b"\1" + bytes(300000 - 65537)
    with NamedMap.create(name, 5000, file=path) as m:
        assert m[:] == b"0123456789" + bytes(4990)
    writes, write = [], os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *arguments: writes.append(arguments) or write(*arguments))
    with pytest.raises(OSError, match="ask for less"):
        NamedMap.create(name, 2 ** 60)
    assert not writes  # the disk is not filled with zeros before


def refused_by_system(code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))
    return refuse


@posix
@pytest.mark.parametrize("opened", [False, True], ids=["path", "open file"])
@pytest.mark.parametrize("function", ["posix_fallocate", "write"])
def test_growth_is_taken_back_on_a_full_disk(function, opened, path, name, monkeypatch):
    monkeypatch.setattr(os, function, refused_by_system(errno.ENOSPC))
    with path.open("r+b") as file, pytest.raises(OSError, match="room for") as caught:
        NamedMap.create(name, 5000, file=file if opened else path)
    assert caught.value.filename in (str(path), name)
    with pytest.raises(OSError, match="room for"):
        NamedMap.create(name, 5000, file=path.parent / "new")
    assert path.read_bytes() == b"0123456789" and not (path.parent / "new").exists()
    assert handle_files(name) == []


@posix
def test_a_disk_that_gets_full_while_a_file_grows(path, name, monkeypatch):
    answers, allocate = [], os.posix_fallocate

    def get_full(*arguments):
        answers.append(arguments)
        return allocate(*arguments) if len(answers) == 1 else refused_by_system(errno.ENOSPC)()
    for file in (path, path.parent / "new"):
        answers.clear()
        monkeypatch.setattr(os, "posix_fallocate", get_full)
        with pytest.raises(OSError, match="room for"):
            NamedMap.create(name, 50000, file=file)
        assert len(answers) == 2
    assert path.read_bytes() == b"0123456789" and not (path.parent / "new").exists()


@posix
@pytest.mark.parametrize("access", ["r", "rw", "c"])
def test_what_is_no_file_on_a_disk(access, tmp_path):
    os.mkfifo(str(tmp_path / "fifo"))
    before = handle_count()
    for which in (tmp_path / "fifo", os.devnull):
        with pytest.raises(OSError, match="not a file on a disk") as caught:
            NamedMap.create(None, 10 if access == "rw" else None, file=which, access=access)
        assert caught.value.filename == str(which)
    with pytest.raises(PermissionError, match="or a folder"):
        NamedMap.create(None, file=tmp_path, access=access)
    with open(os.devnull, "r+b", buffering=0) as device, pytest.raises(OSError, match="not a file on a disk"):
        NamedMap.create(None, file=device, access=access)
    assert handle_count() == before


@posix
def test_what_others_append_while_a_file_grows_stays(path, name, monkeypatch):
    allocate = os.posix_fallocate

    def append_and(answer):
        def append(descriptor, *arguments):
            monkeypatch.setattr(os, "posix_fallocate", answer)
            with path.open("ab") as file:
                file.write(b"x" * 9000)
            return answer(descriptor, *arguments)
        monkeypatch.setattr(os, "posix_fallocate", append)

    append_and(allocate)
    with NamedMap.create(name, 5000, file=path) as m:
        assert m[:] == b"0123456789" + b"x" * 4990
    assert path.stat().st_size == 9010
    path.write_bytes(b"0123456789")
    append_and(refused_by_system(errno.ENOSPC))
    with pytest.raises(OSError, match="room for"):
        NamedMap.create(name, 5000, file=path)
    assert path.read_bytes() == b"0123456789" + b"x" * 9000


@posix
@pytest.mark.parametrize("size", [10, 5000])
def test_ctrl_c_leaves_a_file_as_it_was(size, path, name, monkeypatch):
    monkeypatch.setattr(namedmap._layer, "_make", interrupted(namedmap._layer._make))  # when it has grown
    for file in (path, path.parent / "new"):
        with pytest.raises(KeyboardInterrupt):
            NamedMap.create(name, size, file=file)
    assert path.read_bytes() == b"0123456789" and not (path.parent / "new").exists()


@posix
@pytest.mark.parametrize("access", ["r", "c"])
def test_what_the_creator_did_not_allow(access, path, name, capsys):
    with NamedMap.create(name, file=path, access=access):
        for use in (lambda: NamedMap.open(name), lambda: NamedMap.create(name, 5, exist_ok=True)):
            with pytest.raises(PermissionError, match="created read-only.*access=\"r\" may be allowed") as caught:
                use()
            assert caught.value.filename == name
        with pytest.raises(FileExistsError):
            NamedMap.create(name, 5)
        with NamedMap.open(name, access="c") as m:
            m[0] = 255
        with NamedMap.open(name, access="r") as m:
            assert m[:] == b"0123456789"
        assert run(capsys, "info", name)[1].splitlines()[2:] == ["size:   10 bytes", "pages:  of a file", "access: r"]


@posix
def test_the_file_behind_the_memory_is_opened_by_its_path(path, name, monkeypatch):
    link = path.parent / "link"
    link.symlink_to(path)
    with NamedMap.create(name, file=link) as m:
        link.unlink()
        monkeypatch.chdir("/")
        NamedMap.open(name).close()
        path.rename(path.parent / "renamed")
        for _ in range(2):
            for use in (lambda: NamedMap.open(name), lambda: NamedMap.open(name, timeout=60),
                        lambda: NamedMap.create(name, 5, exist_ok=True), lambda: NamedMap.open(name, access="r")):
                with pytest.raises(FileNotFoundError, match=f"{path.name}.* was renamed or deleted") as caught:
                    use()
                assert caught.value.filename == name
            for arguments in ({"size": 5}, {"file": path}):
                with pytest.raises(FileExistsError):
                    NamedMap.create(name, **arguments)
            for strange in (lambda: path.symlink_to("/etc/passwd"), path.mkdir, lambda: os.mkfifo(str(path))):
                if path.exists():
                    break
                strange()
                with pytest.raises(FileNotFoundError, match="renamed or deleted"):
                    NamedMap.open(name, access="r")
                with pytest.raises(FileNotFoundError, match="renamed or deleted"):
                    NamedMap.open(name)
                os.rmdir(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()
            path.write_bytes(b"another file")
        m[0] = 1
    assert (path.parent / "renamed").read_bytes() == b"\x01123456789"
    assert path.read_bytes() == b"another file"


@posix
def test_a_file_behind_memory_that_others_may_not_open(name, other_user, path):
    def try_it():
        with NamedMap.create(name, file=own):
            os.chmod(own, 0o400)
            with pytest.raises(PermissionError, match="behind it is denied"):
                NamedMap.open(name)
            NamedMap.open(name, access="r").close()
    own = f"/tmp/namedmap test {os.getpid()}"
    try:
        assert as_user(SOMEBODY, lambda: open(own, "wb").write(b"0123456789") and try_it()) == 0
    finally:
        os.unlink(own)


@posix
def test_a_file_that_was_cut_off_kills_nobody(path, name):
    path.write_bytes(bytes(100000))
    with NamedMap.create(name, file=path) as m, NamedMap.open(name) as other:
        os.truncate(str(path), 10)
        for use in (lambda: m[0], other.view, lambda: m.view(70000, 1)):
            with pytest.raises(OSError, match="has become smaller"):
                use()


@posix
def test_a_file_without_a_path(name):
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        with NamedMap.create(name, file=file) as m:
            assert m[:] == b"0123456789"
            with pytest.raises(FileNotFoundError, match="renamed or deleted"):
                NamedMap.open(name)


@posix
@every_waitable
def test_a_wait_costs_no_processor_time(cls):
    with never_free(cls) as waitable:
        take(waitable, 0.01)
        before = time.process_time()
        assert not take(waitable, 1)
        assert time.process_time() - before < 0.1


@posix
def test_a_wait_for_a_mutex_of_another_process(mutex, name, python):
    holder = python(HOLDER, name)
    assert holder.line() == "holding"
    before = time.process_time()
    killer = threading.Timer(1, holder.kill)
    killer.start()
    assert mutex.acquire()  # blocks in the system
    killer.join()
    assert time.process_time() - before < 0.1 and mutex.abandoned
    mutex.release()


@posix
@pytest.mark.parametrize("timeout", [None, 60])
def test_closing_ends_a_wait_for_another_process(timeout, mutex, name, python):
    holder = python(HOLDER, name)
    assert holder.line() == "holding"
    waiting, errors = Mutex.open(name), []

    def wait():
        try:
            waiting.acquire(timeout=timeout)
        except ValueError as error:
            errors.append(str(error))
    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: waiting._uses)
    time.sleep(0.05)
    begin = time.perf_counter()
    waiting.close()
    thread.join()
    assert time.perf_counter() - begin < 1 and "is closed" in errors[0]


BUSY = """
import sys, time, namedmap
mutex = namedmap.Mutex.open(sys.argv[1])
print("ready", flush=True)
while True:
    with mutex:
        time.sleep(0.005)
"""


@posix
def test_a_wait_is_woken_by_who_is_always_back_at_once(mutex, name, python):
    process = python(BUSY, name)
    assert process.line() == "ready"
    for timeout in (10, None):
        assert mutex.acquire(timeout=timeout)
        mutex.release()
    process.kill()
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            with mutex:
                time.sleep(0.005)
    thread = threading.Thread(target=keep_busy)
    thread.start()
    for timeout in (10, None):
        time.sleep(0.02)
        assert mutex.acquire(timeout=timeout)
        mutex.release()
    stop.set()
    thread.join()


@posix
@pytest.mark.parametrize("used_before", [False, True])
def test_an_owner_who_could_wake_nobody_is_noticed(used_before, mutex, name, monkeypatch):
    monkeypatch.setattr(namedmap, "_LOOK_AGAIN", 0.1)
    if used_before:
        with mutex:
            pass
    lock = os.open(namedmap._layer._place(name) + ".data", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as if he were killed before he opens the FIFO
    threading.Timer(0.5, os.close, [lock]).start()
    begin, before = time.perf_counter(), time.process_time()
    assert mutex.acquire(timeout=30)
    assert time.process_time() - before < 0.2 and time.perf_counter() - begin < 10
    mutex.release()


@posix
def test_ctrl_c_interrupts_a_wait_for_another_process(mutex, name, python):
    holder = python(HOLDER, name)
    assert holder.line() == "holding"
    for timeout in (None, 60):
        moments = []
        threading.Timer(0.2, lambda: moments.append(time.perf_counter()) or send()).start()
        with pytest.raises(KeyboardInterrupt):
            mutex.acquire(timeout=timeout)
        assert time.perf_counter() - moments[0] < 0.5
    holder.kill()
    assert mutex.acquire(timeout=10)
    mutex.release()


@posix
def test_how_far_a_semaphore_counts():
    for arguments in ((0, 4097), (4097,), (4097, 5000)):
        with pytest.raises(ValueError, match="counts to 4096 at most"):
            Semaphore.create(None, *arguments)
    with contextlib.closing(Semaphore.create(None, 4096, 4096)) as semaphore:
        assert all(semaphore.acquire(False) for _ in range(4096)) and not semaphore.acquire(False)
        assert [semaphore.release(4000), semaphore.release(96)] == [0, 4000]


@posix
def test_an_event_can_be_set_any_number_of_times():
    for manual_reset in (False, True):
        with Event.create(manual_reset=manual_reset) as event:
            for _ in range(70000):
                event.set()
            assert event.wait(0)
            event.clear()
            assert not event.is_set()


@posix
@every_class
def test_what_only_windows_has(cls, name, capsys):
    for use in (lambda: make(cls, name, sddl="D:"), lambda: make(cls, name, inheritable=True),
                lambda: cls.open(name, inheritable=True), lambda: cls.from_handle(5)):
        with pytest.raises(NotImplementedError, match="needs Windows"):
            use()
    with contextlib.closing(make(cls, name)) as made:
        with pytest.raises(NotImplementedError, match="needs Windows"):
            made.duplicate(os.getpid())
        if cls is NamedMap:
            with pytest.raises(NotImplementedError, match="needs Windows"):
                made.view(address=0x10000)
    assert run(capsys, "create", name, "--sddl", "D:") == (
        1, "", "namedmap: a security descriptor (sddl) needs Windows: this system has no counterpart of it\n")


# ---- what happens in the middle

@posix
def test_a_finalizer_in_the_middle_is_put_off(name, monkeypatch):
    forgotten, join = [NamedMap.create(name + "2", 10)], namedmap._join

    def forget(*arguments):
        if forgotten:
            forgotten.clear()
            assert handle_files(name + "2")  # it is removed later
        return join(*arguments)
    monkeypatch.setattr(namedmap, "_join", forget)
    NamedMap.create(name, 10).close()
    assert not forgotten and handle_files(name + "2") == []
    assert gone(NamedMap, name + "2")


@posix
def test_a_signal_handler_in_the_middle_is_refused(name, monkeypatch):
    errors, join = [], namedmap._join

    def interrupt(*arguments):
        for use in (lambda: NamedMap.create(name + "2", 10), lambda: NamedMap.open(name), Mutex.create):
            with pytest.raises(RuntimeError, match="signal handler") as caught:
                use()
            errors.append(caught.value)
        return join(*arguments)
    with NamedMap.create(name, 10):
        with monkeypatch.context() as patch:
            patch.setattr(namedmap, "_join", interrupt)
            NamedMap.open(name).close()
    assert len(errors) >= 3 and gone(NamedMap, name + "2")


@posix
def test_a_semaphore_is_given_back_in_the_middle(name, monkeypatch):
    counts, join = [], namedmap._join

    def interrupt(*arguments):
        counts.append(semaphore.release())
        return join(*arguments)
    with contextlib.closing(Semaphore.create(None, 0)) as semaphore:
        with NamedMap.create(name, 10):
            with monkeypatch.context() as patch:
                patch.setattr(namedmap, "_join", interrupt)
                NamedMap.open(name).close()
        assert counts == list(range(len(counts))) and len(counts) >= 1
        assert semaphore.release() == len(counts)


@posix
def test_another_copy_of_the_file_in_the_middle(name, monkeypatch):
    specification = importlib.util.spec_from_file_location("another_copy", namedmap.__file__)
    copy = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(copy)
    forgotten, join = [copy.NamedMap.create(name + "2", 10)], namedmap._join
    with NamedMap.open(name + "2") as m:
        assert m.size == 4096

    def forget(*arguments):
        forgotten.clear()
        return join(*arguments)
    with monkeypatch.context() as patch:
        patch.setattr(namedmap, "_join", forget)
        NamedMap.create(name, 10).close()
    assert gone(NamedMap, name + "2")


INTERRUPTED = KILLER + """
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
chance, interrupts = random.Random(3), 0
before = len(os.listdir("/dev/fd"))
made = opened = None
while interrupts < 400:
    try:
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, 0.002), 0.1)  # again if a __del__ swallows it
        while True:
            for cls in NamedMap, Mutex, Event, Semaphore:
                made = make(cls, name)
                opened = cls.open(name)
                opened.close()
                if cls in (Mutex, Semaphore):
                    with made:
                        pass
                made.close()
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        interrupts += 1
    for thing in made, opened:
        if thing is not None and "held" in repr(thing):
            try:  # it was interrupted in the first step of __exit__, or in the last one
                thing.release()
            except RuntimeError:
                pass
        if thing is not None:
            thing.close()
    made = opened = thing = None
    for cls in NamedMap, Mutex, Event, Semaphore:
        assert gone(cls, name), (cls, interrupts)
        again = make(cls, name)
        assert is_fresh(again)
        again.close()
gc.collect()
print("done", len(os.listdir("/dev/fd")) - before)
"""


@posix
def test_interrupted_at_random_moments(name, python):
    status, lines, err = python(INTERRUPTED, name).end(120)
    assert status == 0, err  # "Exception ignored in __del__" is all right
    leaked = int(lines[0].split()[1])
    assert leaked <= 4  # one of 400 may have come in the __del__ that would have closed something


@posix
def test_whoever_is_just_dying_is_dead(name):
    """The system closes the files of a process one after the other, and others may come in between."""
    def dying(made, header=None):
        """Leave of an object only its lock, as if the rest were closed already."""
        path = namedmap._layer._place(name)
        lock = os.open(path, os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_SH)
        leave_open(made)
        made._handle.to.close()
        if header is not None:
            os.truncate(path, header)
        return lock

    for header in (None, 0, 30):
        for use in (lambda: Event.open(name), lambda: Event.create(name, manual_reset=True, exist_ok=True)):
            lock = dying(Event.create(name, manual_reset=False, initial_state=True), header)
            try:
                with use() as event:
                    assert event.created and not event.is_set()
                    event.set()
                    assert event.wait(0) and event.is_set()  # nothing was taken from the other one
                    with Event.open(name) as other:
                        assert other.is_set()
            except FileNotFoundError:
                assert "open" in use.__code__.co_names
            os.close(lock)
    lock = dying(NamedMap.create(name, 10))
    os.unlink(namedmap._layer._place(name) + ".data")
    with NamedMap.create(name, 10000) as m:
        assert (m.created, m.size) == (True, 10000)
    os.close(lock)


@posix
def test_whoever_was_killed_while_he_tested_is_no_holder(name):
    made = NamedMap.create(name, 10)
    lock = os.open(namedmap._layer._place(name), os.O_RDWR)
    leave_open(made)
    made._handle.to.close()
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Timer(0.2, os.close, [lock]).start()
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)
    with pytest.raises(OSError):
        os.fstat(lock)  # it was waited for


@posix
def test_what_somebody_else_put_into_the_directory_is_left_alone(name):
    directory = os.path.dirname(namedmap._layer._place(name))
    strange = [f"{directory}/strange folder", f"{directory}/{'0' * 31}", f"{directory}/.data"]
    for each in strange:
        os.mkdir(each)
    try:
        namedmap._layer._swept.clear()
        with NamedMap.create(name, 10):
            assert (name, "file mapping object") in list(namedmap._layer.named_objects())
        assert all(map(os.path.isdir, strange))
    finally:
        for each in strange:
            os.rmdir(each)


@posix
@pytest.mark.parametrize("module, function", [(fcntl, "flock"), (os, "pwrite")] if not ON_WINDOWS else [(None, "")],
                         ids=lambda value: value if isinstance(value, str) else "")
def test_a_signal_handler_does_not_believe_that_it_has_the_mutex(module, function, mutex, monkeypatch):
    """When it has interrupted acquire() before the file is locked, and after that."""
    called, call = [], getattr(module, function)

    def interrupt(*arguments):
        monkeypatch.undo()
        called.append(arguments)
        if function == "flock":
            assert mutex.acquire(False) and not is_free_for_others(mutex)
            mutex.release()
        else:
            with pytest.raises(RuntimeError, match="signal handler"):
                mutex.acquire(False)
        return call(*arguments)
    monkeypatch.setattr(module, function, interrupt)
    assert mutex.acquire() and len(called) == 1
    assert not is_free_for_others(mutex)
    mutex.release()
    assert is_free_for_others(mutex)


@posix
def test_an_interrupted_acquire_or_release_leaves_everything_as_it_was(mutex):
    class Interrupted(list):
        """A result that Ctrl+C keeps from being stored."""

        def __setitem__(self, *_):
            raise KeyboardInterrupt

    def interrupt_acquire():
        with pytest.raises(KeyboardInterrupt):
            namedmap._layer.wait(mutex.handle, 0, Interrupted([namedmap.WAIT_TIMEOUT]))

    interrupt_acquire()
    assert is_free_for_others(mutex)
    mutex.acquire()
    interrupt_acquire()
    mutex.acquire()
    with pytest.raises(KeyboardInterrupt):
        namedmap._layer.release_mutex(mutex.handle, Interrupted())
    for _ in range(2):
        assert not is_free_for_others(mutex)
        mutex.release()
    assert is_free_for_others(mutex)
    in_thread(mutex.acquire)
    interrupt_acquire()
    assert mutex.acquire(timeout=10) and mutex.abandoned  # which was not lost
    with pytest.raises(KeyboardInterrupt):
        namedmap._layer.release_mutex(mutex.handle, Interrupted())  # although it was done
    with pytest.raises(RuntimeError):
        mutex.release()
    assert is_free_for_others(mutex) and mutex.acquire(timeout=10) and not mutex.abandoned
    mutex.release()


@posix
def test_an_interrupted_release_wakes_who_waits(mutex, monkeypatch):
    got = []
    monkeypatch.setattr(namedmap, "_LOOK_AGAIN", 60)
    mutex.acquire()
    thread = threading.Thread(target=lambda: got.append(mutex.acquire(timeout=30)) or mutex.release())
    thread.start()
    eventually(lambda: mutex._uses)
    time.sleep(0.1)
    close = namedmap._Descriptors.close

    def interrupt(self, *arguments):
        monkeypatch.setattr(namedmap._Descriptors, "close", close)
        assert self is mutex._handle.to.gate.hold._alive
        raise KeyboardInterrupt
    monkeypatch.setattr(namedmap._Descriptors, "close", interrupt)
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        mutex.release()
    thread.join()
    assert got == [True] and time.perf_counter() - begin < 10


@posix
def test_the_mark_of_a_mutex_is_only_written_by_its_owner(mutex, name, monkeypatch):
    data, write, locked = namedmap._layer._place(name) + ".data", os.pwrite, []

    def look_and_write(*arguments):
        with open(data, "rb") as file:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        locked.append(arguments)
        return write(*arguments)
    monkeypatch.setattr(os, "pwrite", look_and_write)
    with mutex:
        assert len(locked) == 1
    assert len(locked) == 2


INTERRUPTED_WAITS = KILLER + """
import threading
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
chance = random.Random(5)

def gets_it_in_a_thread(mutex):
    got = []
    def try_it():
        # Python 3.8 may be interrupted between the end of a block and its __exit__, and leave an object locked.
        thing = mutex if sys.version_info >= (3, 9) else Mutex.open(name)
        if thing.acquire(timeout=10):
            got.append(thing.abandoned)
            thing.release()
    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(20)
    return got

def loop(mutex, use):
    for _ in range(150):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0005, 0.002), 0.1)
            while True:
                use()
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if "held" in repr(mutex):
            try:  # it was interrupted in the first step of __exit__, or in the last one
                mutex.release()
            except RuntimeError:
                pass

def with_it():
    with mutex:
        pass

mutex = Mutex.create(name)
loop(mutex, with_it)
loop(mutex, lambda: mutex.acquire(False) and mutex.release())
assert gets_it_in_a_thread(mutex) == [False]

read_end, write_end = os.pipe()
def hold():
    own = Mutex.open(name)
    own.acquire()
    os.write(write_end, b"1")
    time.sleep(60)
owner = forked(hold)
os.read(read_end, 1)
for use in (lambda: mutex.acquire(False), lambda: mutex.acquire(timeout=0.0003)):
    def refuse():
        assert not use(), "it was not free"
    loop(mutex, refuse)
os.kill(owner, signal.SIGKILL)
os.waitpid(owner, 0)
assert gets_it_in_a_thread(mutex) == [True]
mutex.close()
mutex = None
gc.collect()
assert gone(Mutex, name)
print("done")
"""


@posix
def test_waits_interrupted_at_random_moments(name, python):
    status, lines, err = python(INTERRUPTED_WAITS, name).end(120)
    assert (status, lines) == (0, ["done"]), err


@posix
def test_where_there_is_no_dev_shm(name, monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for missing in (tmp_path / "missing", tmp_path / "file"):
        monkeypatch.setattr(namedmap, "_PARENTS", (str(missing), str(tmp_path)))
        with NamedMap.create(name, 10), NamedMap.open(name):
            assert os.path.dirname(namedmap._layer._place(name)) == f"{tmp_path}/namedmap-{os.geteuid()}/Local"
    monkeypatch.setattr(namedmap, "_PARENTS", (str(tmp_path / "missing"), str(tmp_path / "file")))
    for use in (lambda: NamedMap.create(name, 10), lambda: NamedMap.create(name, 10, file=__file__, access="r"),
                lambda: Event.create(name), lambda: Mutex.open(name)):
        with pytest.raises(PermissionError, match="no directory can be made in any of .*missing, .*file"):
            use()


@posix
def test_files_that_were_deleted_by_hand(name, tmp_path, monkeypatch):
    monkeypatch.setattr(namedmap, "_PARENTS", (str(tmp_path),))  # not those of other programs
    made = NamedMap.create(name, 10)
    made[0] = 1
    os.unlink(namedmap._layer._place(name))
    with NamedMap.create(name, 20) as again:
        assert again.created and again[0] == 0 and made[0] == 1
        made.close()
        NamedMap.open(name).close()
    with NamedMap.create(name, 10):
        shutil.rmtree(os.path.dirname(namedmap._layer._place(name)))
    NamedMap.create(name, 10).close()
    with open(namedmap._layer._place(name) + ".data", "w"):  # without a handle file
        pass
    NamedMap.create(name, 10).close()
    assert handle_files(name) == []


# ---------------------------------------------------------------- faults

# The environment variable NAMEDMAP_TEST_ROUNDS makes the random tests of this section that many times longer.
ROUNDS = int(os.environ.get("NAMEDMAP_TEST_ROUNDS", "1"))


class ModelClass:
    """Stands for a class of the module and makes models of its objects; `names` tells what has which name."""

    def __init__(self, model, names):
        self.model, self.names = model, names

    def create(self, name, *arguments, exist_ok=False, **options):
        if name not in self.names:
            return self.model(self, name, self.model.state(*arguments, **options), *arguments)
        if self.names[name].model is self.model and not exist_ok:
            raise FileExistsError
        return self.open(name, *arguments)

    def open(self, name, *arguments, **options):
        if name not in self.names:
            raise FileNotFoundError
        if self.names[name].model is not self.model:
            raise OSError  # the name of another kind
        return self.model(self, name, self.names[name], *arguments, **options)


class ModelObject:
    """The model of an object: it is gone, and so is its name, after the last handle."""

    closed = True  # until it is complete

    def __init__(self, factory, name, state, *_):
        self.factory, self.name, self.state, self.closed = factory, name, state, False
        state.model = type(self)
        state.handles += 1
        if name is not None:
            factory.names[name] = state

    def check(self):
        if self.closed:
            raise ValueError

    def close(self):
        self.forget()

    def forget(self):
        if not self.closed:
            self.closed = True
            self.state.handles -= 1
            if not self.state.handles and self.name is not None:
                del self.factory.names[self.name]

    __del__ = forget


class ModelMemory:
    """What the models of maps and views have in common; `memory` is a memoryview."""

    @property
    def buf(self):
        self.check()
        return self.memory.toreadonly() if self.access == "r" else self.memory

    def __len__(self):
        return len(self.buf)

    def __getitem__(self, key):
        return self.buf[key]

    def __setitem__(self, key, value):
        self.buf[key] = value

    def read(self, size, offset):
        if offset < 0:
            raise ValueError
        return self.buf[offset:None if size < 0 else offset + size]

    def part(self, offset, size):
        if not 0 <= offset <= offset + size <= len(self.buf):
            raise ValueError
        return slice(offset, offset + size)

    def write(self, data, offset):
        self.buf[self.part(offset, len(data))] = data
        return len(data)

    def snapshot(self, ctype, offset):
        return self.buf[self.part(offset, ctypes.sizeof(ctype))]

    def overlay(self, ctype, offset):
        found = self.snapshot(ctype, offset)
        if found.readonly:
            raise TypeError
        return found

    def flush(self, offset, size):
        self.part(offset, size)


def private(memory, access):
    return memoryview(bytearray(memory)) if access == "c" else memory


class ModelMap(ModelMemory, ModelObject):
    @staticmethod
    def state(size, reserve):
        return types.SimpleNamespace(handles=0, memory=memoryview(bytearray(-(-size // 4096) * 4096)))

    def __init__(self, factory, name, state, size=None, access="rw"):
        if size is not None and size > len(state.memory):
            raise ValueError
        super().__init__(factory, name, state)
        self.access, self.memory = access, private(state.memory[:size], access)

    def view(self, offset, size, access):
        part = self.part(offset, size or max(len(self.buf) - offset, 1))
        if access not in (self.access, "r", "c"):
            raise ValueError
        return ModelView(self, private(self.state.memory[part], access), access)

    def __copy__(self):
        self.check()
        if self.name is None:
            raise TypeError
        return self.factory.open(self.name, len(self.memory), self.access)


class ModelView(ModelMemory):
    check = ModelObject.check
    closed = False

    def __init__(self, of, memory, access):
        self.of, self.memory, self.access = of, memory, access  # it keeps its map from being forgotten

    def close(self):
        self.of, self.closed = None, True


class ModelMutex(ModelObject):
    held = 0

    @staticmethod
    def state():
        return types.SimpleNamespace(handles=0, lock=threading.RLock())

    def acquire(self, blocking):
        self.check()
        got = self.state.lock.acquire(blocking)
        self.held += got
        return got

    def release(self):
        self.check()
        if not self.held:
            raise RuntimeError
        self.state.lock.release()
        self.held -= 1

    def close(self):
        if self.held:
            raise RuntimeError
        self.forget()


class ModelEvent(ModelObject):
    @staticmethod
    def state(manual_reset, initial_state):
        return types.SimpleNamespace(handles=0, manual_reset=manual_reset, value=initial_state)

    def set(self):
        self.check()
        self.state.value = True

    def clear(self):
        self.check()
        self.state.value = False

    def is_set(self):
        self.check()
        return self.state.value

    def wait(self, timeout):
        found = self.is_set()
        self.state.value = found and self.state.manual_reset
        return found


class ModelSemaphore(ModelObject):
    @staticmethod
    def state(value, maximum):
        return types.SimpleNamespace(handles=0, value=value, maximum=maximum)

    def acquire(self, blocking):
        self.check()
        got = self.state.value > 0
        self.state.value -= got
        return got

    def release(self, n):
        self.check()
        if not 0 < n <= self.state.maximum - self.state.value:
            raise ValueError
        self.state.value += n
        return self.state.value - n


MODELS = {NamedMap: ModelMap, Mutex: ModelMutex, Event: ModelEvent, Semaphore: ModelSemaphore}


def outcome(call, thing, chosen):
    """What a call returns, or the class of the exception that it raises."""
    try:
        found = call(thing, chosen)
    except (OSError, ValueError, IndexError, TypeError, RuntimeError) as error:
        return type(error)
    if getattr(found, "access", "") == "c":
        found[:] = found[:]  # from now on all of its pages are its own
    return memoryview(found).cast("B") if isinstance(found, ctypes.Array) else found


def alike(got, expected):
    if isinstance(expected, (ModelObject, ModelView)):
        return not isinstance(got, type)
    if isinstance(got, memoryview):
        return got == expected and got.readonly == expected.readonly
    return got == expected


def draw(chance, names):
    """Arguments for one step."""
    def number():
        return chance.choice([-1, 0, 1, 100, 4095, 4096, 5000, chance.randrange(9000)])
    return types.SimpleNamespace(
        name=chance.choice(names), name_or_none=chance.choice([*names, None]), flag=chance.random() < 0.5,
        other_flag=chance.random() < 0.5, count=chance.randrange(4), number=number(), offset=number(),
        size=chance.randrange(1, 9000), size_or_none=chance.choice([None, chance.randrange(1, 9000)]),
        access=chance.choice(["r", "rw", "c"]), octet=chance.randrange(256),
        key=slice(number(), number(), chance.choice([None, None, 3, -7])))


class Walk:
    """Random steps, each taken with an object and with its model; what comes of them is the same."""

    def __init__(self, seed, name, classes):
        self.chance, self.seen, names = random.Random(seed), collections.Counter(), {}
        self.choices = [f"{name} {number}" for number in range(4)]
        self.classes = [(cls, ModelClass(MODELS[cls], names)) for cls in classes]
        self.pairs = []  # of an object, or what was borrowed from it, and its model

    def step(self, of, call):
        drawn = draw(self.chance, self.choices)
        found = self.classes if of is ModelClass else [pair for pair in self.pairs if isinstance(pair[1], of)]
        if not found:
            return
        real, model = self.chance.choice(found)
        got, expected = outcome(call, real, drawn), outcome(call, model, drawn)
        assert alike(got, expected), (inspect.getsource(call), real, drawn, got, expected)
        self.seen[expected.__name__ if isinstance(expected, type) else "done"] += 1
        if isinstance(expected, (ModelObject, ModelView)) or isinstance(got, memoryview):
            self.pairs.append((got, expected))
        place = self.chance.randrange(200)
        if place < len(self.pairs) - 1 and not getattr(self.pairs[place][1], "held", 0):
            del self.pairs[place]  # forgotten, but a held mutex would stay locked


def create_waitable(cls, a):
    options = {ModelMutex: {}, ModelEvent: {"manual_reset": a.flag, "initial_state": a.other_flag},
               ModelSemaphore: {"value": a.count, "maximum": a.count + 2}}
    return cls.create(a.name_or_none, exist_ok=a.flag, **options[getattr(cls, "model", MODELS.get(cls))])


MODEL_MEMORY = (ModelMap, ModelView)
MEMORY_STEPS = [
    (ModelClass, lambda cls, a: cls.create(a.name_or_none, a.size, exist_ok=a.flag, reserve=a.other_flag)),
    (ModelClass, lambda cls, a: cls.open(a.name, a.size_or_none, access=a.access)),
    (ModelMap, lambda m, a: m.view(a.offset, a.size_or_none, access=a.access)),
    (ModelMap, lambda m, a: copy.copy(m)),  # as pickling does
    (MODEL_MEMORY, lambda m, a: m.buf),
    (MODEL_MEMORY, lambda m, a: m.overlay(ctypes.c_uint8 * a.size, a.offset)),
    (MODEL_MEMORY, lambda m, a: bytes(m.snapshot(ctypes.c_uint8 * a.size, a.offset))),
    (MODEL_MEMORY, lambda m, a: bytes(m.read(a.number, a.offset))),
    (MODEL_MEMORY, lambda m, a: m.write(bytes([a.octet]) * a.size, a.offset)),
    (MODEL_MEMORY, lambda m, a: m.flush(a.offset, a.number)),
    (MODEL_MEMORY, lambda m, a: (len(m), m.access)),
    (MODEL_MEMORY, lambda m, a: m.closed),
    (MODEL_MEMORY, lambda m, a: m.close()),
    (memoryview, lambda buf, a: buf[a.offset:]),
    *2 * [((*MODEL_MEMORY, memoryview), lambda m, a: m[a.number]),
          ((*MODEL_MEMORY, memoryview), lambda m, a: m.__setitem__(a.number, a.octet)),
          ((*MODEL_MEMORY, memoryview), lambda m, a: bytes(m[a.key])),
          ((*MODEL_MEMORY, memoryview), lambda m, a: m.__setitem__(a.key, bytes([a.octet]) * len(m[a.key]))),
          ((*MODEL_MEMORY, memoryview), lambda m, a: m.__setitem__(a.key, bytes([a.octet]) * a.count))],
]
MODEL_LOCK = (ModelMutex, ModelSemaphore)
WAITABLE_STEPS = [
    (ModelClass, create_waitable),
    (ModelClass, lambda cls, a: cls.open(a.name)),
    (MODEL_LOCK, lambda lock, a: lock.acquire(blocking=False)),
    *4 * [(ModelMutex, lambda mutex, a: mutex.release())],
    (ModelSemaphore, lambda semaphore, a: semaphore.release(a.count)),
    (ModelEvent, lambda event, a: event.set()),
    (ModelEvent, lambda event, a: event.clear()),
    (ModelEvent, lambda event, a: event.is_set()),
    (ModelEvent, lambda event, a: event.wait(timeout=0)),
    (ModelObject, lambda each, a: each.closed),
    (ModelObject, lambda each, a: each.close()),
]


def test_5000_random_steps_with_memory_are_those_of_its_model(name):
    for seed in range(2):
        if seed == 1:  # what the first ones load stays
            before = handle_count(), mapped_regions()
        walk = Walk(seed, name, [NamedMap])
        for _ in range(2500 * ROUNDS):
            walk.step(*walk.chance.choice(MEMORY_STEPS))
        assert min(walk.seen[kind] for kind in ("done", "ValueError", "IndexError", "TypeError", "FileNotFoundError",
                                                "FileExistsError")) > 10, walk.seen
        walk.pairs.clear()
        assert all(gone(NamedMap, each) for each in walk.choices)
    assert (handle_count(), mapped_regions()) == before


def test_5000_random_steps_with_waitables_are_those_of_their_models(name):
    walk = Walk(2, name, WAITABLES)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for _ in range(5000 * ROUNDS):  # in one of two threads at a time
            walk.chance.choice([one, other]).submit(walk.step, *walk.chance.choice(WAITABLE_STEPS)).result(60)
    assert min(walk.seen[kind] for kind in ("done", "ValueError", "RuntimeError", "OSError", "FileNotFoundError",
                                            "FileExistsError")) > 20, walk.seen
    walk.pairs.clear()
    assert all(gone(cls, each) for cls in WAITABLES for each in walk.choices)


def whole(octets):
    assert len(set(octets)) == 1  # written together; so few at such places never come in two steps


def replace(slots, chance, cls, name):
    made = make(cls, name, exist_ok=True) if chance.random() < 0.5 else cls.open(name)
    slots[chance.randrange(len(slots))] = made.view() if cls is NamedMap and chance.random() < 0.3 else made


def hold(mutex, inside=[]):
    if mutex.acquire(timeout=0.01):
        inside.append(mutex)
        time.sleep(0)  # for the other thread
        assert inside == [mutex] and not mutex.closed
        inside.remove(mutex)
        mutex.release()


def take_and_give_back(semaphore):
    if semaphore.acquire(timeout=0.001):
        assert semaphore.release() == 0


FOUR = ctypes.c_uint8 * 4
USES = {  # what two threads do at once
    NamedMap: [lambda m, value: m.write(4 * bytes([value]), value), lambda m, value: whole(m.read(4, value)),
               lambda m, value: m.__setitem__(slice(value, value + 4), 4 * bytes([value])),
               lambda m, value: whole(m[value:value + 4]), lambda m, value: whole(m.buf[value:value + 4]),
               lambda m, value: whole(m.overlay(FOUR, value)), lambda m, value: whole(m.snapshot(FOUR, value)),
               lambda m, value: m.flush(), lambda m, value: repr(m), lambda m, value: m.close()],
    Mutex: [*3 * [lambda mutex, value: hold(mutex)], lambda mutex, value: mutex.abandoned,
            lambda mutex, value: mutex.close()],
    Event: [lambda event, value: event.set(), lambda event, value: event.clear(), lambda event, value: event.is_set(),
            lambda event, value: event.wait(0.001), lambda event, value: event.close()],
    Semaphore: [*3 * [lambda semaphore, value: take_and_give_back(semaphore)], lambda semaphore, value: repr(semaphore),
                lambda semaphore, value: semaphore.close()],
}


@every_class
def test_two_threads_that_do_everything_at_once(cls, name):
    unexpected, slots = [], [None]

    def work(seed):
        chance = random.Random(seed)
        for _ in range(3000 * ROUNDS):
            try:
                if chance.random() < 0.2:
                    replace(slots, chance, cls, name)
                else:
                    chance.choice(USES[cls])(chance.choice(slots), 4 * chance.randrange(64))
            except FileNotFoundError:
                pass
            except (ValueError, RuntimeError) as error:
                if not re.search("is closed|is held", str(error)):
                    unexpected.append(traceback.format_exc())
            except BaseException:
                unexpected.append(traceback.format_exc())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for attempt in range(2):
            if attempt == 1:  # what the first one loads stays
                before = handle_count(), mapped_regions()
            slots[:] = [make(cls, name, exist_ok=True) for _ in range(3)]
            threads = [threading.Thread(target=work, args=(2 * attempt + number,)) for number in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            slots.clear()
            gc.collect()
            assert unexpected == [] and gone(cls, name)
        assert (handle_count(), mapped_regions()) == before
    finally:
        sys.setswitchinterval(interval)


@posix
def test_closing_while_the_last_wait_just_ends(monkeypatch):
    def late(*arguments):
        monkeypatch.setattr(os, "write", write)
        namedmap._layer.set_event(handle)  # now the wait ends, and whoever waited closes the handle
        waiter.join(0.5)
        return write(*arguments)

    event, write = Event.create(), os.write
    handle = event.handle
    waiter = threading.Thread(target=outcome, args=(take, event, 60))
    waiter.start()
    eventually(lambda: handle.to._bell.all)
    monkeypatch.setattr(os, "write", late)
    event.close()
    waiter.join(10)
    assert handle.to.all == handle.to._bell.all == []


class Faults:
    """Makes one call fail, and perhaps all later ones, of those that stand-ins count."""

    def __init__(self, fail):
        self.fail, self.later, self.number, self.count, self.inside = fail, False, math.inf, 0, set()

    def call(self, name, function, *arguments):
        if name == "flock" and arguments[1] == fcntl.LOCK_UN:  # which cannot fail
            return function(*arguments)
        self.count += 1
        if self.count == self.number:
            self.inside = {frame.f_code.co_name for frame, _ in traceback.walk_stack(sys._getframe())}
        elif self.count < self.number or not self.later:
            return function(*arguments)
        return self.fail(name, arguments, self.count == self.number)

    def stand_in(self, real, names):
        faults = self

        class StandIn:
            def __getattr__(self, name):
                found = getattr(real, name)
                return functools.partial(faults.call, name, found) if name in names else found
        return StandIn()


def fail_in_layer(name, arguments, is_first):
    raise OSError(errno.EMFILE if is_first else errno.EIO, "injected", None, 4 if is_first else 1450)


def fail_in_windows(name, arguments, is_first):
    """Fail as the function does, and leave it to its check to raise; 4 means too many files, 1450 no resources."""
    dll, restype, _, check = namedmap._PROTOTYPES[name]
    ctypes.set_last_error(4 if is_first else 1450)
    result = None if restype is wintypes.HANDLE else 0
    if dll == "ntdll":
        result = ctypes.c_long(0xC000011F if is_first else 0xC000009A).value
    elif name == "CreateFileW":
        result = namedmap.INVALID_HANDLE_VALUE
    elif name == "WaitForSingleObject":
        result = namedmap.WAIT_FAILED
    return check(result, None, arguments) if check else result


def failing_system(code):
    def fail(name, arguments, is_first):
        refused_by_system(code if is_first else errno.EIO)()
    return fail


# All but what cannot fail.
LAYER_CALLS = {name for name in dir(namedmap._layer) if name[0] != "_" and callable(getattr(namedmap._layer, name))} - {
    "close_handle", "end_waits", "remember_to_fork", "unmap_view", "user_space"}
WINDOWS_CALLS = {name for name, (_, _, _, check) in namedmap._PROTOTYPES.items() if check or name in namedmap._BARE} - {
    "UnmapViewOfFile"}
SYSTEM_CALLS = {
    "_libc": {"mmap", "msync"}, "fcntl": {"fcntl", "flock", "ioctl"},
    "os": {"chmod", "dup", "fchmod", "fstat", "fsync", "ftruncate", "listdir", "lstat", "mkdir", "mkfifo", "open",
           "pipe", "posix_fallocate", "pread", "pwrite", "read", "stat", "unlink", "write"}}
LEVELS = {"the layer": (fail_in_layer, errno.EMFILE, {"_layer": LAYER_CALLS}, 5)}  # 5 calls at the least
if ON_WINDOWS:
    LEVELS["Windows"] = fail_in_windows, errno.EMFILE, {"_win": WINDOWS_CALLS}, 4
else:
    for code in (errno.EMFILE, errno.ENOSPC):
        LEVELS[errno.errorcode[code]] = failing_system(code), code, SYSTEM_CALLS, 25


def use_memory(name, path):
    with NamedMap.create(name, 100, reserve=True) as m, NamedMap.open(name, access="r") as other:
        m.write(b"x")
        assert other[:1] == b"x"
        with other.view(10, 20, access="c") as view:
            view[0] = 1
            view.flush()
        with pickle.loads(pickle.dumps(m)) as again:
            assert again.size == 100


def use_file(name, path):
    with NamedMap.create(name, file=path) as m, NamedMap.open(name, 5, access="r") as other:
        assert m.read(3) == other.read(3) == b"012"
        m.flush()


def enlarge_file(name, path):
    NamedMap.create(name, 5000, file=path).close()


def enlarge_open_file(name, path):
    with path.open("r+b") as file:
        NamedMap.create(name, 5000, file=file).close()


def make_file(name, path):
    NamedMap.create(name, 5000, file=path.parent / "new").close()


def use_mutex(name, path):
    mutex, other = Mutex.create(name), Mutex.open(name)
    assert mutex.acquire() and other.acquire()
    other.release()
    mutex.release()
    pickle.loads(pickle.dumps(mutex)).close()
    mutex.close()
    other.close()


def use_event(name, path):
    with Event.create(name, manual_reset=False) as event, pickle.loads(pickle.dumps(event)) as other:
        event.set()
        assert other.is_set() and other.wait() and not event.wait(0.001)
        other.set()
        event.clear()
        assert not other.is_set()


def use_semaphore(name, path):
    with contextlib.closing(Semaphore.create(name, 1, 2)) as semaphore:
        other = pickle.loads(pickle.dumps(semaphore))
        assert other.acquire() and not semaphore.acquire(timeout=0.001)
        assert semaphore.release() == 0 and other.release() == 1


def pass_on(name, path):
    with NamedMap.create(name, 100) as m:
        handle = m.duplicate(os.getpid())
        try:
            NamedMap.from_handle(handle).close()
        except OSError:
            kernel32.CloseHandle(handle)
            raise


def behind(error):
    """The exceptions that were being handled when it was raised."""
    while error.__context__:
        error = error.__context__
        yield error


SCENARIOS = [use_memory, use_file, enlarge_file, enlarge_open_file, make_file, use_mutex, use_event, use_semaphore,
             *ON_WINDOWS * [pass_on]]


@pytest.mark.parametrize("later", [False, True], ids=["only one", "and all later ones"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_call_fails_in_turn(level, scenario, later, name, path, monkeypatch):
    fail, code, stand_ins, least = LEVELS[level]
    faults, seen = Faults(fail), 0
    scenario(name, path)  # what the first one loads stays
    gc.collect()
    for attribute, names in stand_ins.items():
        monkeypatch.setattr(namedmap, attribute, faults.stand_in(getattr(namedmap, attribute), names))
    before = handle_count(), mapped_regions()
    for number in itertools.count(1):
        path.write_bytes(b"0123456789")
        with contextlib.suppress(FileNotFoundError):
            (path.parent / "new").unlink()
        faults.number, faults.count, faults.later = number, 0, later
        try:
            scenario(name, path)
            if faults.count < number:
                break
            # It was part of close() or release(), which do all that is needed before.
            assert faults.inside & {"_tidy", "_unlock", "_was_last"}
        except OSError as error:
            # After a call that was no loss, it may be a later one; but none takes the place of the first.
            assert error.errno == code or later and code not in [getattr(each, "errno", 0) for each in behind(error)]
            assert later or path.read_bytes() == b"0123456789" and not (path.parent / "new").exists()
            seen += 1
        faults.number = math.inf
        for cls in EVERY_CLASS:
            make(cls, name).close()
    assert seen >= least
    assert (handle_count(), mapped_regions()) == before


@posix
def test_a_mutex_is_unlocked_even_if_nothing_can_be_written(mutex, monkeypatch):
    for use in (mutex.acquire, mutex.release):
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", refused_by_system(errno.EIO))
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                use()
        assert is_free_for_others(mutex)
        mutex.acquire()
    mutex.release()


ENDING = """
import atexit, ctypes, sys, threading, time
atexit.register(time.sleep, 0.05)  # threads go on meanwhile, after what the module does at exit
from namedmap import Event, Mutex, NamedMap, Semaphore
name, path = sys.argv[1:3]

def everything(name=None):
    m = NamedMap.create(name, 5000, exist_ok=True)
    with open(path, "r+b") as file:  # a path could be mapped only once on Windows
        over_file = NamedMap.create(None, file=file)
    return [m, over_file, m.view(4096, 1), over_file.view(), Mutex.create(), Event.create(), Semaphore.create()]

def use(m, over_file, view, other_view, mutex, event, semaphore):
    m[:4], over_file.buf[0], view[0], m.overlay(ctypes.c_int).value, m.read(), bytes(other_view.buf)
    with mutex, semaphore:
        event.set()
    event.wait(0)

def close(things):
    for thing in things:
        thing.close()
"""
ENDINGS = {
    "cycles": """
class Holder:
    def __init__(self):
        self.things, self.me = everything(), self
        use(*self.things)
    def __del__(self, close=close):
        self.things[0].read(), self.things[2][0]
        close(self.things)
holder = Holder()
Holder()
""",
    "exceptions": """
def fail():
    things = everything()
    use(*things)
    raise ValueError(things[0].buf)
try:
    fail()
except ValueError as error:
    kept = sys.last_value = error
    kept.me = kept
""",
    "parked": """
sys.kept = everything(name), NamedMap.open(name).buf, Mutex.create()
sys.kept[2].acquire()
use(*sys.kept[0])
""",
    "suspended": """
def suspended():
    m, over_file, view, *_ = things = everything()
    with m, over_file, view:
        use(*things)
        yield m.buf
generator, local = suspended(), threading.local()
local.buf = next(generator)
local.things = everything()
""",
    "threads that create and close": """
def work(number):
    while True:
        things = everything(name + str(number))
        use(*things)
        close(things)
        started[number].set()
started = [threading.Event() for _ in range(3)]
for number in range(3):
    threading.Thread(target=work, args=(number,), daemon=True).start()
for event in started:
    event.wait()
""",
    "threads that use": """
things = everything(name)
def work():
    while True:
        use(*things)
        things[5].clear()
        things[5].wait(0.001)
        started.set()
started = threading.Event()
for number in range(3):
    threading.Thread(target=work, daemon=True).start()
started.wait()
""",
    "threads that end later": """
things = everything(name)
def work():
    threading.main_thread().join()
    use(*things)
    use(*everything())
    close(things)
    print("used")
threading.Thread(target=work).start()
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends_quietly(ending, name, path, python):
    for _ in range(3):
        process = python(ENDING + ENDINGS[ending], name, str(path))
        assert process.end() == (0, ["used"] if ending == "threads that end later" else [], "")
    assert gone(NamedMap, name)


@every_class
def test_10_000_cycles_leave_nothing(cls, name):
    def cycle(number):
        with contextlib.closing(make(cls, name)) as made, contextlib.closing(cls.open(name)) as other:
            if cls is NamedMap:
                made[0] = 1
                with other.view(4095, 1) as view:
                    assert view[0] == 0
            elif cls is Event:
                made.set()
                assert other.wait()
            else:
                assert other.acquire()
                other.release()
            if number % 10 == 0:
                with pytest.raises(FileExistsError):
                    make(cls, name)

    for number in range(300):
        cycle(number)
    gc.collect()
    handles, regions, blocks = handle_count(), mapped_regions(), sys.getallocatedblocks()
    for number in range(10000):
        cycle(number)
    gc.collect()
    assert sys.getallocatedblocks() < blocks + 1000
    assert handle_count() < handles + 50 and mapped_regions() < regions + 50  # Windows itself may have opened some


@every_class
def test_what_is_forgotten_while_the_interpreter_ends_is_closed(cls, name, python):
    process = python(
        "import atexit, sys\n"
        "def bye():\n"
        "    cls.create(*arguments)\n"
        "    print(namedmap._layer.kind_of_name(sys.argv[1]))\n"
        "    cls.create(*arguments).close()\n"
        "atexit.register(bye)\n"  # so that it is called after that of weakref
        "import namedmap\n"
        "cls, arguments = getattr(namedmap, sys.argv[2]), [sys.argv[1]]\n"
        "if cls is namedmap.NamedMap: arguments.append(100)\n"
        "namedmap.Event.create()\n", name, cls.__name__)
    assert process.end() == (0, ["None"], "")


INTERPRETERS = '''
import sys, namedmap, _interpreters
_, name, cls, kept = sys.argv
code = f"""
import sys
sys.path.insert(0, {sys.path[0]!r})
import os, namedmap
{kept} = namedmap.{cls}.create({name!r}, *[100] * ({cls!r} == 'NamedMap'))
buf = {kept}.buf if {kept + cls!r} == 'keptNamedMap' else None
"""
for _ in range(2):
    interpreter = _interpreters.create()
    print(_interpreters.exec(interpreter, code), namedmap._layer.kind_of_name(name) is not None)
    _interpreters.destroy(interpreter)
    print(namedmap._layer.kind_of_name(name))
'''


@every_class
@pytest.mark.parametrize("kept", ["kept", "os.kept"])  # what belongs to the program goes before what modules have
def test_an_interpreter_that_ends_inside_a_process_closes_all(kept, cls, name, python):
    pytest.importorskip("_interpreters", reason="needs Python 3.13: before, ctypes is for one interpreter")
    assert python(INTERPRETERS, name, cls.__name__, kept).end() == (0, 2 * ["None True", "None"], "")


def copies(tmp_path):
    """Three modules from copies of the file, as different projects have them."""
    with open(namedmap.__file__, encoding="utf-8") as file:
        source = file.read()
    for number in range(3):
        path = tmp_path / f"copy_{number}.py"
        path.write_text(source.replace(f'__version__ = "{namedmap.__version__}"', f'__version__ = "{number}.0"'),
                        encoding="utf-8")
        specification = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        assert module.__version__ == f"{number}.0"
        yield module


def share(maker, opener, third, name, *size):
    made, opened = maker.create(name, *size), opener.open(name)
    for kind in (third, maker):
        with pytest.raises(FileExistsError, match="the name is taken"):
            kind.create(name, *size)
    if size:
        made[0] = 1
        assert opened[:2] == b"\1\0"
    elif hasattr(made, "set"):
        made.set()
        assert opened.wait(0)
    else:
        assert opened.acquire() and not in_thread(made.acquire, False)
        opened.release()
        assert in_thread(made.acquire, False)
    made.close()
    assert not opened.closed and not gone(third, name)
    opened.close()
    with pytest.raises(ValueError, match="is closed"):
        opened.handle
    assert gone(third, name)


@every_class
def test_copies_of_the_file_in_one_process_share_objects_and_nothing_else(cls, name, tmp_path):
    kinds = [cls, *(getattr(module, cls.__name__) for module in copies(tmp_path))]
    size = [100] * (cls is NamedMap)
    assert len(set(kinds)) == 4
    for attempt in range(2):
        if attempt == 1:  # what the first ones load stays
            gc.collect()
            before = handle_count(), mapped_regions()
        for maker, opener, third in itertools.permutations(kinds, 3):
            share(maker, opener, third, name, *size)
    assert (handle_count(), mapped_regions()) == before


SPOILT = """
import ctypes, sys
sys.path.insert(0, sys.argv[2])
import copy_0, copy_1, namedmap

def functions():
    for name, (dll, *_) in namedmap._PROTOTYPES.items():
        yield getattr(getattr(ctypes.windll, dll), name)

def spoil():
    for function in functions():
        function.argtypes, function.restype, function.errcheck = [ctypes.c_double] * 9, ctypes.c_byte, print

def use():
    for maker, opener in (namedmap, copy_0), (copy_0, copy_1), (copy_1, namedmap):
        with maker.NamedMap.create(sys.argv[1], 100) as m, opener.NamedMap.open(sys.argv[1]) as o, m.view() as view:
            view[0] = 1
            assert o[0] == 1
        for cls in "Mutex", "Semaphore":
            lock, other = getattr(maker, cls).create(sys.argv[1]), getattr(opener, cls).open(sys.argv[1])
            with other:
                pass
            lock.close(), other.close()
        with maker.Event.create(sys.argv[1]) as event, opener.Event.open(sys.argv[1]) as other:
            event.set()
            assert other.wait(0) and other.is_set()

if sys.argv[3] == "afterwards":
    use()
    assert all((each.argtypes, each.restype) == (None, ctypes.c_int) for each in functions())
spoil()
use()
assert all((each.restype, each.errcheck) == (ctypes.c_byte, print) for each in functions())
"""


@windows
@pytest.mark.parametrize("when", ["beforehand", "afterwards"])
def test_prototypes_that_another_library_sets_do_not_matter_nor_change(when, name, tmp_path, python):
    list(copies(tmp_path))
    assert python(SPOILT, name, str(tmp_path), when).end() == (0, [], "")


def released():
    with memoryview(b"x") as view:
        return view


STRANGE_VALUES = [
    None, True, False, -1, 0, 1, 2, 99, 100, 101, 2 ** 31, 2 ** 32, 2 ** 63 - 1, 2 ** 63, 2 ** 64, 10 ** 30, -10 ** 30,
    0.001, 1.5, math.nan, math.inf, -math.inf, fractions.Fraction(1, 2), 1j, "", "x", "\0", "a\\b", "Local\\", "r", "c",
    "\ud800", "x" * 300, b"", b"x", b"x" * 101, bytearray(b"x"), memoryview(b"xyzt")[::2], released(),
    memoryview(array.array("d", [1.5])), array.array("I", [1, 2]), object(), object, [], [1], {}, (), int, type, print,
    Ellipsis, Index(0), Index(2 ** 64), ctypes.c_int, ctypes.c_int(1), ctypes.c_char * 0, ctypes.c_char * 2 ** 20,
    ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p, ctypes.Structure, ctypes.Array, ctypes.POINTER(ctypes.c_int),
    ctypes.CFUNCTYPE(None), Point, slice(None), slice(None, None, 0), slice(None, None, -7), slice("a"),
    slice(1.5, None), slice(2 ** 64, -2 ** 64, 3), slice(10 ** 30, None, -10 ** 30), slice(None, 2, None)]
# For every parameter of whatever is public, what does no harm; one that is missing here is not tested, and a KeyError.
USUAL = {
    "access": "rw", "address": None, "blocking": True, "ctype": ctypes.c_uint8, "data": b"x", "exc_info": None,
    "exist_ok": False, "file": None, "flags": 0, "handle": 0, "inheritable": False, "initial_state": True, "key": 0,
    "manual_reset": True, "maximum": 4, "n": 1, "offset": 0, "pid": 0, "reserve": False, "sddl": None, "size": 100,
    "timeout": 0.001, "value": 1}
MAKERS = {"View": lambda: NamedMap.create(None, 100).view(), "NamedMap": lambda: NamedMap.create(None, 100),
          "Mutex": Mutex.create, "Event": Event.create, "Semaphore": Semaphore.create}


def is_harmless(parameter, value):
    """Whether it neither waits for long nor may be what somebody else has."""
    if parameter == "timeout":
        return value is not None and not (isinstance(value, (int, float)) and 0.01 < value <= threading.TIMEOUT_MAX)
    return parameter not in ("handle", "pid") or not (isinstance(value, int) and 0 < value < 2 ** 31)


def entries(cls):
    """The names of all that is public, and of the special methods that are the class's own."""
    own = set(dir(cls)) - set(dir(object)) - {"__getattr__"} | {"__reduce__", "__repr__"}
    return sorted(entry for entry in own if entry[0] != "_" or entry.endswith("__") and callable(getattr(cls, entry)))


def strange_cases(parameters, chance):
    yield {}
    for parameter in parameters:
        for value in STRANGE_VALUES:
            yield {parameter: value}
    for _ in range(100 * ROUNDS if len(parameters) > 1 else 0):
        yield {parameter: chance.choice(STRANGE_VALUES) for parameter in chance.sample(parameters, 2)}


def call_strangely(method, arguments):
    parameters = inspect.signature(method).parameters.values()
    named = {each.name: arguments[each.name] for each in parameters if each.kind is each.KEYWORD_ONLY}
    try:
        method(*(arguments[each.name] for each in parameters if each.kind is not each.KEYWORD_ONLY), **named)
    except (TypeError, ValueError, IndexError, OSError, NotImplementedError, RuntimeError):
        pass


def still_works(thing):
    if isinstance(thing, Event):
        thing.set()
        assert thing.wait(0)
    elif isinstance(thing, (Mutex, Semaphore)):
        thing.acquire(timeout=0)
        thing.release()
    else:
        thing.write(b"ab", 98)
        assert thing[98:] == b"ab" and len(list(thing)) == 100
        for value in STRANGE_VALUES:
            value in thing


def call_everything(public, name):
    """Call all that a class has with strange arguments, and return how many calls that were."""
    cls, make_one, chance, tried = getattr(namedmap, public), MAKERS[public], random.Random(6), 0
    for entry in entries(cls):
        thing = make_one()
        method = getattr(thing, entry)
        for case in strange_cases(list(inspect.signature(method).parameters), chance) if callable(method) else ():
            if thing.closed:
                thing = make_one()
            if all(is_harmless(*each) for each in case.items()):
                call_strangely(getattr(thing, entry), {**USUAL, "name": name, **case})
                tried += 1
        still_works(make_one() if thing.closed else thing)
    return tried


@pytest.mark.parametrize("public", namedmap.__all__)
def test_strange_arguments_do_no_harm(public, name, tmp_path, monkeypatch):
    def allocate(descriptor, start, end):
        refused_by_system(errno.ENOSPC)() if end - start > 2 ** 24 else do_allocate(descriptor, start, end)

    do_allocate = getattr(namedmap, "_allocate", None)
    monkeypatch.setattr(namedmap, "_allocate", allocate, raising=False)  # not gigabytes of memory
    monkeypatch.chdir(tmp_path)  # where files are made
    for value in STRANGE_VALUES:
        with pytest.raises(TypeError, match="is not called"):
            getattr(namedmap, public)(value)
    call_everything(public, name)  # what the first ones load stays
    gc.collect()
    before = handle_count(), mapped_regions()
    assert call_everything(public, name) > 1000
    gc.collect()
    assert (handle_count(), mapped_regions()) == before


# ---------------------------------------------------------------- in other people's programs

# What a program does with its copy of the file. Its answer is in the memory, since it may have no output.
PROGRAM = r"""
import importlib, pickle, sys
module = importlib.import_module(sys.argv[1])
memory = pickle.loads(pickle.dumps(module.NamedMap.open(sys.argv[2])))
event = module.Event.create(sys.argv[2] + " event", exist_ok=True)
with module.Mutex.create(), module.Semaphore.create(), event, memory:
    event.set()
    answer = f"{module.__name__} {module.__version__} by {type(module.__loader__).__name__}"
    if sys.stdin is sys.stdout is sys.stderr is None:
        answer += " without streams"
    if module.__doc__ is module.NamedMap.create.__doc__ is None:
        answer += " without docstrings"
    memory.write((answer + "\0").encode("utf-16-le"))
"""


def answer_of(name, run):
    """What a PROGRAM that `run` starts, and whose exit status it returns, writes into the memory with that name."""
    with NamedMap.create(name, 1000) as m, Event.create(name + " event") as event:
        assert run() == 0
        assert event.wait(0)
        return m.read().decode("utf-16-le").split("\0")[0]


def run_detached(*command):
    """The exit status of a command that has no standard streams, like the programs of pythonw.exe."""
    if ON_WINDOWS:
        return subprocess.run(command, cwd=HERE, creationflags=subprocess.DETACHED_PROCESS, timeout=60).returncode
    return subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], cwd=HERE, timeout=60).returncode


def test_without_any_streams_from_the_start(name):
    answer = answer_of(name, lambda: run_detached(sys.executable, "-c", PROGRAM, "namedmap", name))
    assert answer == f"namedmap {namedmap.__version__} by SourceFileLoader without streams"
    with NamedMap.create(name, 100) as m:
        for arguments, status in ((["write", name, "text"], 0), (["list"], 0), (["read", name, "--hex"], 0),
                                  (["create", name, "--exist-ok", "--hold", "0.1"], 0), (["create", name], 1),
                                  (["read"], 2), (["--help"], 0)):
            assert run_detached(sys.executable, "-m", "namedmap", *arguments) == status, arguments
        assert m[:10] == "text\0".encode("utf-16-le")


def test_without_docstrings(name, start):
    answer = answer_of(name, lambda: start(sys.executable, "-OO", "-c", PROGRAM, "namedmap", name).end()[0])
    assert answer == f"namedmap {namedmap.__version__} by SourceFileLoader without docstrings"
    for arguments in (["--help"], ["create", "--help"], ["--version"], ["read", name], ["read"]):
        ends = [start(sys.executable, *options, "-m", "namedmap", *arguments).end() for options in ([], ["-OO"])]
        assert ends[0] == ends[1] and any(ends[0][1:])


def test_in_a_zip(name, tmp_path, start):
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as file:
        file.write(namedmap.__file__, "copied.py")
    path = {"PYTHONPATH": str(tmp_path / "program.zip")}
    answer = answer_of(name, lambda: start(sys.executable, "-c", PROGRAM, "copied", name, **path).end()[0])
    assert answer == f"copied {namedmap.__version__} by zipimporter"
    with NamedMap.create(name, 100) as m:
        m.write("text\0".encode("utf-16-le"))
        assert start(sys.executable, "-m", "copied", "read", name, **path).end() == (0, ["text"], "")


def test_a_renamed_copy_inside_a_package(name, tmp_path, start):
    package = tmp_path / "application" / "vendored"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import shared_memory\n")
    shutil.copy(namedmap.__file__, package / "shared_memory.py")
    path = {"PYTHONPATH": str(tmp_path)}
    module = "application.vendored.shared_memory"
    answer = answer_of(name, lambda: start(sys.executable, "-c", PROGRAM, module, name, **path).end()[0])
    assert answer == f"{module} {namedmap.__version__} by SourceFileLoader"
    with NamedMap.create(name, 100) as m:
        m.write("text\0".encode("utf-16-le"))
        status, lines, _ = start(sys.executable, "-m", module, "read", name, **path).end()
        assert (status, lines) == (0, ["text"])


@pytest.fixture(scope="session")
def frozen(tmp_path_factory):
    """examples/frozen/publisher.py as an executable."""
    if os.environ.get("NAMEDMAP_FROZEN"):
        return os.environ["NAMEDMAP_FROZEN"]
    pytest.importorskip("PyInstaller", reason="needs PyInstaller, or NAMEDMAP_FROZEN to name what it has made")
    folder = tmp_path_factory.mktemp("frozen")
    subprocess.run([sys.executable, os.path.join(HERE, "examples", "frozen", "freeze.py"), str(folder)], check=True,
                   timeout=300)
    return str(folder / "publisher") + ".exe" * ON_WINDOWS


def test_a_frozen_program(name, frozen, start, cli):
    process = start(frozen, name)
    assert process.line() == f"{name} holds the message; Enter ends this process."
    assert cli("read", name).end() == (0, ["Message from an executable."], "")
    status, _, err = start(frozen, name).end()
    assert status == 1 and err.startswith("Could not create the memory: ") and "the name is taken" in err
    process.enter()
    # Not end(): a desktop of Wine, which the first program with a window starts, keeps the standard error of that open.
    assert process.popen.wait(60) == 0
    assert cli("read", name).end()[0] == 1


# ---------------------------------------------------------------- the command line

def test_usage(capsys):
    for arguments, shown in (
        ((), "usage: python -m namedmap"), (("nonsense",), "nonsense"), (("create",), "NAME"), (("read",), "NAME"),
        (("create", "a\\b"), "a backslash may only follow"), (("read", ""), "must not be empty"),
        (("create", "x" * 300), "at most 259"),
        (("create", "x", "--size", "0"), "1 to 2**63-1"), (("create", "x", "--size", "-5"), "--size"),
        (("create", "x", "--size", "4Q"), "not a number of bytes"), (("read", "x", "--size", "0x"), "not a number"),
        (("create", "x", "--size", "8589934592G"), "1 to 2**63-1"),
        (("create", "x", "text", "--encoding", "klingon"), "not a text encoding"),
        (("read", "x", "--encoding", "hex"), "not a text encoding"),
        (("create", "x", "\u20ac", "--encoding", "ascii"), "cannot be encoded"),
        (("create", "x", "--from-hex", "0g"), "hexadecimal"), (("create", "x", "t", "--from-hex", "00"), "exclude"),
        (("create", "x", "--encoding", "ascii", "--from-hex", "00"), "not allowed with"),
        (("read", "x", "--hex", "--encoding", "ascii"), "not allowed with"),
        (("create", "x", "--hold", "nan"), "not a number of seconds from 0 to"),
        (("read", "x", "--timeout", "-1"), "--timeout"),
        (("read", "x", "--timeout", "soon"), "not a number of seconds"),
        (("create", "x", "text", "--size", "4"), "do not fit in 4 bytes"),
        (("create", "x", "--input", __file__, "--size", "1K"), "do not fit in 1024 bytes"),
        (("write",), "NAME"), (("write", "x"), "nothing to write"), (("info",), "NAME"),
        (("info", "a\\b"), "a backslash"),
        (("write", "x", "text", "--input", "-"), "exclude"),
        (("write", "x", "--from-hex", "00", "--input", "-"), "not allowed with"),
        (("write", "x", "\ud800"), "cannot be encoded"), (("write", "x", "text", "--offset", "-1"), "--offset"),
        (("read", "x", "--offset", "8589934592G"), "0 to 2**63-1"), (("read", "x", "--offset", "1T"), "not a number"),
        (("read", "x", "--raw", "--hex"), "not allowed"), (("read", "x", "--struct", "<Q", "--raw"), "not allowed"),
        (("read", "x", "--struct", "<Y"), "not a format"), (("read", "x", "--struct", "\u00e9"), "not a format"),
        (("read", "x", "--struct", "9" * 99 + "s"), "not a format"), (("read", "x", "--struct", "0s"), "at least one"),
        (("read", "x", "--struct", "<Q", "--size", "12"), "not a multiple of the 8 bytes"),
        (("read", "x", "--watch", "often"), "not a number of seconds"), (("read", "x", "--watch", "-1"), "--watch"),
        (("read", "--watch", "x"), "'x' (NAME comes before --watch)"),
        (("read", "x", "--timeout", "1e400"), "not a number of seconds from 0 to"),
        (("read", "x", "--encoding", "unicode_escape"), "not a text encoding"),
        (("read", "x", "--size", "1_0"), "not a number"), (("read", "x", "--size", " 1"), "not a number"),
        (("read", "x", "--size", "\u0661"), "not a number"),
        (("read", "x", "--size", "0x" + "f" * 5000), "not a number"),
        (("read", "x", "--encoding", "idna"), "not a text encoding"), (("list", "a", "b"), "unrecognized arguments: b"),
        (("list", "--size", "1"), "unrecognized"),
    ):
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (2, ""), arguments
        assert "usage: python -m namedmap" in err and shown in err, err


def test_help_and_version(capsys):
    assert run(capsys, "--version") == (0, f"namedmap {namedmap.__version__}\n", "")
    for arguments, example in (((), "create demo"), (("create",), "create demo"), (("read",), "read demo"),
                               (("write",), "write demo"), (("info",), "info demo"), (("list",), 'list "*demo*"')):
        status, out, err = run(capsys, *arguments, "--help")
        assert (status, err) == (0, "")
        assert out.startswith(" ".join(("usage: python -m namedmap", *arguments)))
        assert f"example: python -m namedmap {example}" in out


@pytest.mark.parametrize("text, size", [
    ("1", 1), ("4096", 4096), ("0x1000", 4096), ("0X1f", 31), ("64K", 65536), ("64k", 65536), ("16M", 16 << 20),
    ("2G", 2 << 30), ("0x2K", 2048), ("0100", 100),
])
def test_sizes_on_the_command_line(text, size):
    assert namedmap._parse_size(text) == namedmap._parse_offset(text) == size


def test_hex_dump():
    data = b"Message\0\x7f\xff" + bytes(70) + b"\1"
    chunks = [data[:32], data[32:]]
    assert list(namedmap._hex_lines(chunks, 0)) == [
        "00000000  4d 65 73 73 61 67 65 00 7f ff 00 00 00 00 00 00  |Message.........|",
        "00000010  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|",
        "*",
        "00000050  01                                               |.|",
        "00000051",
    ]
    assert list(namedmap._hex_lines([], 0)) == ["00000000"]
    assert list(namedmap._hex_lines([b"ab"], 0xfffffffff)) == [
        "fffffffff  61 62                                            |ab|", "1000000001"]


def test_text_ends_at_the_first_nul():
    def text(chunks, encoding):
        return "".join(namedmap._text(chunks, encoding))

    for encoding in ("utf-16-le", "utf-8", "utf-32-le", "utf-16", "utf-7"):
        octets = "h\u00e4\u20ac\U0001f600\r\nnext\0rest".encode(encoding)
        for cut in range(len(octets)):
            assert text([octets[:cut], octets[cut:]], encoding) == "h\u00e4\u20ac\U0001f600\nnext"
    assert text([b"a\0b\0"], "utf-16-le") == "ab"
    assert text([b"a\xff"], "utf-8") == "a\\xff"
    assert text([b"a\0\0\xd8"], "utf-16-le") == "a\\x00\\xd8"
    assert text([b"a\0\0\0\xff\xff\0\xd8"], "utf-16-le") == "a"
    assert text([b"a\r"], "utf-8") == "a\n"
    assert text([b"+AEEAAABC"], "utf-7") == "A"  # which tells what it has only at its end


def test_create_in_one_process_and_read_in_another(name, cli):
    first = cli("create", name, "Message from first process.")
    assert first.line() == f"{name}: 256 bytes, held until Enter or Ctrl+C"
    assert cli("read", name).end() == (0, ["Message from first process."], "")
    with NamedMap.open(name) as m:
        assert m[:] == "Message from first process.".encode("utf-16-le").ljust(4096, b"\0")
    first.enter()
    assert first.end() == (0, [], "")
    status, out, err = cli("read", name).end()
    assert (status, out) == (1, [])
    assert err == (f"namedmap: {name}: nothing has this name now: is the publisher running, "
                   "and is it in Global\\ or in Local\\?\n")


def test_create_holds_on_when_its_input_ends(name, cli):
    first = cli("create", name, "text", "--hold", "600")
    assert first.line() == f"{name}: 256 bytes, held for 600 seconds, or until Enter or Ctrl+C"
    first.popen.stdin.close()
    time.sleep(1)
    assert first.popen.poll() is None
    NamedMap.open(name).close()
    first.kill()


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"] + ON_WINDOWS * ["SIGBREAK"])
def test_signals_end_create_and_release_the_name(signal_name, name, capsys, monkeypatch):
    number = getattr(signal, signal_name)
    before = signal.getsignal(number)
    timer = threading.Timer(0.3, send, [number])
    announce = namedmap._print
    monkeypatch.setattr(namedmap, "_print", lambda text: announce(text) or timer.start())  # then it has its handlers
    begin = time.monotonic()
    status, _, err = run(capsys, "create", name, "--hold", "60")
    timer.join()
    assert (status, err) == (0, "")
    assert time.monotonic() - begin < 10
    assert signal.getsignal(number) is before
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)


def interrupt_the_wait(monkeypatch):
    """Let Ctrl+C arrive half a second after something begins to wait for a name."""
    def wait_until_there(*arguments):
        threading.Timer(0.5, send).start()
        return wait(*arguments)

    wait = namedmap._wait_until_there
    monkeypatch.setattr(namedmap, "_wait_until_there", wait_until_there)


def test_ctrl_c_ends_a_waiting_read(name, capsys, monkeypatch):
    interrupt_the_wait(monkeypatch)
    begin = time.monotonic()
    assert run(capsys, "read", name, "--timeout", "60") == (1, "", f"namedmap: {name}: interrupted\n")
    assert time.monotonic() - begin < 10


def test_create_in_this_process(name, capsys):
    with NamedMap.create(name, 4096) as m:
        status, out, err = run(capsys, "create", name, "text")
        assert (status, out) == (1, "")
        assert re.fullmatch(r"namedmap: .*: the name is taken: .*--exist-ok\) attaches to it\n", err)
        held = f"{name}: 4096 bytes that were there, held for 0 seconds, or until Enter or Ctrl+C\n"
        assert run(capsys, "create", name, "text", "--exist-ok", "--hold", "0") == (0, held, "")
        assert m[:12] == "text\0\0".encode("utf-16-le")
        assert run(capsys, "create", name, "--from-hex", "ff 00 FF", "--exist-ok", "--hold", "0")[0] == 0
        assert m[:6] == b"\xff\0\xff\0x\0"
        assert run(capsys, "create", name, "h\u00e4", "--encoding", "utf-8", "--exist-ok", "--hold", "0")[0] == 0
        assert m[:6] == b"h\xc3\xa4\0x\0"
        status, out, err = run(capsys, "create", name, "--size", "8K", "--exist-ok", "--hold", "0")
        assert (status, out, err) == (1, "", f"namedmap: {name}: {name!r} has 4096 bytes, and 8192 were asked for\n")


def test_create_makes_room_for_the_text_and_its_nul(name, capsys):
    for text, options, size in (("x" * 127, (), 256), ("x" * 128, (), 258), ("abc", ("--size", "6"), 6),
                                ("abc", ("--size", "7"), 7), ("abc", ("--size", "0x10"), 16)):
        status, out, err = run(capsys, "create", name, text, "--hold", "0", *options)
        assert (status, err) == (0, "")
        assert out.startswith(f"{name}: {size} bytes, ")


def test_read_in_this_process(name, capsys):
    with NamedMap.create(name, 4096) as m:
        m.write("Gr\u00fc\u00dfe \u65e5\u672c \U0001f600\0old".encode("utf-16-le"))
        assert run(capsys, "read", name) == (0, "Gr\u00fc\u00dfe \u65e5\u672c \U0001f600\n", "")
        assert run(capsys, "read", name, "--size", "4") == (0, "Gr\n", "")
        assert run(capsys, "read", name, "--hex", "--size", "4") == (
            0, "00000000  47 00 72 00                                      |G.r.|\n00000004\n", "")
        status, out, err = run(capsys, "read", name, "--size", "5000")
        assert (status, out, err) == (1, "", f"namedmap: {name}: 5000 bytes at offset 0 are not inside the memory, "
                                             "which has 4096 bytes\n")
        m.write(b"plain\0")
        assert run(capsys, "read", name, "--encoding", "utf-8") == (0, "plain\n", "")
        m[0] = 0
        assert run(capsys, "read", name, "--encoding", "utf-8") == (0, "\n", "")


def test_read_waits_for_the_name_and_the_first_character(name, capsys):
    def publish():
        time.sleep(0.3)
        with NamedMap.create(name, 256) as m:
            time.sleep(0.3)
            m.write("late".encode("utf-16-le"))
            done.wait(30)

    done = threading.Event()
    thread = threading.Thread(target=publish)
    thread.start()
    assert run(capsys, "read", name, "--timeout", "30") == (0, "late\n", "")
    done.set()
    thread.join()
    status, out, err = run(capsys, "read", name, "--timeout", "0.1")
    assert (status, out) == (1, "") and "nothing has this name now" in err


def test_another_kind_of_object_on_the_command_line(name, capsys):
    with contextlib.closing(KINDS["a mutex"](name)):
        for arguments in (("create", name), ("read", name), ("write", name, "text")):
            assert run(capsys, *arguments) == (
                1, "", f"namedmap: {name}: this is the name of a mutex, and objects of different kinds cannot have "
                       "the same name\n")


def test_read_shows_a_part(name, capsys):
    with NamedMap.create(name, 4096) as m:
        m[0x100:0x10a] = b"HWiS\1\0\0\0\2\xff"
        assert run(capsys, "read", name, "--offset", "0x100", "--size", "10", "--hex") == (
            0, "00000100  48 57 69 53 01 00 00 00 02 ff                    |HWiS......|\n0000010a\n", "")
        assert run(capsys, "read", name, "--offset", "256", "--encoding", "ascii") == (0, "HWiS\1\n", "")
        assert run(capsys, "read", name, "--offset", "0x0K", "--size", "1K", "--encoding", "ascii") == (0, "\n", "")
        for offset, size in ((4095, 2), (0, 4097), (1, 2 ** 63 - 1)):
            assert run(capsys, "read", name, "--offset", str(offset), "--size", str(size)) == (
                1, "", f"namedmap: {name}: {size} bytes at offset {offset} are not inside the memory, "
                       "which has 4096 bytes\n")
        for offset in (4096, 2 ** 63 - 1):
            for form in ([], ["--hex"], ["--size", "1"], ["--struct", "<I"]):
                assert run(capsys, "read", name, "--offset", str(offset), *form) == (
                    1, "", f"namedmap: {name}: offset {offset} is not inside the memory, which has 4096 bytes\n")


def test_read_shows_fields(name, capsys):
    with NamedMap.create(name, 4096) as m:
        m[:24] = b"HWiS" + bytes([1, 0, 0, 0, 255, 255, 255, 255]) + bytes(6) + b"\xf0\x3f" + b"\1\0\xe4\0"
        assert run(capsys, "read", name, "--struct", "<4sIid") == (0, "b'HWiS' 1 -1 1.0\n", "")
        assert run(capsys, "read", name, "--struct", "<?xxc", "--offset", "20") == (0, "True b'\\x00'\n", "")
        assert run(capsys, "read", name, "--struct", "<HxxI", "--size", "24") == (
            0, f"{0x5748} 1\n65535 0\n0 {0xe40001}\n", "")
        status, out, err = run(capsys, "read", name, "--struct", "4097s")
        assert (status, out) == (1, "") and "4097 bytes at offset 0 are not inside" in err
    record = namedmap._CHUNK // 4 * 3
    with NamedMap.create(name, 3 * record) as m:  # records are not cut where chunks are
        for number in range(3):
            m[number * record + record - 1] = number + 1
        arguments = ["--struct", f"{record - 1}xB", "--size", str(3 * record)]
        assert run(capsys, "read", name, *arguments) == (0, "1\n2\n3\n", "")


def test_a_part_of_a_huge_object_is_read_without_mapping_the_rest(name, capsys, monkeypatch):
    with NamedMap.create(name, 2 ** 33, reserve=True) as m:
        with m.view(2 ** 33 - 100) as view:
            view.write("the end".encode("utf-16-le"))
        mapped = count_calls(monkeypatch, "map_view", namedmap._layer)
        assert run(capsys, "read", name) == (0, "\n", "")
        assert run(capsys, "read", name, "--offset", str(2 ** 33 - 100)) == (0, "the end\n", "")
        assert run(capsys, "read", name, "--offset", str(2 ** 33 - 100), "--size", "4", "--hex") == (
            0, "1ffffff9c  74 00 68 00                                      |t.h.|\n1ffffffa0\n", "")
        assert run(capsys, "write", name, "END", "--offset", str(2 ** 33 - 92)) == (0, "", "")
        assert run(capsys, "read", name, "--offset", str(2 ** 33 - 100)) == (0, "the END\n", "")
        assert len(mapped) >= 5
        assert max(arguments[3] for arguments in mapped) <= namedmap._CHUNK + namedmap._GRANULARITY


def piped(*arguments, **options):
    """The command line as a process: (exit status, standard output, standard error), all in bytes."""
    process = subprocess.run([sys.executable, "-m", "namedmap", *arguments], cwd=HERE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=120, env={**os.environ, "PYTHONUTF8": "1"}, **options)
    return process.returncode, process.stdout, process.stderr


def test_raw_bytes_come_out_and_go_in_as_they_are(name, path):
    octets = bytes(range(256)) * (namedmap._CHUNK // 100) + b"\r\n\n\x1a\0end"
    with NamedMap.create(name, len(octets) + 10) as m:
        assert piped("write", name, "--input", "-", "--offset", "10", input=octets) == (0, b"", b"")
        assert m[:10] == bytes(10) and m[10:] == octets
        assert piped("read", name, "--raw", "--offset", "10", "--size", str(len(octets))) == (0, octets, b"")
        with open(path, "wb") as file:
            file.write(octets[::-1])
        with open(path, "rb", buffering=0) as file:
            file.read(5)  # a file that is redirected is read from where it is
            assert piped("write", name, "--input", "-", stdin=file) == (0, b"", b"")
        assert m[:len(octets)] == octets[::-1][5:] + octets[-15:-10]


def test_text_in_a_file_has_the_line_ends_of_the_system(name, path):
    with NamedMap.create(name, 100) as m, open(path, "wb") as file:
        m.write("one\r\ntwo\nthree\0".encode("utf-16-le"))
        subprocess.run([sys.executable, "-m", "namedmap", "read", name], cwd=HERE, stdout=file, check=True)
    with open(path, "rb") as file:
        assert file.read() == os.linesep.join(["one", "two", "three", ""]).encode()


def test_watch_prints_again_what_changes(name, cli):
    with NamedMap.create(name, 100) as m:
        m.write(b"one\0")
        process = cli("read", name, "--encoding", "utf-8", "--watch", "0.05")
        assert process.line() == "one"
        m.write(b"two\0")
        assert process.line() == "two"
        m.write(b"two\0what is behind the NUL is not shown")
        time.sleep(0.5)
        m[0] = 0
        assert process.line() == ""
        m.write(b"back")
        assert process.line() == "backwhat is behind the NUL is not shown"
    status, out, err = process.end()
    assert (status, out) == (1, []) and "nothing has this name now" in err


def publish(name, size):
    """Make memory, although somebody may just be looking at what had its name before."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return NamedMap.create(name, size)
        except FileExistsError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def test_watch_does_not_keep_the_memory_of_its_publisher(name, cli):
    process = cli("read", name, "--struct", "<I", "--watch", "--timeout", "60")
    for number in range(1, 4):
        with publish(name, 4) as m:
            m.overlay(ctypes.c_uint32).value = number
            while process.line() != str(number):
                pass


def test_what_watch_has_shown_is_known_again():
    used = []
    one = namedmap._digest(["a\ud800", b"b"], used.append)
    assert used == ["a\ud800", b"b"]
    assert one == namedmap._digest(["a\ud800", b"b"], used.append) != namedmap._digest(["a\ud801", b"b"], used.append)


def test_waiting_for_text_does_not_keep_the_memory_of_its_publisher(name, capsys, monkeypatch):
    opened = count_calls(monkeypatch, "open_file_mapping", namedmap._layer)
    thread = threading.Thread(target=namedmap.main, args=[["read", name, "--timeout", "60"]])
    thread.start()
    for number in range(4):
        with publish(name, 100) as m:
            seen = len(opened)
            eventually(lambda: len(opened) > seen + 1)  # so that one has been given up
            if number == 3:
                m.write("at last\0".encode("utf-16-le"))
                thread.join()
    assert capsys.readouterr() == ("at last\n", "")


@pytest.mark.parametrize("form", [["--hex"], ["--raw"], ["--struct", "<I"], ["--encoding", "utf-8"]])
def test_ctrl_c_ends_watch(form, name, capsys, monkeypatch):
    with NamedMap.create(name, 4) as m:
        m.write(b"abc")
        timers = [threading.Timer(0.5, send)]
        flush = namedmap._flush
        monkeypatch.setattr(namedmap, "_flush", lambda: flush() or timers and timers.pop().start())  # then it is shown
        status, out, err = run(capsys, "read", name, "--size", "4", "--watch", "0.01", *form)
        shown = {"--hex": "00000000  61 62 63 00                                      |abc.|\n00000004\n",
                 "--raw": "abc\0", "--struct": f"{0x636261}\n", "--encoding": "abc\n"}
        assert (status, out, err) == (0, shown[form[0]], "")
    interrupt_the_wait(monkeypatch)
    # Another name: if Ctrl+C came while the memory was just being opened, this process has it until its end.
    assert run(capsys, "read", name + " missing", "--watch", "--timeout", "60", *form) == (0, "", "")


@pytest.mark.parametrize("options", [["--watch", "0"], ["--timeout", "60"]])
def test_ctrl_c_is_not_lost_while_a_view_is_unmapped(options, name, capsys, monkeypatch):
    def unmap(base, size):
        unmapped(base, size)
        calls.append(base)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)  # in a __del__, out of which no exception comes

    def pause(seconds):
        pauses.append(seconds)
        assert len(pauses) < 1000
        sleep(seconds)

    calls, pauses, unmapped, sleep = [], [], namedmap._layer.unmap_view, time.sleep
    monkeypatch.setattr(namedmap._layer, "unmap_view", unmap)
    monkeypatch.setattr(time, "sleep", pause)
    before = signal.getsignal(signal.SIGINT)
    with NamedMap.create(name, 4):
        assert run(capsys, "read", name, *options) == (
            (0, "\n", "") if "--watch" in options else (1, "", f"namedmap: {name}: interrupted\n"))
    assert len(calls) >= 3 and min(pauses) >= 0.01
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_left_to_who_has_it(name, capsys):
    got, before = [], signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    try:
        timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
        timer.start()
        assert run(capsys, "create", name, "--hold", "1")[0] == 0
        timer.join()
        assert got == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_write_ends_text_where_a_nul_fits(name, capsys, path):
    with NamedMap.create(name, file=path, size=10) as m:
        m[:] = b"." * 10
        assert run(capsys, "write", name, "abc") == (0, "", "")
        assert m[:] == b"a\0b\0c\0\0\0.."
        assert run(capsys, "write", name, "abcde") == (0, "", "")
        assert m[:] == b"a\0b\0c\0d\0e\0"
        assert run(capsys, "write", name, "xy", "--offset", "7", "--encoding", "ascii") == (0, "", "")
        assert m[:] == b"a\0b\0c\0dxy\0"
        assert run(capsys, "write", name, "z", "--offset", "9", "--encoding", "ascii") == (0, "", "")
        assert run(capsys, "write", name, "--from-hex", "ff fe", "--offset", "0x0") == (0, "", "")
        assert m[:] == b"\xff\xfeb\0c\0dxyz"
        assert run(capsys, "write", name, "", "--encoding", "ascii", "--offset", "1") == (0, "", "")
        assert m[:] == b"\xff\0b\0c\0dxyz"
        assert run(capsys, "write", name, "ab", "--encoding", "utf-16") == (0, "", "")
        assert m[:] == "ab\0".encode("utf-16") + b"yz"  # with one byte order mark
        assert run(capsys, "write", name, "--", "-a-") == (0, "", "")
        before = m[:]
        for arguments in (("abcdef",), ("a", "--offset", "9"), ("--from-hex", "00" * 11), ("--input", __file__)):
            status, out, err = run(capsys, "write", name, *arguments)
            assert (status, out) == (1, "")
            assert re.fullmatch(r"namedmap: .*: \d+ bytes at offset \d are not inside the memory, which has 10 bytes\n",
                                err)
            assert m[:] == before
    assert run(capsys, "write", name, "text")[0] == 1
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)
    with NamedMap.create(name, 3 << 19) as m, open(path, "wb") as file:  # which is more than one chunk
        file.write(b"x" * (2 << 20))
        file.flush()
        assert run(capsys, "write", name, "--input", str(path))[0] == 1
        assert m[:] == bytes(3 << 19)


def test_text_may_come_after_options(name, capsys):
    with NamedMap.create(name, 100) as m:
        for arguments in (("--offset", "0", "one"), ("--encoding", "utf-8", "two"), ("--offset=2", "--", "-three-"),
                          ("--offset", "0", "--encoding", "ascii", "four ")):
            assert run(capsys, "write", name, *arguments) == (0, "", "")
        assert run(capsys, "create", name, "--exist-ok", "--hold", "0", "five")[0] == 0
        assert m[:20] == "five\0".encode("utf-16-le") + b"e\0e\0-\0\0\0\0\0"
    for arguments, rest in (
            (("--offset", "0", "one", "two"), "one two"), (("--offset", "0", "--nonsense"), "--nonsense"),
            (("text", "--offset", "0", "more"), "more"), (("--nonsense", "text"), "--nonsense text")):
        status, out, err = run(capsys, "write", name, *arguments)
        assert (status, out) == (2, "") and f"write: error: unrecognized arguments: {rest}\n" in err
    status, out, err = run(capsys, "write", name, "--from-hex", "00", "text")
    assert (status, out) == (2, "") and "exclude each other" in err


@pytest.mark.parametrize("encoding, size", [("utf-16", 6), ("utf-8-sig", 7), ("iso2022_jp", 9), ("hz", 7),
                                            ("utf-7", 8)])
def test_texts_in_encodings_that_begin_or_end_with_something(encoding, size, name, capsys):
    text = "\u65e5"
    with NamedMap.create(name, 4096) as m:
        m[:] = b"." * 4096
        assert run(capsys, "write", name, text, "--encoding", encoding, "--offset", str(4096 - size))[0] == 0
        assert m[4096 - size - 1:] == b"." + (text + "\0").encode(encoding)
        assert run(capsys, "read", name, "--encoding", encoding, "--offset", str(4096 - size)) == (0, text + "\n", "")
        plain = text.encode(encoding)
        assert run(capsys, "write", name, text, "--encoding", encoding, "--offset", str(4096 - len(plain)))[0] == 0
        assert m[4096 - len(plain):] == plain


def test_inputs_are_closed(name, path, capsys):
    with warnings.catch_warnings(record=True) as caught, NamedMap.create(name, file=path, size=5000):
        warnings.simplefilter("always")
        for arguments in (("write", name, "--input", __file__), ("write", name + "x", "--input", __file__),
                          ("create", name, "--input", __file__), ("write", name, "--input", os.devnull),
                          ("create", name + "x", "--size", "1", "--input", __file__),
                          ("create", name + "x", "--size", "1M", "--input", __file__, "--hold", "0")):
            run(capsys, *arguments)
            gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_an_input_that_cannot_be_read_is_named(name, path, capsys, monkeypatch):
    class Failing(io.BytesIO):
        def read(self, *arguments, **options):
            raise OSError(errno.EIO, "It fails")

        def fileno(self):
            return null.fileno()

        read1 = read

    with NamedMap.create(name, 100), open(os.devnull) as null:
        monkeypatch.setattr(namedmap, "_copied", lambda pipe, room, source: Failing(b"x"))
        assert run(capsys, "write", name, "--input", "-") == (
            1, "", f"namedmap: {name}: standard input: It fails\n")
        monkeypatch.undo()
        monkeypatch.setattr("builtins.open", lambda *arguments, **options: Failing(b"x"))
        assert run(capsys, "write", name, "--input", "some pipe") == (
            1, "", f"namedmap: {name}: some pipe: It fails\n")
        monkeypatch.setattr("builtins.open", Failing(b"x").read)  # as where standard input is closed
        assert run(capsys, "write", name, "--input", "-") == (
            1, "", f"namedmap: {name}: standard input: It fails\n")


@windows
def test_write_says_that_memory_is_read_only(name, capsys, secured_mapping):
    secured_mapping("D:(A;;0x0005;;;WD)")
    status, out, err = run(capsys, "write", name, "text")
    assert (status, out, err) == (1, "", f"namedmap: {name}: access is denied by the security descriptor that its "
                                         "creator gave it; opening it for reading with access=\"r\" may be allowed\n")


def test_create_stores_a_file(name, path, capsys, tmp_path, monkeypatch):
    octets, path = bytes(range(256)) * 20, str(path)
    with open(path, "wb") as file:
        file.write(octets)
    with NamedMap.create(name, 6000) as m:
        assert run(capsys, "create", name, "--input", path, "--exist-ok", "--hold", "0") == (
            0, f"{name}: 8192 bytes that were there, held for 0 seconds, or until Enter or Ctrl+C\n", "")
        assert m[:5121] == octets + b"\0"
    for size in (5120, 8192):
        assert run(capsys, "create", name, "--input", path, "--size", str(size), "--hold", "0")[1].startswith(
            f"{name}: {size} bytes")
    assert run(capsys, "create", name, "--input", path, "--size", "5119", "--hold", "0")[0] == 2
    missing = str(tmp_path / "missing")
    for command in ("create", "write"):
        status, out, err = run(capsys, command, name, "--input", missing)
        assert (status, out) == (1, "") and err.startswith(f"namedmap: {name}: {missing}: ")
        assert run(capsys, command, name, "--input", str(tmp_path))[:2] == (1, "")
    os.truncate(path, 0)
    monkeypatch.setattr(namedmap, "_hold_until_told", lambda line, seconds: os.remove(path) or namedmap._print(line))
    assert run(capsys, "create", name, "--input", path)[1].startswith(f"{name}: 256 bytes")
    assert not os.path.exists(path)  # so that it was not in use


def test_create_attaches_to_memory_of_any_size(name, capsys, path):
    held = "held for 1234567 seconds, or until Enter or Ctrl+C\n"
    hold = namedmap._hold_until_told
    with NamedMap.create(name, file=path, size=5000) as m, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(namedmap, "_hold_until_told", lambda announcement, seconds: hold(announcement, 0))
        attach = ["create", name, "--exist-ok", "--hold", "1234567"]
        assert run(capsys, *attach, "text") == (0, f"{name}: 5000 bytes that were there, {held}", "")
        assert run(capsys, *attach, "--size", "100") == (0, f"{name}: 100 bytes that were there, {held}", "")
        assert run(capsys, *attach, "--size", "6000")[0] == 1
        status, out, err = run(capsys, *attach, "x" * 2501)
        assert (status, out) == (1, "") and "5002 bytes at offset 0 are not inside the memory, which has 5000" in err
        assert m[:10] == "text\0".encode("utf-16-le")
    assert run(capsys, "create", name, "--exist-ok", "--hold", "0")[1].startswith(f"{name}: 256 bytes, held")


def test_a_pipe_is_not_read_in_vain(name, cli, start):
    process = cli("write", name, "--input", "-")  # while its standard input stays open
    status, out, err = process.end()
    assert (status, out) == (1, []) and err.startswith(f"namedmap: {name}: nothing has this name now")
    endless = "import sys\nwhile True: sys.stdout.buffer.write(bytes(65536))"
    with NamedMap.create(name, 4096) as m:
        m[:] = b"." * 4096
        for arguments, expected in ((["write", name], 1), (["create", name + "x", "--size", "5000"], 2)):
            source = subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
            status, out, err = piped(*arguments, "--input", "-", stdin=source.stdout)
            source.kill()
            source.wait(60)
            source.stdout.close()
            assert (status, out) == (expected, b"") and b" bytes " in err
        assert m[:] == b"." * 4096


def test_an_input_that_becomes_shorter(path, name, capsys, monkeypatch):
    with open(path, "wb") as file:
        file.write(b"x" * 100)
    store = namedmap._store
    monkeypatch.setattr(namedmap, "_store", lambda *arguments: os.truncate(path, 50) or store(*arguments))
    with NamedMap.create(name, 100):
        assert run(capsys, "write", name, "--input", str(path)) == (
            1, "", f"namedmap: {name}: {path}: it became shorter while it was being copied\n")


def test_create_reads_a_pipe_to_its_end_and_holds(name, cli):
    octets = b"\r\n\x1a" * namedmap._CHUNK
    process = cli("create", name, "--input", "-")
    process.popen.stdin.write(octets)
    process.popen.stdin.close()
    assert process.line() == f"{name}: {len(octets)} bytes, held until Enter or Ctrl+C"
    with NamedMap.open(name, len(octets)) as m:
        assert m[:] == octets
    assert process.popen.poll() is None


def test_create_over_a_file(name, tmp_path, capsys):
    path = str(tmp_path / "new file")
    status, out, err = run(capsys, "create", name, "--file", path, "--hold", "0")
    assert (status, out) == (1, "") and err.startswith(f"namedmap: {name}: {path}: there is no such file; ")
    assert run(capsys, "create", name, "text", "--file", path, "--size", "10", "--hold", "0") == (
        0, f"{name}: 10 bytes, held for 0 seconds, or until Enter or Ctrl+C\n", "")
    with open(path, "rb") as file:
        assert file.read() == "text\0".encode("utf-16-le")
    assert run(capsys, "create", name, "--file", path, "--hold", "0")[1].startswith(f"{name}: 10 bytes")
    status, out, err = run(capsys, "create", name, "longer", "--file", path, "--hold", "0")
    assert (status, out) == (1, "") and "12 bytes at offset 0 are not inside the memory, which has 10 bytes" in err
    with pytest.raises(FileNotFoundError):
        NamedMap.open(name)
    with open(path, "rb") as file:
        assert file.read() == "text\0".encode("utf-16-le")


@windows
def test_create_with_a_security_descriptor(name, cli, capsys):
    process = cli("create", name, "secret", "--sddl", "D:(A;;0x0005;;;WD)")
    assert process.line() == f"{name}: 256 bytes, held until Enter or Ctrl+C"
    assert run(capsys, "read", name) == (0, "secret\n", "")
    assert run(capsys, "write", name, "x")[0] == 1
    for bad in ("", "D:(A;;GA;;;QQ)", "D:(A;;"):
        status, out, err = run(capsys, "create", name + "2", "--sddl", bad)
        assert (status, out) == (2, "") and "argument --sddl: " in err and "usage: " in err


def test_info_tells_size_access_and_pages(name, path, capsys, monkeypatch):
    rounded = "4096 bytes; the system rounds sizes up to whole pages"
    with NamedMap.create(name, 100):
        assert run(capsys, "info", name) == (
            0, f"name:   {name}\nkind:   file mapping object\nsize:   {rounded}\npages:  committed\naccess: rw\n", "")
    mapped = count_calls(monkeypatch, "map_view", namedmap._layer)
    with NamedMap.create(name, 2 ** 33, reserve=True):
        status, out, err = run(capsys, "info", name)
        assert (status, err) == (0, "")
        assert out.splitlines()[2:] == ["size:   8589934592 bytes; the system rounds sizes up to whole pages",
                                        "pages:  only reserved, until they are mapped", "access: rw"]
        assert not mapped
    with NamedMap.create(name, 5000, file=path):
        assert run(capsys, "info", name)[1].splitlines()[2:] == [
            "size:   5000 bytes", "pages:  of a file", "access: rw"]
    with NamedMap.create(name, file=path, access="r"):
        if ON_WINDOWS:  # which answers with this error; Wine forgives mapping for writing what was created to be read
            monkeypatch.setattr(namedmap._win, "MapViewOfFileEx", denied)
        assert run(capsys, "info", name)[1].splitlines()[4:] == ["access: r"]
    assert run(capsys, "info", name) == (
        1, "", f"namedmap: {name}: nothing has this name now: is the publisher running, "
               "and is it in Global\\ or in Local\\?\n")


@windows
@pytest.mark.parametrize("sddl, facts", [
    ("D:(A;;0x0005;;;WD)", ["size:   4096 bytes; the system rounds sizes up to whole pages", "pages:  committed",
                            "access: r"]),
    ("D:(A;;0x0006;;;WD)", ["size:   4096 bytes", "pages:  unknown: the security descriptor does not let one ask",
                            "access: rw"]),
    ("D:(A;;0x0001;;;WD)", ["access: none: access is denied by the security descriptor that its creator gave it"]),
])
def test_info_tells_what_a_descriptor_leaves(sddl, facts, name, capsys, secured_mapping):
    secured_mapping(sddl)
    status, out, err = run(capsys, "info", name)
    assert (status, err) == (0, "")
    assert out.splitlines() == [f"name:   {name}", "kind:   file mapping object", *facts]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a file mapping object"])
def test_info_tells_what_else_has_a_name(kind, name, capsys):
    with contextlib.closing(KINDS[kind](name)):
        assert run(capsys, "info", name) == (0, f"name:   {name}\nkind:   {kind.split(' ')[1]}\n", "")


def test_list_shows_this_session_and_global(name, capsys, cli):
    bare = name.partition("\\")[2]
    with contextlib.ExitStack() as others:
        for kind in KINDS:
            if kind != "a file mapping object":
                others.enter_context(contextlib.closing(KINDS[kind](f"{name} {kind}")))
        with NamedMap.create(name, 100), NamedMap.create(bare + " big", 2 ** 33, reserve=True), \
                Event.create(f"Global\\{bare} global"):  # which needs no privilege, unlike memory
            mappings = [f"        4096  Local\\{bare}", f"  8589934592  Local\\{bare} big"]
            status, out, err = cli("list").end()
            assert (status, err) == (0, "")
            assert [line for line in out if name in line] == mappings
            event = f"event                           -  Global\\{bare} global"
            everything = {f"{kind.split(' ')[1]:<19}             -  {name} {kind}"
                          for kind in KINDS if "file" not in kind}
            everything.update("file mapping object  " + line for line in mappings)
            status, out, err = run(capsys, "list", bare + "*", "--all")
            lines = out.splitlines()
            assert (status, err) == (0, "")
            assert event in lines[len(everything):] and everything <= set(lines)  # and in session 0 all of them twice
            for pattern, shown in ((name + "*", mappings), (name, mappings[:1]), (name.upper(), []),
                                   ("Local\\*" + bare[-6:] + " b?g", mappings[1:]),
                                   (f"Local\\[!{bare[0]}]{bare[1:]}", [])):
                assert run(capsys, "list", pattern) == (0, "".join(line + "\n" for line in shown), "")
            assert run(capsys, "list", bare)[1].splitlines()[:1] == mappings[:1]
            assert run(capsys, "list", "--all", f"Global\\{bare} global") == (0, event + "\n", "")
    assert run(capsys, "list", bare + "*", "--all") == (0, "", "")


def test_list_shows_the_size_of_global_memory(name, capsys):
    full = "Global\\" + name.partition("\\")[2]
    try:
        memory = NamedMap.create(full, 5000)
    except PermissionError:
        pytest.skip("creating memory in Global\\ needs SeCreateGlobalPrivilege, which this process does not have")
    with memory:
        assert run(capsys, "list", full) == (0, f"        8192  {full}\n", "")


@windows
def test_list_commits_nothing_and_leaks_nothing(name, capsys, monkeypatch, secured_mapping):
    secured_mapping("D:(A;;0x0004;;;WD)")  # the size is that of a view then
    committed = count_calls(monkeypatch, "VirtualAlloc")
    with NamedMap.create(name + " big", 2 ** 33, reserve=True):
        counts = []
        for _ in range(10):
            run(capsys, "list", "--all")
            run(capsys, "info", name)
            counts.append((mapped_regions(), handle_count()))
        # What the first ones load stays, and other threads come and go; a leak would be there 8 times.
        assert all(after - before < 6 for before, after in zip(counts[1], counts[-1]))
        assert not committed


@windows
def test_list_shows_a_dash_where_it_may_not_look(name, capsys, secured_mapping):
    secured_mapping("D:(A;;0x0001;;;WD)")
    assert run(capsys, "list", name) == (0, f"           -  {name}\n", "")


def test_list_passes_over_what_has_gone_meanwhile(name, capsys, monkeypatch):
    with NamedMap.create(name, 1):
        monkeypatch.setattr(namedmap._layer, "open_file_mapping", refused(namedmap.ERROR_FILE_NOT_FOUND))
        assert run(capsys, "list", name) == (0, "", "")


@windows
def test_list_finds_what_is_passed_over_when_entries_vanish(name, capsys, monkeypatch):
    def shifted(self, handle):
        """The entries, but at the first time not the one that is looked for."""
        passes.append(handle)
        return ((entry, kind) for entry, kind in entries(self, handle) if len(passes) > 1 or entry not in name)

    passes, entries = [], namedmap._Windows._directory_entries
    monkeypatch.setattr(namedmap._Windows, "_directory_entries", shifted)
    with NamedMap.create(name, 1):
        assert run(capsys, "list", name) == (0, f"        4096  {name}\n", "")


@windows
def test_list_in_session_0(name, capsys, monkeypatch):
    """What services see, where Local is the same as Global."""
    paths, open_directory = [], namedmap._Windows._open_directory
    monkeypatch.setattr(namedmap._win, "ProcessIdToSessionId", lambda process, session: True)
    monkeypatch.setattr(namedmap._Windows, "_open_directory",
                        lambda self, path: paths.append(path) or open_directory(self, path))
    bare = name.partition("\\")[2]
    with Event.create("Global\\" + bare):
        assert run(capsys, "list", bare, "--all") == (
            0, "".join(f"event                           -  {prefix}\\{bare}\n" for prefix in ("Local", "Global")), "")
    assert paths == ["\\BaseNamedObjects"] * 2


@windows
def test_list_says_which_directory_it_may_not_read(capsys, monkeypatch):
    monkeypatch.setattr(namedmap._win, "NtOpenDirectoryObject", refused(namedmap.ERROR_ACCESS_DENIED))
    status, out, err = run(capsys, "list")
    assert (status, out) == (1, "")
    assert re.fullmatch(r"namedmap: (\\Sessions\\\d+)?\\BaseNamedObjects: .+\n", err)


@windows
def test_what_the_kernel_says_of_directories():
    with pytest.raises(FileNotFoundError) as caught:
        namedmap._layer._open_directory("\\no such directory")
    assert told(caught) == (2, "\\no such directory")
    with pytest.raises(OSError, match="handle 0x4321 is closed") as caught:
        list(namedmap._layer._directory_entries(0x4321))
    assert caught.value.winerror == 6


STRANGE = [" a  b ", "$x$ %PATH% ^&|", "\u00fc\u00f6\u00e4\u00df", "\u65e5\u672c", "\U0001f600"]


@pytest.mark.parametrize("text", STRANGE)
def test_names_and_texts_of_all_kinds(text, name, cli):
    process = cli("create", name + text, text)
    assert process.line() == f"{name}{text}: 256 bytes, held until Enter or Ctrl+C"
    assert cli("read", name + text).end() == (0, [text], "")
    process.enter()
    assert process.end() == (0, [], "")


def test_every_command_as_a_process(name, cli, path):
    name += "".join(STRANGE)
    process = cli("create", name, "--input", __file__, "--file", str(path), "--size", "1M", "--hold", "600")
    assert process.line() == f"{name}: 1048576 bytes, held for 600 seconds, or until Enter or Ctrl+C"
    assert cli("read", name, "--encoding", "utf-8", "--size", "22").end() == (0, ['"""Tests of namedmap.', ""], "")
    assert cli("write", name, "Gr\u00fc\u00dfe", "--offset", "2").end() == (0, [], "")
    assert cli("read", name, "--offset", "2", "--watch", "0.01").line() == "Gr\u00fc\u00dfe"
    assert cli("read", name, "--size", "0x10", "--hex").end() == (0, [
        "00000000  22 22 47 00 72 00 fc 00 df 00 65 00 00 00 6d 65  |\"\"G.r.....e...me|", "00000010"], "")
    assert cli("read", name, "--offset", "14", "--struct", "<2sB").end() == (0, [f"b'me' {ord('d')}"], "")
    assert cli("info", name).end() == (0, [f"name:   {name}", "kind:   file mapping object", "size:   1048576 bytes",
                                           "pages:  of a file", "access: rw"], "")
    assert cli("list", name[:30] + "*").end() == (0, [f"     1048576  {name}"], "")


def test_every_line_stays_one_line(name, capsys):
    strange = name + "\n\t\x1b[31m\x85"
    shown = name + "\\x0a\\x09\\x1b[31m\\x85"
    assert run(capsys, "read", strange)[2].startswith(f"namedmap: {shown}: nothing has this name now")
    assert run(capsys, "create", strange, "--hold", "0")[1].startswith(f"{shown}: 256 bytes")
    with NamedMap.create(strange, 1):
        assert run(capsys, "list", "Local\\*" + strange[-5:]) == (0, f"        4096  {shown}\n", "")
        assert run(capsys, "info", strange)[1].startswith(f"name:   {shown}\nkind: ")


def test_a_console_that_lacks_characters(name, start):
    full = name + "\u00fc\u65e5"
    with NamedMap.create(full, 4096) as m:
        m.write(full.encode("utf-16-le"))
        for command in (["list", full], ["info", full], ["read", full], ["create", full, "--exist-ok", "--hold", "0"]):
            process = start(sys.executable, "-m", "namedmap", *command, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
            status, out, err = process.end()
            assert (status, err) == (0, "")
            assert "\\xfc\\u65e5" in out[0]  # the first as a byte of cp1252
    process = start(sys.executable, "-m", "namedmap", "read", full, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    status, out, err = process.end()
    assert (status, out) == (1, []) and err.startswith(f"namedmap: {name}\\xfc\\u65e5: nothing has this name now")


def into_a_pipe_that_nobody_reads(*arguments, unbuffered=""):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = subprocess.run([sys.executable, "-m", "namedmap", *arguments], cwd=HERE, stdin=subprocess.DEVNULL,
                                 stdout=writing, stderr=subprocess.PIPE, timeout=120,
                                 env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    finally:
        os.close(writing)
    return process.returncode, process.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["read", "--help"]])
def test_help_into_a_broken_pipe(arguments, unbuffered):
    assert into_a_pipe_that_nobody_reads(*arguments, unbuffered=unbuffered) == (1, b"")


@pytest.mark.parametrize("arguments, expected", [(["create", "x", "--input", "no such file"], 1), (["read"], 2)])
def test_errors_into_a_broken_pipe(arguments, expected):
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run([sys.executable, "-m", "namedmap", *arguments], cwd=HERE, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=writing, timeout=120)
    os.close(writing)
    assert (process.returncode, process.stdout) == (expected, b"")


def test_broken_pipes(name):
    with NamedMap.create(name, 4 << 20) as m:
        m.write("short\0".encode("utf-16-le"))
        for arguments in (["read", name], ["read", name, "--raw"], ["read", name, "--hex", "--watch"], ["list"],
                          ["create", name, "--exist-ok"]):
            assert into_a_pipe_that_nobody_reads(*arguments) == (1, b""), arguments
        assert into_a_pipe_that_nobody_reads("read", name, "--raw", unbuffered="1") == (1, b"")
        process = subprocess.Popen([sys.executable, "-m", "namedmap", "read", name, "--raw"], cwd=HERE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout.read(2) == b"s\0"
        process.stdout.close()  # as `head` does
        assert (process.wait(60), process.stderr.read()) == (1, b"")
        process.stderr.close()


@pytest.mark.parametrize("method", ["write", "flush"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EINVAL])  # in a file EINVAL is no broken pipe
def test_an_output_that_fails(code, method, capsys, monkeypatch, tmp_path):
    class Failing(io.TextIOWrapper):
        pass

    def fail(*arguments):
        raise OSError(code, "It fails")

    with open(tmp_path / "output", "wb") as file:
        output = Failing(file)
        monkeypatch.setattr(Failing, method, fail)
        monkeypatch.setattr(sys, "stdout", output)
        status = namedmap.main(["--help"])
        assert (status, capsys.readouterr().err) == (1, "namedmap: standard output: It fails\n")
        monkeypatch.undo()
        output.detach()


def test_an_output_that_takes_only_a_part_at_once(monkeypatch):
    class Console(io.RawIOBase):
        """As that of Windows, without a buffer as of `python -u`."""

        def writable(self):
            return True

        def write(self, octets):
            part = bytes(octets[:16383])
            written.append(part)
            return len(part)

    written, octets = [], bytes(range(256)) * 1000
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Console(), encoding="ascii", newline="\n", write_through=True))
    namedmap._emit(octets)
    assert b"".join(written) == octets
    written.clear()
    namedmap._emit("text" * 20000)
    assert b"".join(written) == b"text" * 20000


def test_an_output_that_takes_no_bytes(name, capsys, monkeypatch):
    with NamedMap.create(name, 10) as m:
        m.write("text\0".encode("utf-16-le"))
        with contextlib.redirect_stdout(io.StringIO()) as output:
            assert namedmap.main(["read", name]) == 0
            assert output.getvalue() == "text\n"
            assert namedmap.main(["read", name, "--raw"]) == 1
    assert capsys.readouterr().err == f"namedmap: {name}: standard output: it takes text, not bytes\n"


def test_without_standard_streams(name, monkeypatch):
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, stream, None)
    with NamedMap.create(name, 4096) as m:
        assert namedmap.main(["write", name, "text"]) == 0
        assert m[:10] == "text\0".encode("utf-16-le")
        for form in ([], ["--hex"], ["--raw"], ["--struct", "<I"]):
            assert namedmap.main(["read", name, *form]) == 0
        for arguments in (["info", name], ["list", "--all"], ["create", name, "--exist-ok", "--hold", "0.2"]):
            assert namedmap.main(arguments) == 0
    assert namedmap.main(["read", name]) == 1
    for arguments, status in ((["--help"], 0), (["list", "--help"], 0), (["--version"], 0), (["read"], 2),
                              (["write", name], 2), (["nonsense"], 2)):
        with pytest.raises(SystemExit) as end:
            namedmap.main(arguments)
        assert end.value.code == status


def test_without_standard_error(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert namedmap.main(["create", "x", "--input", "no such file"]) == 1
    with pytest.raises(SystemExit):
        namedmap.main(["read"])
    assert capsys.readouterr().out == ""


def test_memory_use_does_not_grow_with_the_object(name, path, monkeypatch):
    size, path = 16 << 20, str(path)
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(b"x" * (1 << 20))
    with NamedMap.create(name, size), open(os.devnull, "w") as null:
        monkeypatch.setattr(sys, "stdout", null)
        for arguments in (["write", name, "--input", path],
                          ["create", name, "--input", path, "--exist-ok", "--hold", "0"],
                          ["read", name, "--raw"], ["read", name, "--encoding", "utf-8"], ["read", name, "--hex"],
                          ["read", name, "--struct", "1024s", "--size", str(size)]):
            tracemalloc.start()
            assert namedmap.main(arguments) == 0
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 8 << 20, arguments


WORDS = [
    "", " ", "-", "--", "-x", "0", "-1", "1", "3.5", "0x", "0x10", "4K", "16M", "9" * 30, "nan", "inf", "1e400", "ff",
    "f", "%s", "%", "@x", "*", "[", "[z-a]", "<4sI", "<Q", "0s", "P", "utf-8", "utf-16", "rot13", "idna", "Local",
    "Global\\", "a\\b", "\\", "\0", "\n", "\ud800", "\U0001f600", "\u00fc\u65e5", "x" * 300, ".", "no/such/file",
    "D:(A;;GA;;;WD)", "D:(", "--size", "--offset", "--hex", "--raw", "--struct", "--watch", "--timeout", "--input",
    "--from-hex", "--encoding", "--file", "--sddl", "--exist-ok", "--hold", "--all", "--help", "--version", "read",
    "list", "write"]


def mutated(chance, arguments):
    """The arguments after a small change, or two."""
    arguments = list(arguments)
    for _ in range(chance.choice([1, 1, 1, 2])):
        place, word = chance.randrange(len(arguments)), chance.choice(WORDS)
        change = chance.randrange(12)
        if change == 0:
            arguments[place] = word
        elif change == 1:
            arguments.insert(place + 1, word)
        elif change == 2:
            arguments.insert(place, arguments[chance.randrange(len(arguments))])
        elif change == 3 and len(arguments) > 1:
            del arguments[place]
        else:  # a character, and not in the words that the command line knows
            places = [place for place in range(1, len(arguments)) if not arguments[place].startswith("--")]
            if places:
                place = chance.choice(places)
                cut, character = chance.randint(0, len(arguments[place])), chance.choice("a01fK -\\%\u00e4\u65e5.*[")
                arguments[place] = arguments[place][:cut] + character + arguments[place][cut + chance.randint(0, 1):]
    return arguments


def test_500_mutated_command_lines(name, capsys, monkeypatch, tmp_path):
    class Counting:
        """The layer, counting who comes to it."""

        def __getattr__(self, attribute):
            reached.add(number)
            return getattr(layer, attribute)

    def interrupt(seconds):
        raise KeyboardInterrupt

    valid = [[*command.split(" ")] for command in (
        "create NAME text --exist-ok", "create NAME --size 4K --exist-ok", "create NAME --from-hex 00ff --exist-ok",
        "create NAME2 --input INPUT", "create NAME2 --file FILE --size 0x1000", "create NAME2 --sddl D:(A;;GA;;;WD)",
        "create NAME2 text --encoding utf-8", "read NAME", "read NAME --hex --offset 16 --size 1K", "read NAME --raw",
        "read NAME --struct <4sIId --offset 4", "read NAME --timeout 1", "read NAME --watch 0.1",
        "read NAME --encoding utf-8", "write NAME text", "write NAME --from-hex 00 --offset 0x10",
        "write NAME --input INPUT", "info NAME", "list", "list --all NAME*")]
    layer, reached, chance = namedmap._layer, set(), random.Random(4)
    monkeypatch.chdir(tmp_path)
    sys.stderr.reconfigure(errors="backslashreplace")  # as the real one is
    monkeypatch.setattr(namedmap, "_layer", Counting())
    monkeypatch.setattr(namedmap, "_hold_until_told", lambda announcement, seconds: namedmap._print(announcement))
    monkeypatch.setattr(time, "sleep", interrupt)
    (tmp_path / "INPUT").write_bytes(b"input")
    statuses = []
    with contextlib.ExitStack() as stack:
        number = -1
        stack.enter_context(NamedMap.create(name, 4096)).write(b"t\0e\0x\0t\0")
        for number in range(500):
            arguments = [argument.replace("NAME", name) for argument in mutated(chance, chance.choice(valid))]
            try:
                status, out, err = run(capsys, *arguments)
            except BaseException:
                print("the arguments were", arguments)
                raise
            statuses.append(status)
            assert "Traceback" not in err, arguments
            if status == 0:
                assert err == "", arguments
            elif status == 1:
                assert re.fullmatch(r"namedmap: .+\n", err), (arguments, err)
            else:
                assert status == 2 and "usage: python -m namedmap" in err, (arguments, err)
    assert len(reached - {-1}) >= 200
    assert statuses.count(2) >= 50
    assert statuses.count(0) >= 50 and statuses.count(1) >= 50


# ---------------------------------------------------------------- the README

def readme_section(title):
    with open(os.path.join(HERE, "README.rst"), encoding="utf-8") as file:
        parts = re.split(r"^(.+)\n[=-]{3,}\n", file.read(), flags=re.M)  # text, title, text, title, text...
    return parts[parts.index(title) + 1]


def readme_blocks(title):
    """What is indented by four spaces in a section, without them."""
    return [re.sub("(?m)^    ", "", block).strip("\n")
            for block in re.findall("(?:^(?:    .*)?\n)+", readme_section(title), re.M) if block.strip()]


@pytest.fixture
def typed(name, start):
    """A function that gives the commands of a section of the README: what starts each, and the lines that it prints.

    The name demo is replaced, because other tests may run at the same time.
    """
    def starting(command):
        program, *arguments = shlex.split(command)
        assert program == "python"
        return lambda: start(sys.executable, *arguments)

    def typed(title):
        found = []
        for block in readme_blocks(title):
            if block.startswith("$ "):
                for line in re.sub(r"\bdemo\b", without_prefix(name), block).split("\n"):
                    if line.startswith("$ "):
                        found.append((starting(line[2:]), []))
                    else:
                        found[-1][1].append(line)
        return found
    return typed


def without_prefix(name):
    return name.split("\\")[1].replace(" ", "_")


def test_the_commands_that_the_readme_begins_with(typed):
    (create, created), (read, message), (read_again, error) = typed("namedmap")
    process = create()
    assert [process.line()] == created
    assert read().end() == (0, message, "")
    process.enter()
    assert process.end() == (0, [], "")
    assert read_again().end() == (1, [], error[0] + "\n")


def test_the_commands_that_look_at_the_first_example(typed):
    process = typed("namedmap")[0][0]()
    process.line()
    (list_, listed), (info, facts), (dump, octets) = typed("The command line")
    status, lines, _ = list_().end()
    assert status == 0 and len(listed) == 1 and listed[0] in lines  # there may be other memory
    assert info().end() == (0, facts, "")
    assert dump().end() == (0, octets, "")


def test_the_python_that_the_readme_begins_with(name, start):
    writer, reader = (code.replace("demo", without_prefix(name)) for code in readme_blocks("namedmap")[-2:])
    process = start(sys.executable, "-c", writer)
    with NamedMap.open(without_prefix(name), timeout=60) as m:
        eventually(lambda: m[:5] == b"hello")
    assert start(sys.executable, "-c", reader).end() == (0, ["b'hello'"], "")
    process.enter()
    assert process.end() == (0, ["Enter ends it "], "")


def test_the_python_that_takes_turns(name, python):
    code = readme_blocks("Coordination")[-1].replace("demo", without_prefix(name))
    with NamedMap.create(without_prefix(name), 256) as m, \
            Event.create(without_prefix(name) + " changed", manual_reset=False) as changed:
        for _ in range(2):
            assert python(code).end() == (0, [], "")
            assert changed.wait(0) and not changed.wait(0)
        assert m[0] == 1


def test_the_structure_in_the_readme(name, python):
    code = readme_blocks("Talking to a C or C++ program")[1].replace("Local\\demo", name)
    with NamedMap.create(name, 100) as m:
        m.write(struct.pack("<Bxxxd64s", 7, 1.5, "N\u00fcrburgring".encode("utf-16-le")))
        code += ("\n    track = bytes(telemetry.track).decode('utf-16-le').split('\\0')[0]\n"
                 "    print(telemetry.version, telemetry.time, track)\n")
        assert python(code).end() == (0, ["7 1.5 N\u00fcrburgring"], "")


def test_the_readme_tells_of_all_that_is_public():
    code = " ".join(re.findall("``(.*?)``", readme_section("The API"), re.S))
    for public in namedmap.__all__:
        for attribute in (public, *dir(getattr(namedmap, public))):
            if not attribute.startswith("_"):
                assert re.search(rf"\b{attribute}\b", code), attribute


def test_the_readme_tells_the_version():
    assert f"version {namedmap.__version__}, " in readme_section("namedmap")
    assert readme_blocks("Get it")[-1].endswith(f"\nnamedmap {namedmap.__version__}")


def test_the_readme_quotes_the_errors(name, tmp_path):
    def stored():
        with NamedMap.open(name, access="r") as m:
            m[0] = 1

    def closed():
        with NamedMap.open(name) as m:
            pass
        m[0] = 1

    with open(namedmap.__file__, encoding="utf-8") as file:
        source = re.sub(r'"\n\s*"', "", file.read()).replace("\\\\", "\\")
    (tmp_path / "empty").touch()
    provoked = {
        "nothing has this name now": lambda: NamedMap.open(name + "!"),
        "the name is taken": lambda: NamedMap.create(name, 1),
        "objects of different kinds cannot have the same name": lambda: Mutex.open(name),
        "and 8192 were asked for": lambda: NamedMap.open(name, 8192),
        "the file is empty": lambda: NamedMap.create(None, file=tmp_path / "empty"),
        "cannot modify read-only memory": stored,
        "this thread does not hold Mutex": Mutex.create().release,
        "is closed": closed}
    quotes = re.findall(r"\* - (\w+): ``(.*)``$", readme_section("Errors and what to do"), re.M)
    assert set(provoked) < {quote for _, quote in quotes}
    with NamedMap.create(name, 4096):
        for kind, quote in quotes:
            if quote in provoked:
                with pytest.raises((OSError, RuntimeError, TypeError, ValueError), match=re.escape(quote)) as caught:
                    provoked[quote]()
                assert caught.type.__name__ == kind
            else:  # no test can provoke these everywhere
                assert quote in source


def test_the_examples_are_short_and_in_both_lists():
    with open(os.path.join(HERE, "examples", "README.rst"), encoding="utf-8") as file:
        index = file.read()
    for folder, _, files in os.walk(os.path.join(HERE, "examples")):
        for path in (os.path.join(folder, each) for each in files if each.endswith((".py", ".c"))):
            short = os.path.relpath(path, os.path.join(HERE, "examples")).replace(os.sep, "/")
            assert f"<{short}>`__" in index and f"<examples/{short}>`__" in readme_section("Examples")
            with open(path, encoding="utf-8") as file:
                assert len(file.readlines()) <= 70 or short == "benchmark.py", short


# ---------------------------------------------------------------- examples and C

@pytest.fixture(scope="session")
def peer(tmp_path_factory):
    """The other side in C."""
    if os.environ.get("NAMEDMAP_PEER"):
        return os.environ["NAMEDMAP_PEER"]
    compiler = shutil.which("gcc")
    if not compiler:
        pytest.skip("no gcc for examples/peer.c, and NAMEDMAP_PEER names no compiled one")
    program = str(tmp_path_factory.mktemp("peer") / "peer.exe")
    subprocess.run([compiler, "-municode", "-o", program, os.path.join(HERE, "examples", "peer.c")], check=True)
    return program


@windows
def test_c_writes_and_namedmap_reads(name, peer, start, capsys):
    process = start(peer, "write", name, "Message from C \u00fc.")
    assert process.line() == "ready"
    assert run(capsys, "read", name) == (0, "Message from C \u00fc.\n", "")
    with NamedMap.open(name, 256) as m:
        assert m.read().decode("utf-16-le").rstrip("\0") == "Message from C \u00fc."
    process.enter()
    assert process.end()[0] == 0
    assert run(capsys, "read", name)[0] == 1


@windows
def test_namedmap_writes_and_c_reads(name, peer, start):
    with NamedMap.create(name, 256) as m:
        m.write("Message from Python \u65e5\u672c.\0".encode("utf-16-le"))
        assert start(peer, "read", name).end() == (0, ["Message from Python \u65e5\u672c."], "")
    status, _, err = start(peer, "read", name).end()
    assert (status, err) == (1, "OpenFileMapping failed: error 2\n")


@windows
def test_programs_of_the_other_word_size(name, start):
    other = os.environ.get("NAMEDMAP_OTHER_PYTHON")
    if not other:
        pytest.skip("NAMEDMAP_OTHER_PYTHON names no Windows Python with pointers of another size than these")
    size = start(other, "-c", "import ctypes; print(ctypes.sizeof(ctypes.c_void_p))").end()[1]
    assert size == [str(12 - ctypes.sizeof(ctypes.c_void_p))]
    for publisher, reader in ((other, sys.executable), (sys.executable, other)):
        process = start(publisher, os.path.join(HERE, "examples", "struct_publisher.py"), name)
        assert process.line() == f"{name} holds the telemetry; Enter ends this process."
        assert start(reader, os.path.join(HERE, "examples", "struct_reader.py"), name).end() == (
            0, ["N\u00fcrburgring: gear 4, 187.25 km/h at 12.5 s (packet 1)"], "")
        process.enter()
        assert process.end() == (0, [], "")
    process = start(other, "-c", CHILD_THAT_IS_GIVEN, "")
    with NamedMap.create(None, 5000) as m:
        m[:5] = b"hello"
        give(m, process)
        assert process.line() == "8192 rw None False hello"
        assert m[:5] == b"child"


@pytest.fixture
def example(start):
    """Starts one of the examples."""
    return lambda name, *arguments: start(sys.executable, os.path.join(HERE, "examples", name), *arguments)


def test_first_and_second_process(name, example):
    first = example("first_process.py", name)
    assert first.line() == f"{name} holds the message; Enter ends this process."
    assert example("second_process.py", name).end() == (0, ["Message from first process."], "")
    first.enter()
    assert first.end() == (0, [], "")
    status, out, err = example("second_process.py", name).end()
    assert (status, out) == (1, []) and err.startswith("Could not open the memory: ")


def test_file_backed(name, example, tmp_path):
    for number in (1, 2):
        process = example("file_backed.py", str(tmp_path / "runs.dat"), name)
        assert process.line() == f"start number {number}; Enter ends this process."
        with NamedMap.open(name, access="r") as m:
            assert m[:] == bytes([number]) + bytes(7)
        process.enter()
        assert process.end() == (0, [], "")
    assert (tmp_path / "runs.dat").read_bytes() == b"\2" + bytes(7)


def test_inherit_handle(example):
    if ON_WINDOWS:
        assert example("inherit_handle.py").end() == (0, ["the child answers: 42"], "")
    else:
        status, out, err = example("inherit_handle.py").end()
        assert (status, out) == (1, []) and err.startswith("Could not create the memory: a handle that child processes")


def test_struct_publisher_and_reader(name, example):
    reader = example("struct_reader.py", name)
    publisher = example("struct_publisher.py", name)
    assert reader.end() == (0, ["N\u00fcrburgring: gear 4, 187.25 km/h at 12.5 s (packet 1)"], "")
    publisher.enter()
    assert publisher.end() == (0, [f"{name} holds the telemetry; Enter ends this process."], "")


@windows
def test_c_publishes_a_structure(name, peer, start, example):
    process = start(peer, "publish", name)
    assert process.line() == "ready"
    assert example("struct_reader.py", name).end() == (0, ["Suzuka: gear -1, 99.5 km/h at 0.25 s (packet 7)"], "")


def test_numpy_frames(name, example):
    pytest.importorskip("numpy")
    consumer, producer = example("numpy_frames.py", "consume", name), example("numpy_frames.py", "produce", name)
    assert consumer.end() == (0, [f"frame {number}: brightness {10 * number}" for number in range(1, 11)], "")
    assert producer.end() == (0, [f"{name} is ready"], "")


def test_locked_counter(name, example):
    status, lines, err = example("locked_counter.py", name).end(120)
    assert (status, err) == (0, "")
    assert lines[0] == "with the mutex:     4 processes x 5000 increments = 20000, lost 0"
    total, lost = re.fullmatch(r"without the mutex:  4 processes x 5000 increments = (\d+), lost (\d+)",
                               lines[1]).groups()
    assert int(total) + int(lost) == 20000 and int(lost) > 0


def test_latest_value(name, example):
    writer = example("latest_value.py", "write", name)
    assert writer.line() == f"{name} holds the latest position; Enter ends this process."
    readers = [example("latest_value.py", "read", name) for _ in range(2)]
    for reader in readers:
        status, lines, err = reader.end()
        assert (status, len(lines), err) == (0, 10, "")
        positions = [re.fullmatch(r"x=(\d+) y=(\d+) z=(\d+) \(looked again \d+ times\)", line).groups()
                     for line in lines]
        assert all((int(y), int(z)) == (2 * int(x), 3 * int(x)) for x, y, z in positions)
        assert positions[-1] != positions[0]
    writer.enter()
    assert writer.end() == (0, [], "")


@windows
def test_debug_monitor(example, python):
    monitor = example("debug_monitor.py")
    assert monitor.line() == "Ctrl+C ends this monitor."
    writer = python("import ctypes, os\n"
                    "for number in range(3):\n"
                    "    ctypes.WinDLL('kernel32').OutputDebugStringW(f'message {number} \u00fc\\r\\n')\n"
                    "print(os.getpid())\n")
    process_id = writer.line()
    assert writer.end() == (0, [], "")
    expected = [f"[{process_id}] message {number} \u00fc" for number in range(3)]
    while expected:  # other programs may write, too
        line = monitor.line()
        if line.startswith(f"[{process_id}]"):
            assert line == expected.pop(0)
    second = example("debug_monitor.py").end()
    assert second[:2] == (1, []) and second[2].startswith("Another monitor is running: ")


def test_examples_say_what_they_lack(example, start):
    code = ("import runpy, sys; sys.modules['numpy'] = None; sys.argv = ['', 'produce']; "
            "runpy.run_path('examples/numpy_frames.py', run_name='__main__')")
    assert start(sys.executable, "-c", code).end() == (
        1, [], "This example needs numpy: python -m pip install numpy\n")
    status, _, err = example("file_backed.py").end()
    assert status == 1 and "runs.dat" in err
    if not ON_WINDOWS:
        assert example("debug_monitor.py").end() == (
            1, [], "This example needs Windows: other systems have no OutputDebugString.\n")


def test_the_benchmark(example):
    status, lines, error = example("benchmark.py", "1").end(timeout=300)
    assert (status, error) == (0, "")
    assert lines[0].startswith(f"namedmap {namedmap.__version__}, Python ") and lines[0].endswith("medians of 1 rounds")
    rows = [re.fullmatch(r"(.{44}) *\d+\.\d (?:ns|us|ms|s ) {2,}(\d+\.\d\d).*", line) for line in lines[2:]]
    assert all(rows), lines
    whats = [row.group(1).strip() for row in rows]
    assert len(whats) == len(set(whats)) == 28 and all(float(row.group(2)) > 0 for row in rows)
    assert whats[0] == "import" and whats[-1] == "Mutex: acquire(), release()"
