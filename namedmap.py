# SPDX-License-Identifier: MIT
#
# Copyright (c) 2026 the namedmap authors
#
# Permission is hereby granted, free of charge, to any person obtaining a copy
# of this software and associated documentation files (the "Software"), to deal
# in the Software without restriction, including without limitation the rights
# to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
# copies of the Software, and to permit persons to whom the Software is
# furnished to do so, subject to the following conditions:
#
# The above copyright notice and this permission notice shall be included in all
# copies or substantial portions of the Software.
#
# THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
# IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
# FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
# AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
# LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
# OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
# SOFTWARE.
r"""Named shared memory of Windows, and what coordinates it: file mapping objects, mutexes, events and semaphores.

Linux and macOS have the same objects from this module, with the same lifetime.

One process makes memory under a name and writes to it:

    import namedmap

    with namedmap.NamedMap.create(r"Local\demo", 256) as m:
        m.write("Message from first process.\0".encode("utf-16-le"))
        input("Enter ends it ")

Another one, in any language, opens it by that name and reads it:

    with namedmap.NamedMap.open(r"Local\demo", access="r") as m:
        print(m.read().decode("utf-16-le").split("\0")[0])

Names.  A name belongs to the session of the user who is logged on, with or
without the prefix ``Local\``; with ``Global\`` it is seen in all sessions, and
creating memory there (not opening it) needs the privilege
SeCreateGlobalPrivilege, which services and elevated programs have.  Prefixes
and names are case-sensitive.  File mapping objects, mutexes, events,
semaphores, timers and jobs share one namespace.

Size.  Windows rounds memory up to whole pages (4096 bytes) and does not keep
the size that was asked for, so that open() without ``size=`` tells the rounded one.

Lifetime.  An object and its name live as long as somebody has it open: when the
last process closes it, or dies, both are gone, and nothing is left behind.
Closing never pulls memory from under a reader: ``close()`` gives up the handle
at once, while buffers, slices, numpy arrays and ctypes overlays that were
borrowed stay valid, and the memory is unmapped after the last of them.

Files.  ``create(name, file=path)`` maps a file instead of the paging file: what
is written stays, and ``flush()`` waits until it is on the disk.

Other processes.  The name is not the only way: a child process can inherit the
handle (``inheritable=True``), any process can be given one (``duplicate()``),
and ``NamedMap.from_handle()`` takes it there.  What has a name can be pickled,
and so passed to multiprocessing.  For other users, and for sandboxed processes,
``create()`` takes a security descriptor (``sddl=``).

Coordination.  Reading and writing the memory locks nothing.  Processes that
write the same bytes can take turns with a Mutex, wake each other with an Event,
and count with a Semaphore; these are made, opened, passed on and closed like
memory, and need names of their own:

    mutex = namedmap.Mutex.create(r"Local\demo mutex", exist_ok=True)
    with mutex:
        m[0] += 1

If a process dies while it holds the mutex, the next of those who have it open
gets it, and ``mutex.abandoned`` tells that the data may be half written.

Linux and macOS.  There the objects are files in /dev/shm, or else /tmp, in a
directory that only the user may use.  They, too, are gone when the last process
that has them open closes them or dies, however it dies; a forked child has open
what its parent has, and holds no mutex.  ``Local\`` and ``Global\`` are two
namespaces of the same user: nothing is shared between users, or with programs
that do not use this module.  A semaphore counts to 4096 at most.  Handles are
not for other libraries, and what needs Windows raises NotImplementedError:
``sddl``, ``inheritable``, ``address``, ``duplicate()`` and ``from_handle()``.
Each object has two or three file descriptors; where none is free, what needs
one raises OSError.  In a signal handler that has interrupted this module while
it made, opened or closed an object, create() and open() raise RuntimeError, and
acquire() does in one that has interrupted acquire() or release() of a mutex.

On the command line, ``python -m namedmap create NAME TEXT`` and
``python -m namedmap read NAME`` show whether two processes see the same memory;
``write`` changes it, ``list`` shows which memory there is, and ``info`` what has
a name; ``--help`` tells the rest.
"""
from __future__ import annotations

import codecs
import ctypes
import errno
import io
import os
import stat
import sys
import threading
import time
import weakref
from ctypes import c_int, c_long, c_size_t as SIZE_T
from ctypes.wintypes import (
    BOOL, BOOLEAN, BYTE, DWORD, HANDLE, LARGE_INTEGER, LONG, LPCVOID, LPCWSTR, LPVOID, ULONG, USHORT, WORD)
from math import ceil
from operator import index

TYPE_CHECKING = False  # typing is not imported at run time
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from struct import Struct
    from typing import (
        IO, Any, Callable, Dict, Iterable, Iterator, List, NoReturn, Optional, Set, Tuple, Type, TypeVar, Union,
        overload)

    Buffer = Any  # whatever memoryview() accepts: bytes, bytearray, array.array, numpy.ndarray...
    File = Any  # a path (str, bytes or os.PathLike) or an open file
    if sys.platform == "win32":
        Layer = Union["_Windows"]
    else:
        Layer = Union["_Windows", "_Posix"]
    CData = TypeVar("CData")  # a Structure, Union, array or simple type of ctypes
    Closable = TypeVar("Closable", bound="_Closable")
    Object = TypeVar("Object", bound="_Object")
    Waitable = TypeVar("Waitable", bound="_Waitable")
    Lock = TypeVar("Lock", bound="_Lock")

__all__ = ["NamedMap", "View", "Mutex", "Event", "Semaphore"]
__version__ = "0.1.0"


# ---------------------------------------------------------------- arguments and errors

_MAX_NAME = 259  # UTF-16 units: MAX_PATH without its NUL, which every Windows function accepts
_MAX_SIZE = 2 ** 63 - 1  # bytes: CreateFileMapping takes two DWORDs, and the kernel a signed number
_MAX_COUNT = 2 ** 31 - 1  # of a semaphore: a LONG

# The kinds of objects that share one namespace: what the kernel of Windows calls them, and what they are called here.
_KINDS = {
    "Event": "event", "Job": "job", "Mutant": "mutex", "Section": "file mapping object", "Semaphore": "semaphore",
    "Timer": "timer",
}

# For each access, what a view may ask of a map that has it.
_NARROWER = {"r": ("r", "c"), "rw": ("rw", "r", "c"), "c": ("c", "r")}


def _utf16(name: str) -> bytes:
    """The UTF-16 units of a name, which may have lone surrogates.

    str.encode() would import the codec when it is first used; a process forked in the middle of that waits for ever.
    """
    return codecs.utf_16_le_encode(name, "surrogatepass")[0]


def _check_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, not {type(name).__name__}")
    prefix, backslash, rest = name.rpartition("\\")
    if backslash and prefix not in ("Local", "Global"):
        raise ValueError(f"a backslash may only follow the prefix Local or Global, spelled like that: {name!r}")
    if not rest or name in ("Local", "Global", "Session"):
        raise ValueError(f"a name must not be empty or only a prefix: {name!r}")
    if "\0" in name:
        raise ValueError(f"a name must not contain NUL, where Windows would end it: {name!r}")
    units = len(_utf16(name)) // 2
    if units > _MAX_NAME:
        raise ValueError(f"a name must have at most {_MAX_NAME} UTF-16 units, its prefix included; this has {units}")
    return name


def _check_number(what: str, number: int, lowest: int, highest: int, range_text: str) -> int:
    try:
        number = index(number)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(number).__name__}") from None
    if not lowest <= number <= highest:
        raise ValueError(f"{what} must be {range_text}, not {number}")
    return number


def _check_size(size: int) -> int:
    return _check_number("a size", size, 1, _MAX_SIZE, "1 to 2**63-1 bytes")


def _check_count(what: str, count: int) -> int:
    return _check_number(what, count, 1, _MAX_COUNT, "1 to 2**31-1")


def _check_access(access: str) -> str:
    if not isinstance(access, str):
        raise TypeError(f"access must be a str, not {type(access).__name__}")
    if access not in _NARROWER:
        raise ValueError(f'access must be "r" (read), "rw" (read and write) or "c" (copy-on-write), not {access!r}')
    return access


def _check_timeout(timeout: Optional[float]) -> Optional[float]:
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout must be a number of seconds or None, not {type(timeout).__name__}")
    if not 0 <= timeout <= threading.TIMEOUT_MAX:  # false for NaN, too
        raise ValueError(f"a timeout must be 0 to {threading.TIMEOUT_MAX:.0f} seconds, or None for ever, not {timeout}")
    return timeout


def _check_wait(blocking: bool, timeout: Optional[float]) -> Optional[float]:
    """The timeout of a wait, given in the two ways of threading."""
    if blocking:
        return _check_timeout(timeout)
    if timeout is not None:
        raise ValueError("blocking=False does not wait, and takes no timeout")
    return 0


def _check_backing(file: Optional[File], size: Optional[int], access: str, reserve: bool) -> None:
    if file is not None and reserve:
        raise ValueError("reserve=True is for memory in the paging file, not for a file")
    if file is None and size is None:
        raise ValueError("create needs a size in bytes, or a file")
    if file is None and access != "rw":
        raise ValueError(f'memory in the paging file is made with access="rw"; open() takes {access!r}, too')


def _check_sddl(sddl: Optional[str]) -> Optional[str]:
    if sddl is not None and not isinstance(sddl, str):
        raise TypeError(f"a security descriptor must be a str in SDDL, not {type(sddl).__name__}")
    if sddl is not None and (not sddl or "\0" in sddl):
        raise ValueError(f"a security descriptor must not be empty or contain NUL: {sddl!r}")
    return sddl


def _octets(data: Buffer) -> memoryview:
    """Any bytes-like object as a memoryview of unsigned bytes."""
    try:
        view = memoryview(data)
    except TypeError:
        hint = "; encode the text first" if isinstance(data, str) else ""
        raise TypeError(f"a bytes-like object is required, not {type(data).__name__}{hint}") from None
    if not view.nbytes or not view.c_contiguous:  # cast() refuses both
        view = memoryview(view.tobytes())
    return view.cast("B")


# winerror.h
ERROR_INVALID_FUNCTION = 1
ERROR_FILE_NOT_FOUND = 2
ERROR_PATH_NOT_FOUND = 3
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_NOT_ENOUGH_MEMORY = 8
ERROR_SHARING_VIOLATION = 32
ERROR_LOCK_VIOLATION = 33
ERROR_FILE_EXISTS = 80
ERROR_INVALID_PARAMETER = 87
ERROR_DISK_FULL = 112
ERROR_ALREADY_EXISTS = 183
ERROR_NOT_OWNER = 288
ERROR_TOO_MANY_POSTS = 298
ERROR_INVALID_ADDRESS = 487
ERROR_FILE_INVALID = 1006
ERROR_NO_SYSTEM_RESOURCES = 1450
ERROR_COMMITMENT_LIMIT = 1455

_NO_MEMORY = "there is not that much memory or free address space"
_CAUSES = {
    ERROR_NOT_ENOUGH_MEMORY: _NO_MEMORY,
    ERROR_INVALID_PARAMETER: _NO_MEMORY,  # all parameters are checked before, but for how much Windows can do
    ERROR_INVALID_ADDRESS: "the address range is not free in this process",
    ERROR_NO_SYSTEM_RESOURCES: _NO_MEMORY,
    ERROR_COMMITMENT_LIMIT: "the paging file cannot hold it: ask for less, or enlarge the paging file",
}
_NAME_CAUSES = {
    **_CAUSES,
    ERROR_FILE_NOT_FOUND: "nothing has this name now: is the publisher running, and is it in Global\\ or in Local\\?",
    ERROR_ACCESS_DENIED: "access is denied by the security descriptor that its creator gave it",
    ERROR_INVALID_HANDLE: "this is the name of another kind of object",
    ERROR_ALREADY_EXISTS: "the name is taken: somebody still has it open, and a reader counts; "
                          "exist_ok=True (--exist-ok) attaches to it",
}
_HANDLE_CAUSES = {
    ERROR_ACCESS_DENIED: "this handle does not allow it, because of the security descriptor or of the process that "
                         "duplicated it",
    ERROR_INVALID_HANDLE: "the handle was closed by something other than this object",
}
_PROCESS_CAUSES = {
    **_HANDLE_CAUSES,
    ERROR_ACCESS_DENIED: "the process has ended, or may not be given handles",
}
_ERRNOS = {  # as on Windows, where Python sees to it
    ERROR_INVALID_FUNCTION: errno.EINVAL,
    ERROR_FILE_NOT_FOUND: errno.ENOENT,
    ERROR_PATH_NOT_FOUND: errno.ENOENT,
    ERROR_ACCESS_DENIED: errno.EACCES,
    ERROR_INVALID_HANDLE: errno.EBADF,
    ERROR_NOT_ENOUGH_MEMORY: errno.ENOMEM,
    ERROR_FILE_EXISTS: errno.EEXIST,
    ERROR_DISK_FULL: errno.ENOSPC,
    ERROR_ALREADY_EXISTS: errno.EEXIST,
    ERROR_FILE_INVALID: errno.EINVAL,
}
_TRY_READING = '; opening it for reading with access="r" may be allowed'
_NEEDS_PRIVILEGE = (
    "creating memory in Global\\ needs the privilege SeCreateGlobalPrivilege (opening does not): "
    "run elevated or as a service, or use Local\\"
)
_NO_ROOM = "the disk has no room for a file of that size"
_NOT_ON_DISK = "this is not a file on a disk"
_FILE_CAUSES = {
    ERROR_INVALID_FUNCTION: _NOT_ON_DISK,
    ERROR_FILE_NOT_FOUND: 'there is no such file; one is made when a size is given, with access="rw"',
    ERROR_PATH_NOT_FOUND: "there is no such folder",
    ERROR_ACCESS_DENIED: 'access to the file is denied: is it read-only (access="r" may be allowed), or a folder?',
    ERROR_INVALID_HANDLE: _NOT_ON_DISK,
    ERROR_NOT_ENOUGH_MEMORY: _NO_ROOM,
    ERROR_SHARING_VIOLATION: "the file is open elsewhere; a mapping of a path has the file for itself, "
                             "while the mapping of an open file shares it",
    ERROR_LOCK_VIOLATION: "a part of the file is locked by another program",
    ERROR_INVALID_PARAMETER: _NO_ROOM,
    ERROR_FILE_EXISTS: "somebody else has just made this file",
    ERROR_DISK_FULL: _NO_ROOM,
    ERROR_FILE_INVALID: 'the file is empty; a size makes it larger, with access="rw"',
}


def _os_error(code: int, name: Optional[str], cause: str) -> OSError:
    """The exception for a Win32 error code: of the subclass, and with the errno, that belong to it."""
    return OSError(_ERRNOS.get(code, 0), cause, name, code)  # only Windows keeps the code, and finds the errno itself


_winctypes: Any = ctypes  # for what only Windows has of it, and type checkers elsewhere do not know


def _win_error(code: int, name: Optional[str] = None, causes: Dict[int, str] = _CAUSES) -> OSError:
    return _os_error(code, name, causes.get(code) or _winctypes.FormatError(code).strip())


def _file_error(code: int, path: Optional[str] = None) -> OSError:
    return _win_error(code, path, _FILE_CAUSES)


def _name_error(code: int, name: Optional[str]) -> OSError:
    return _win_error(code, name, _NAME_CAUSES)


def _is(error: OSError, code: int) -> bool:
    """Whether an exception stands for a Win32 error code."""
    winerror = getattr(error, "winerror", None)  # missing on other systems
    return error.errno == _ERRNOS.get(code, 0) if winerror is None else winerror == code


def _other_kind(name: Optional[str], kind: str) -> OSError:
    article = "an" if kind[0] in "aeiou" else "a"
    return _os_error(ERROR_INVALID_HANDLE, name, f"this is the name of {article} {kind}, and objects of different "
                     "kinds cannot have the same name")


def _not_opened_for(access: str) -> OSError:
    return _os_error(ERROR_ACCESS_DENIED, None, f"the file was not opened for access={access!r}; the modes "
                     '"r+b" and "w+b" are for reading and writing')


def _too_large(code: int) -> OSError:
    return _os_error(code, None, _NO_MEMORY + "; map parts of a large object with view()")


def _not_owner() -> RuntimeError:
    return RuntimeError("this thread does not hold the mutex")


def _too_many(n: int) -> ValueError:
    return ValueError(f"{n} more would exceed the maximum of the semaphore")


def _blame(error: OSError, name: Any) -> OSError:
    """The exception, telling of which name or path."""
    if name is not None:  # else it would be shown as "None"
        error.filename = name
    return error


def _is_called_by(frame: Any, *names: str) -> bool:
    """Whether a frame of Python code is that of a function with one of the names, or was called by one."""
    while frame is not None and frame.f_code.co_name not in names:
        frame = frame.f_back
    return frame is not None


# ---------------------------------------------------------------- Windows

# memoryapi.h
FILE_MAP_COPY = 0x0001
FILE_MAP_WRITE = 0x0002
FILE_MAP_READ = 0x0004
# winnt.h
SYNCHRONIZE = 0x00100000
READ_CONTROL = 0x00020000
EVENT_MODIFY_STATE = 0x0002
SEMAPHORE_MODIFY_STATE = 0x0002
PAGE_READONLY = 0x02
PAGE_READWRITE = 0x04
PAGE_WRITECOPY = 0x08
MEM_COMMIT = 0x1000
MEM_RESERVE = 0x2000
SEC_FILE = 0x800000
SEC_RESERVE = 0x4000000
SEC_COMMIT = 0x8000000
SECTION_QUERY = 0x0001
FILE_READ_DATA = 0x0001
FILE_WRITE_DATA = 0x0002
FILE_ATTRIBUTE_NORMAL = 0x80
GENERIC_READ = 0x80000000
GENERIC_WRITE = 0x40000000
PROCESS_DUP_HANDLE = 0x0040
DUPLICATE_SAME_ACCESS = 0x2
DELETE = 0x10000
# winbase.h
WAIT_OBJECT_0 = 0x00
WAIT_ABANDONED = 0x80
WAIT_TIMEOUT = 0x102
WAIT_FAILED = 0xFFFFFFFF
# fileapi.h
CREATE_NEW = 1
OPEN_EXISTING = 3
# minwinbase.h: FILE_INFO_BY_HANDLE_CLASS
FileDispositionInfo = 4
FileEndOfFileInfo = 6
# sddl.h
SDDL_REVISION_1 = 1
# handleapi.h; not -1, which never equals what ctypes returns for it
INVALID_HANDLE_VALUE = HANDLE(-1).value
# ntstatus.h
STATUS_NO_MORE_ENTRIES = 0x8000001A
# ntdll: access rights, EVENT_INFORMATION_CLASS, EVENT_TYPE, SECTION_INFORMATION_CLASS and OBJECT_INFORMATION_CLASS
DIRECTORY_QUERY = 0x0001
EVENT_QUERY_STATE = 0x0001
EventBasicInformation = 0
SynchronizationEvent = 1
SectionBasicInformation = 0
ObjectBasicInformation = 0
ObjectTypeInformation = 2

_PAUSES = tuple(0.001 * 2 ** attempt for attempt in range(9))  # seconds before what others hold is tried again


def _pauses(longest: float) -> Iterator[float]:
    """Seconds before something is tried again, for ever: 0.001, and each time twice that, up to the longest."""
    pause = 0.001
    while True:
        yield pause
        pause = min(2 * pause, longest)


_PAGE = 4096  # bytes: SYSTEM_INFO.dwPageSize of every Windows that runs Python
_PASSES = 5  # through a directory of the kernel, until one finds nothing new

# For each access: the protection of an object's pages, what is asked of an object when it is opened and of a view
# when it is mapped, and of a file.
_PROTECTION = {"r": PAGE_READONLY, "rw": PAGE_READWRITE, "c": PAGE_WRITECOPY}
_OPEN_RIGHTS = {"r": FILE_MAP_READ, "rw": FILE_MAP_READ | FILE_MAP_WRITE, "c": FILE_MAP_READ}
_VIEW_RIGHTS = {"r": FILE_MAP_READ, "rw": FILE_MAP_READ | FILE_MAP_WRITE, "c": FILE_MAP_COPY}
_FILE_RIGHTS = {"r": GENERIC_READ, "rw": GENERIC_READ | GENERIC_WRITE, "c": GENERIC_READ}

# What is asked of the other objects, one after the other, because a security descriptor may allow only a part of it. A
# mutex needs no more: whoever holds it may release it.
_MUTEX_RIGHTS = (SYNCHRONIZE,)
_EVENT_RIGHTS = (SYNCHRONIZE | EVENT_MODIFY_STATE | EVENT_QUERY_STATE, SYNCHRONIZE | EVENT_MODIFY_STATE,
                 SYNCHRONIZE | EVENT_QUERY_STATE, SYNCHRONIZE, EVENT_MODIFY_STATE)
_SEMAPHORE_RIGHTS = (SYNCHRONIZE | SEMAPHORE_MODIFY_STATE, SYNCHRONIZE, SEMAPHORE_MODIFY_STATE)

# What opens an object of each kind.
_OPENERS = {
    "Event": "OpenEventW", "Job": "OpenJobObjectW", "Mutant": "OpenMutexW", "Section": "OpenFileMappingW",
    "Semaphore": "OpenSemaphoreW", "Timer": "OpenWaitableTimerW",
}


class EVENT_BASIC_INFORMATION(ctypes.Structure):
    """What NtQueryEvent tells of an event."""

    _fields_ = [("EventType", c_int), ("EventState", LONG)]


class MEMORY_BASIC_INFORMATION(ctypes.Structure):
    """What VirtualQuery tells of a run of pages."""

    _fields_ = [("BaseAddress", LPVOID), ("AllocationBase", LPVOID), ("AllocationProtect", DWORD),
                ("RegionSize", SIZE_T), ("State", DWORD), ("Protect", DWORD), ("Type", DWORD)]


class OBJECT_ATTRIBUTES(ctypes.Structure):
    """Which object a function of ntdll opens."""

    _fields_ = [("Length", ULONG), ("RootDirectory", HANDLE), ("ObjectName", LPVOID), ("Attributes", ULONG),
                ("SecurityDescriptor", LPVOID), ("SecurityQualityOfService", LPVOID)]


class OBJECT_BASIC_INFORMATION(ctypes.Structure):
    """What NtQueryObject tells of a handle."""

    _fields_ = [("Attributes", ULONG), ("GrantedAccess", ULONG), ("HandleCount", ULONG), ("PointerCount", ULONG),
                ("Reserved", ULONG * 10)]


class SECTION_BASIC_INFORMATION(ctypes.Structure):
    """What NtQuerySection tells of a file mapping object, which the kernel calls a section."""

    _fields_ = [("BaseAddress", LPVOID), ("Attributes", ULONG), ("Size", LARGE_INTEGER)]


class SECURITY_ATTRIBUTES(ctypes.Structure):
    """Who may use a new object, and whether child processes inherit the handle."""

    _fields_ = [("nLength", DWORD), ("lpSecurityDescriptor", LPVOID), ("bInheritHandle", BOOL)]


class SYSTEM_INFO(ctypes.Structure):
    """What GetSystemInfo tells of processor and address space."""

    _fields_ = [("wProcessorArchitecture", WORD), ("wReserved", WORD), ("dwPageSize", DWORD),
                ("lpMinimumApplicationAddress", LPVOID), ("lpMaximumApplicationAddress", LPVOID),
                ("dwActiveProcessorMask", SIZE_T), ("dwNumberOfProcessors", DWORD), ("dwProcessorType", DWORD),
                ("dwAllocationGranularity", DWORD), ("wProcessorLevel", WORD), ("wProcessorRevision", WORD)]


class UNICODE_STRING(ctypes.Structure):
    """A string of the kernel; its lengths are in bytes."""

    _fields_ = [("Length", USHORT), ("MaximumLength", USHORT), ("Buffer", LPVOID)]

    def __str__(self) -> str:
        return ctypes.wstring_at(self.Buffer, self.Length // 2)


class OBJECT_DIRECTORY_INFORMATION(ctypes.Structure):
    """What NtQueryDirectoryObject tells of a named object."""

    _fields_ = [("Name", UNICODE_STRING), ("TypeName", UNICODE_STRING)]


# The checks run right after the call in the same thread, so that the captured last error is that of the call: if a
# garbage collection or a signal handler calls one of these functions in between, it is restored (_transparent).

def _nonzero(causes: Dict[int, str]) -> Callable[..., Any]:
    """A check for functions that return 0 when they fail."""
    def check(result: Any, function: Any, arguments: Tuple[Any, ...]) -> Any:
        if not result:
            raise _win_error(_winctypes.get_last_error(), None, causes)
        return result
    return check


def _opened(handle: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> int:
    if not handle:  # None, not 0: ctypes turns a NULL pointer into None
        raise _name_error(_winctypes.get_last_error(), arguments[-1])
    return handle


def _created(handle: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> Tuple[int, bool]:
    return _opened(handle, function, arguments), _winctypes.get_last_error() != ERROR_ALREADY_EXISTS


def _section_created(handle: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> Tuple[int, bool]:
    code = _winctypes.get_last_error()
    if not handle and code == ERROR_ACCESS_DENIED and str(arguments[-1]).startswith("Global\\"):
        raise _os_error(code, arguments[-1], _NEEDS_PRIVILEGE)  # if nobody has the name: opening it tells
    if not handle and arguments[0] != INVALID_HANDLE_VALUE:
        raise _file_error(code)
    return _created(handle, function, arguments)


def _file_opened(handle: int, function: Any, arguments: Tuple[Any, ...]) -> int:
    if handle == INVALID_HANDLE_VALUE:  # and not NULL, as everywhere else
        raise _file_error(_winctypes.get_last_error(), arguments[0])
    return handle


def _flushed(result: int, function: Any, arguments: Tuple[Any, ...]) -> bool:
    code = _winctypes.get_last_error()
    if not result and code != ERROR_LOCK_VIOLATION:
        raise _file_error(code)
    return bool(result)


def _process_opened(handle: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> int:
    if not handle:
        code = _winctypes.get_last_error()
        cause = "no such process" if code == ERROR_INVALID_PARAMETER else _winctypes.FormatError(code).strip()
        raise _os_error(code, None, f"process id {arguments[-1]}: {cause}")
    return handle


def _mapped(base: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> int:
    if base:
        return base
    code = _winctypes.get_last_error()
    if code in (ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER) and arguments[1] & FILE_MAP_WRITE:
        # The range was checked before, so that it is the protection of the object which forbids the view.
        raise _os_error(ERROR_ACCESS_DENIED, None, "the memory was created read-only" + _TRY_READING)
    if code == ERROR_INVALID_HANDLE:
        raise _win_error(code, None, _HANDLE_CAUSES)
    raise _too_large(code) if _CAUSES.get(code) is _NO_MEMORY else _win_error(code)


def _converted(result: int, function: Any, arguments: Tuple[Any, ...]) -> int:
    if not result:
        cause = _winctypes.FormatError(_winctypes.get_last_error()).strip()
        raise ValueError(f"not a security descriptor in SDDL: {arguments[0]!r} ({cause})")
    return result


def _success(status: int, function: Any, arguments: Tuple[Any, ...]) -> int:
    if status < 0:  # an NTSTATUS: ntdll does not set the last error
        code = _win.RtlNtStatusToDosError(status)
        if code == ERROR_INVALID_HANDLE:
            raise _os_error(code, None, f"handle {arguments[0]:#x} is closed, or belongs to another process")
        raise _win_error(code, None, _HANDLE_CAUSES)
    return status


def _directory_opened(status: int, function: Any, arguments: Tuple[Any, ...]) -> int:
    if status < 0:
        raise _win_error(_win.RtlNtStatusToDosError(status))
    return status


def _entry_found(status: int, function: Any, arguments: Tuple[Any, ...]) -> bool:
    return status & 0xFFFFFFFF != STATUS_NO_MORE_ENTRIES and _success(status, function, arguments) >= 0


# Every function: its DLL, restype, argtypes and check. Sorted; a test sees to it.
_PROTOTYPES = {
    # No check: it can only fail when somebody else closed the handle, and then close() has nothing left to do.
    "CloseHandle": ("kernel32", BOOL, (HANDLE,), None),
    "ConvertStringSecurityDescriptorToSecurityDescriptorW": (
        "advapi32", BOOL, (LPCWSTR, DWORD, LPVOID, LPVOID), _converted),
    "CreateEventW": ("kernel32", HANDLE, (LPVOID, BOOL, BOOL, LPCWSTR), _created),
    "CreateFileMappingW": ("kernel32", HANDLE, (HANDLE, LPVOID, DWORD, DWORD, DWORD, LPCWSTR), _section_created),
    "CreateFileW": ("kernel32", HANDLE, (LPCWSTR, DWORD, DWORD, LPVOID, DWORD, DWORD, HANDLE), _file_opened),
    "CreateMutexW": ("kernel32", HANDLE, (LPVOID, BOOL, LPCWSTR), _created),
    "CreateSemaphoreW": ("kernel32", HANDLE, (LPVOID, LONG, LONG, LPCWSTR), _created),
    "DuplicateHandle": (
        "kernel32", BOOL, (HANDLE, HANDLE, HANDLE, LPVOID, DWORD, BOOL, DWORD), _nonzero(_PROCESS_CAUSES)),
    "FlushFileBuffers": ("kernel32", BOOL, (HANDLE,), _nonzero(_FILE_CAUSES)),
    "FlushViewOfFile": ("kernel32", BOOL, (LPCVOID, SIZE_T), _flushed),
    # No check: it returns a constant.
    "GetCurrentProcess": ("kernel32", HANDLE, (), None),
    "GetFileSizeEx": ("kernel32", BOOL, (HANDLE, LPVOID), _nonzero(_FILE_CAUSES)),
    # No check: it returns nothing.
    "GetSystemInfo": ("kernel32", None, (LPVOID,), None),
    # No check: it can only fail for what was not allocated.
    "LocalFree": ("kernel32", LPVOID, (LPVOID,), None),
    "MapViewOfFileEx": ("kernel32", LPVOID, (HANDLE, DWORD, DWORD, DWORD, SIZE_T, LPVOID), _mapped),
    "NtOpenDirectoryObject": ("ntdll", c_long, (LPVOID, DWORD, LPVOID), _directory_opened),
    "NtQueryDirectoryObject": (
        "ntdll", c_long, (HANDLE, LPVOID, ULONG, BOOLEAN, BOOLEAN, LPVOID, LPVOID), _entry_found),
    "NtQueryEvent": ("ntdll", c_long, (HANDLE, c_int, LPVOID, ULONG, LPVOID), _success),
    "NtQueryObject": ("ntdll", c_long, (HANDLE, c_int, LPVOID, ULONG, LPVOID), _success),
    "NtQuerySection": ("ntdll", c_long, (HANDLE, c_int, LPVOID, SIZE_T, LPVOID), _success),
    "OpenEventW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _opened),
    "OpenFileMappingW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _opened),
    "OpenJobObjectW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _opened),
    "OpenMutexW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _opened),
    "OpenProcess": ("kernel32", HANDLE, (DWORD, BOOL, DWORD), _process_opened),
    "OpenSemaphoreW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _opened),
    "OpenWaitableTimerW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _opened),
    "ProcessIdToSessionId": ("kernel32", BOOL, (DWORD, LPVOID), _nonzero(_CAUSES)),
    # No check of these two: as for WaitForSingleObject.
    "ReleaseMutex": ("kernel32", BOOL, (HANDLE,), None),
    "ReleaseSemaphore": ("kernel32", BOOL, (HANDLE, LONG, LPVOID), None),
    "ResetEvent": ("kernel32", BOOL, (HANDLE,), _nonzero(_HANDLE_CAUSES)),
    # No check: it translates errors and cannot fail itself.
    "RtlNtStatusToDosError": ("ntdll", ULONG, (c_long,), None),
    "SetEvent": ("kernel32", BOOL, (HANDLE,), _nonzero(_HANDLE_CAUSES)),
    "SetFileInformationByHandle": ("kernel32", BOOL, (HANDLE, c_int, LPVOID, DWORD), _nonzero(_FILE_CAUSES)),
    "UnmapViewOfFile": ("kernel32", BOOL, (LPCVOID,), _nonzero(_CAUSES)),
    "VirtualAlloc": ("kernel32", LPVOID, (LPVOID, SIZE_T, DWORD, DWORD), _nonzero(_CAUSES)),
    "VirtualQuery": ("kernel32", SIZE_T, (LPCVOID, LPVOID, SIZE_T), _nonzero(_CAUSES)),
    # No check: a signal handler may raise in it, and the result would be lost (_Windows._store_result).
    "WaitForSingleObject": ("kernel32", DWORD, (HANDLE, DWORD), None),
}
# Those that are called without any Python code around them.
_BARE = ("ReleaseMutex", "ReleaseSemaphore", "WaitForSingleObject")


def _transparent(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, leaving the captured last error as it was."""
    get, put = _winctypes.get_last_error, _winctypes.set_last_error

    def call(*arguments: Any) -> Any:
        before = get()
        try:
            return function(*arguments)
        finally:
            put(before)
    return call


class _Functions:
    """The functions of the table, each bound at its first use."""

    def __getattr__(self, name: str) -> Any:
        if sys.platform != "win32":
            raise NotImplementedError("namedmap needs Windows: this system has no file mapping objects")
        if name in ("advapi32", "kernel32", "ntdll"):
            # A private one: the prototypes of ctypes' own are shared with every other library of the process.
            value = _winctypes.WinDLL(name, use_last_error=True)
        elif name in _PROTOTYPES:
            dll, restype, argtypes, check = _PROTOTYPES[name]
            function = getattr(self, dll)[name]  # [] makes a new one, complete before another thread sees it
            function.restype, function.argtypes = restype, argtypes
            if check:
                function.errcheck = check
            value = function if name in _BARE else _transparent(function)
        else:
            raise AttributeError(name)
        setattr(self, name, value)
        return value


_win = _Functions()


class _Security:
    """SECURITY_ATTRIBUTES for a Create function; the end of the `with` block frees the descriptor."""

    def __init__(self, sddl: Optional[str], inheritable: bool) -> None:
        self._sddl, self._inheritable = sddl, inheritable
        self._descriptor = LPVOID()

    def __enter__(self) -> SECURITY_ATTRIBUTES:
        if self._sddl is not None:
            _win.ConvertStringSecurityDescriptorToSecurityDescriptorW(
                self._sddl, SDDL_REVISION_1, ctypes.byref(self._descriptor), None)
        return SECURITY_ATTRIBUTES(ctypes.sizeof(SECURITY_ATTRIBUTES), self._descriptor, self._inheritable)

    def __exit__(self, *exc_info: object) -> None:
        if self._descriptor:
            _win.LocalFree(self._descriptor)


class _Windows:
    """The system calls that everything below stands on."""

    longest_wait = 0.1  # seconds of one wait, which Windows does not end for Ctrl+C, nor for close()

    def security(self, sddl: Optional[str], inheritable: bool) -> _Security:
        return _Security(sddl, inheritable)

    def create_file_mapping(self, name: Optional[str], size: int, access: str, file: Optional[int], reserve: bool,
                            security: SECURITY_ATTRIBUTES) -> Tuple[int, bool]:
        """A handle, and whether the object is new.  One that existed keeps its size; size 0 is that of the file."""
        return self._create("CreateFileMappingW", INVALID_HANDLE_VALUE if file is None else file,
                            ctypes.byref(security), _PROTECTION[access] | (SEC_RESERVE if reserve else SEC_COMMIT),
                            size >> 32, size & 0xFFFFFFFF, name)

    def open_file_mapping(self, name: Optional[str], access: str, inheritable: bool) -> int:
        rights = _OPEN_RIGHTS[access]
        # A descriptor may grant the memory, but not its size.
        return self._open("OpenFileMappingW", (rights | SECTION_QUERY, rights), inheritable, name)

    def _create(self, function: str, *arguments: Any) -> Tuple[int, bool]:
        """A handle, and whether the object is new."""
        pair: Tuple[int, bool] = self._call_with_name(function, *arguments)
        return pair

    def _open(self, function: str, rights: Tuple[int, ...], inheritable: bool, name: Optional[str]) -> int:
        """A handle with the first of the access rights that are granted."""
        for right in rights:
            try:
                handle: int = self._call_with_name(function, right, inheritable, name)
                return handle
            except PermissionError as error:
                refusal = error
        raise refusal

    def _call_with_name(self, function: str, *arguments: Any) -> Any:
        """Call a function whose last argument is the name; if another kind of object has it, the error says which."""
        try:
            return getattr(_win, function)(*arguments)
        except OSError as error:
            name = arguments[-1]
            kind = self.kind_of_name(name) if name is not None and _is(error, ERROR_INVALID_HANDLE) else None
            if kind is None:
                raise
            raise _other_kind(name, kind) from None

    def kind_of_name(self, name: str) -> Optional[str]:
        """What has the name: "mutex", or None if nothing has it, or nothing of a known kind."""
        for kind, function in _OPENERS.items():
            try:
                self.close_handle(getattr(_win, function)(READ_CONTROL, False, name))
            except PermissionError:
                return _KINDS[kind]
            except OSError:
                continue
            return _KINDS[kind]
        return None

    def named_objects(self) -> Iterator[Tuple[str, str]]:
        """All that has a name in this session, and then in Global: the name with its prefix, and the kind."""
        session = DWORD()
        _win.ProcessIdToSessionId(os.getpid(), ctypes.byref(session))
        common = "\\BaseNamedObjects"  # and in session 0, which is that of services, there is no other
        yield from self._directory("Local\\", f"\\Sessions\\{session.value}{common}" if session.value else common)
        yield from self._directory("Global\\", common)

    def _directory(self, prefix: str, path: str) -> List[Tuple[str, str]]:
        """The names and kinds in a directory of the kernel."""
        found: Set[Tuple[str, str]] = set()
        handle = self._open_directory(path)
        try:
            # Entries are read by position, so that one is skipped if another before it vanishes meanwhile.
            for _ in range(_PASSES):
                before = len(found)
                found.update((prefix + name, _KINDS[kind])
                             for name, kind in self._directory_entries(handle) if kind in _KINDS)
                if len(found) == before:
                    break
        finally:
            self.close_handle(handle)
        return sorted(found)

    def _open_directory(self, path: str) -> int:
        buffer = ctypes.create_unicode_buffer(path)
        name = UNICODE_STRING(2 * len(path), 2 * len(path), ctypes.addressof(buffer))
        attributes = OBJECT_ATTRIBUTES(ctypes.sizeof(OBJECT_ATTRIBUTES), None, ctypes.addressof(name))
        directory = HANDLE()
        try:
            _win.NtOpenDirectoryObject(ctypes.byref(directory), DIRECTORY_QUERY, ctypes.byref(attributes))
        except OSError as error:
            raise _blame(error, path)
        return directory.value or 0

    def _directory_entries(self, handle: int) -> Iterator[Tuple[str, str]]:
        position = ULONG()
        buffer = ctypes.create_string_buffer(0x20000)  # a name may have 0xFFFC bytes
        entry = OBJECT_DIRECTORY_INFORMATION.from_buffer(buffer)
        while _win.NtQueryDirectoryObject(
                handle, buffer, ctypes.sizeof(buffer), True, False, ctypes.byref(position), None):
            yield str(entry.Name), str(entry.TypeName)

    def section_size(self, handle: int) -> int:
        """The size in bytes of a file mapping object, whole pages unless it is backed by a file."""
        try:
            return self.query_section(handle)[0]
        except PermissionError:  # opened without SECTION_QUERY
            return self._view_size(handle)

    def query_section(self, handle: int) -> Tuple[int, int]:
        """The same, and the SEC_ attributes; PermissionError if the handle does not allow it."""
        section = SECTION_BASIC_INFORMATION()
        _win.NtQuerySection(handle, SectionBasicInformation, ctypes.byref(section), ctypes.sizeof(section), None)
        return section.Size, section.Attributes

    def _view_size(self, handle: int) -> int:
        """The size that views tell: whole pages, but of a file the last one can be mapped only as far as it goes."""
        rights = FILE_MAP_READ if self.can_map(handle, "r") else FILE_MAP_WRITE  # which may be all that a handle allows
        base = _win.MapViewOfFileEx(handle, rights, 0, 0, 0, None)
        try:
            high: int = sum(region.RegionSize for region in self._regions(base, self.user_space()[1] - base))
        finally:
            _win.UnmapViewOfFile(base)
        low, size = high - _PAGE + 1, high
        while low < high:
            try:
                _win.UnmapViewOfFile(_win.MapViewOfFileEx(handle, rights, 0, 0, size, None))
                low = size
            except PermissionError:
                high = size - 1
            size = (low + high + 1) // 2
        return low

    def _regions(self, base: int, size: int) -> Iterator[MEMORY_BASIC_INFORMATION]:
        """The regions in the first `size` bytes of a view; one ends where the state or protection of pages changes."""
        address = base
        while address < base + size:
            region = MEMORY_BASIC_INFORMATION()
            _win.VirtualQuery(address, ctypes.byref(region), ctypes.sizeof(region))
            if region.AllocationBase != base:
                return
            yield region
            address += region.RegionSize

    def map_view(self, handle: int, access: str, offset: int, size: int, address: Optional[int] = None) -> int:
        """The address of a view, all of whose pages can be touched."""
        # ctypes would cut what exceeds a pointer, and Windows calls what exceeds user space a wrong parameter, as it
        # does with writing to read-only memory.
        if size >= 2 ** 30 and size > self.user_space()[1]:  # which has more than 1 GiB everywhere
            raise _too_large(ERROR_NOT_ENOUGH_MEMORY)
        base: int = _win.MapViewOfFileEx(
            handle, _VIEW_RIGHTS[access], offset >> 32, offset & 0xFFFFFFFF, size, address)
        try:
            for region in self._regions(base, size):
                if region.State == MEM_RESERVE:  # of SEC_RESERVE; in a read-only view only its own protection will do
                    _win.VirtualAlloc(region.BaseAddress, region.RegionSize, MEM_COMMIT, region.AllocationProtect)
        except BaseException:
            self.unmap_view(base, size)
            raise
        return base

    def can_map(self, handle: int, access: str) -> bool:
        """Whether a view with this access is possible, seen without committing any page."""
        try:
            _win.UnmapViewOfFile(_win.MapViewOfFileEx(handle, _VIEW_RIGHTS[access], 0, 0, 1, None))
        except PermissionError:
            return False
        return True

    def unmap_view(self, base: int, size: int) -> None:
        _win.UnmapViewOfFile(base)

    def flush_view(self, base: int, size: int) -> None:
        for pause in _PAUSES:
            if _win.FlushViewOfFile(base, size):
                return
            time.sleep(pause)  # the system is writing these pages itself, and has locked them
        if not _win.FlushViewOfFile(base, size):
            raise _file_error(ERROR_LOCK_VIOLATION)

    def user_space(self) -> Tuple[int, int]:
        """The lowest and the highest address that a view may have."""
        system = SYSTEM_INFO()
        _win.GetSystemInfo(ctypes.byref(system))
        return system.lpMinimumApplicationAddress, system.lpMaximumApplicationAddress

    def open_file(self, path: str, access: str) -> int:
        """A handle of a file that nobody else can open meanwhile."""
        handle: int = _win.CreateFileW(path, _FILE_RIGHTS[access], 0, None, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, None)
        return handle

    def create_file(self, path: str) -> int:
        """The same for a new file, which delete_file can delete."""
        handle: int = _win.CreateFileW(
            path, _FILE_RIGHTS["rw"] | DELETE, 0, None, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, None)
        return handle

    def delete_file(self, file: int) -> None:
        """Delete the file when its handle is closed, and none that has its path by then."""
        yes = BYTE(1)
        _win.SetFileInformationByHandle(file, FileDispositionInfo, ctypes.byref(yes), ctypes.sizeof(yes))

    def duplicate_file(self, descriptor: int, access: str) -> int:
        """A handle of the open file of a Python file descriptor."""
        import msvcrt
        get_osfhandle: Any = getattr(msvcrt, "get_osfhandle")  # for type checkers elsewhere
        handle = get_osfhandle(descriptor)
        needed = FILE_READ_DATA | (FILE_WRITE_DATA if access == "rw" else 0)
        if self._granted_access(handle) & needed != needed:
            raise _not_opened_for(access)
        return self._duplicate(handle, _win.GetCurrentProcess())

    def file_size(self, file: int) -> int:
        size = LARGE_INTEGER()
        _win.GetFileSizeEx(file, ctypes.byref(size))
        return size.value

    def take_back_growth(self, file: int, size: int) -> None:
        """Undo that create_file_mapping made the file larger, which Windows does even if it then refuses the name."""
        # Unlike SetEndOfFile, this leaves the file pointer alone, which duplicated handles share.
        end = LARGE_INTEGER(size)
        _win.SetFileInformationByHandle(file, FileEndOfFileInfo, ctypes.byref(end), ctypes.sizeof(end))

    def flush_file(self, file: int) -> None:
        _win.FlushFileBuffers(file)

    def create_mutex(self, name: Optional[str], security: SECURITY_ATTRIBUTES) -> Tuple[int, bool]:
        return self._create("CreateMutexW", ctypes.byref(security), False, name)

    def open_mutex(self, name: Optional[str], inheritable: bool) -> int:
        return self._open("OpenMutexW", _MUTEX_RIGHTS, inheritable, name)

    def release_mutex(self, handle: int, result: List[int]) -> None:
        """Not done as long as `result` is empty."""
        code = self._store_result(result, _win.ReleaseMutex, handle)
        if not result[0]:
            if code == ERROR_NOT_OWNER:
                raise _not_owner()
            raise _win_error(code, None, _HANDLE_CAUSES)

    def create_event(self, name: Optional[str], manual_reset: bool, initial_state: bool,
                     security: SECURITY_ATTRIBUTES) -> Tuple[int, bool]:
        return self._create("CreateEventW", ctypes.byref(security), manual_reset, initial_state, name)

    def open_event(self, name: Optional[str], inheritable: bool) -> int:
        return self._open("OpenEventW", _EVENT_RIGHTS, inheritable, name)

    def set_event(self, handle: int) -> None:
        _win.SetEvent(handle)

    def reset_event(self, handle: int) -> None:
        _win.ResetEvent(handle)

    def query_event(self, handle: int) -> Tuple[bool, bool]:
        """Whether an event resets itself, and whether it is set."""
        event = EVENT_BASIC_INFORMATION()
        _win.NtQueryEvent(handle, EventBasicInformation, ctypes.byref(event), ctypes.sizeof(event), None)
        return event.EventType == SynchronizationEvent, bool(event.EventState)

    def create_semaphore(self, name: Optional[str], value: int, maximum: int,
                         security: SECURITY_ATTRIBUTES) -> Tuple[int, bool]:
        return self._create("CreateSemaphoreW", ctypes.byref(security), value, maximum, name)

    def open_semaphore(self, name: Optional[str], inheritable: bool) -> int:
        return self._open("OpenSemaphoreW", _SEMAPHORE_RIGHTS, inheritable, name)

    def release_semaphore(self, handle: int, n: int, result: List[int]) -> int:
        """The count before.  Not done as long as `result` is empty."""
        count = LONG()
        code = self._store_result(result, _win.ReleaseSemaphore, handle, n, ctypes.byref(count))
        if not result[0]:
            if code == ERROR_TOO_MANY_POSTS:
                raise _too_many(n)
            raise _win_error(code, None, _HANDLE_CAUSES)
        return count.value

    def wait(self, handle: int, seconds: float, result: List[int]) -> None:
        """Wait for an object, for a moment, and put what came of it into `result`, one of the WAIT_ constants."""
        code = self._store_result(result, _win.WaitForSingleObject, handle, ceil(1000 * seconds))
        if result[0] == WAIT_FAILED:
            raise _win_error(code, None, _HANDLE_CAUSES)

    def _store_result(self, result: List[int], function: Any, *arguments: Any) -> int:
        """Call a bare function, put what it returns into `result`, and return the last error.

        A signal handler may raise an exception between any two steps of Python code, and then nobody would know
        whether the call has been made.  Here C code both calls the function, through map(), and stores.
        """
        before = _winctypes.get_last_error()
        try:
            result[:] = map(function, *zip(arguments))
            code: int = _winctypes.get_last_error()
            return code
        finally:
            _winctypes.set_last_error(before)  # as _transparent does

    def end_waits(self, handle: int) -> None:
        """Let the waits of other threads return; here they soon do."""

    def remember_to_fork(self, item: Any) -> None:
        """Call the _after_fork() of an object in forked processes; here there are none."""

    def handle_kind(self, handle: int) -> str:
        """What the kernel calls the kind of object that a handle belongs to, such as "Section"."""
        buffer = ctypes.create_string_buffer(1024)
        _win.NtQueryObject(handle, ObjectTypeInformation, buffer, ctypes.sizeof(buffer), None)
        return str(UNICODE_STRING.from_buffer(buffer))

    def section_access(self, handle: int) -> Optional[str]:
        """The widest access that a handle of a file mapping object has, None without any."""
        granted = self._granted_access(handle)
        return "rw" if granted & FILE_MAP_WRITE else "r" if granted & FILE_MAP_READ else None

    def _granted_access(self, handle: int) -> int:
        basic = OBJECT_BASIC_INFORMATION()
        _win.NtQueryObject(handle, ObjectBasicInformation, ctypes.byref(basic), ctypes.sizeof(basic), None)
        granted: int = basic.GrantedAccess
        return granted

    def duplicate_handle(self, handle: int, pid: int) -> int:
        process = _win.OpenProcess(PROCESS_DUP_HANDLE, False, pid)
        try:
            return self._duplicate(handle, process)
        finally:
            self.close_handle(process)

    def _duplicate(self, handle: int, process: int) -> int:
        duplicate = HANDLE()
        _win.DuplicateHandle(_win.GetCurrentProcess(), handle, process, ctypes.byref(duplicate), 0, False,
                             DUPLICATE_SAME_ACCESS)
        return duplicate.value or 0

    def close_handle(self, handle: int) -> None:
        _win.CloseHandle(handle)


_layer: Layer = _Windows()


# ---------------------------------------------------------------- POSIX

if sys.platform != "win32":
    import atexit
    import fcntl
    import select
    from ctypes import c_longlong
    from itertools import chain, count, repeat, starmap
    from termios import FIONREAD

    # sys/mman.h
    PROT_READ = 0x1
    PROT_WRITE = 0x2
    MAP_SHARED = 0x01
    MAP_PRIVATE = 0x02
    MAP_FAILED = LPVOID(-1).value
    MS_SYNC = 0x0010 if sys.platform == "darwin" else 0x0004
    # sys/fcntl.h of macOS
    F_GETPATH = 50

    _VIEW_MODES = {"r": (PROT_READ, MAP_SHARED), "rw": (PROT_READ | PROT_WRITE, MAP_SHARED),
                   "c": (PROT_READ | PROT_WRITE, MAP_PRIVATE)}
    _FILE_MODES = {"r": os.O_RDONLY, "rw": os.O_RDWR, "c": os.O_RDONLY}
    _NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
    _PIPE_SIZE = 0x10000  # bytes that a FIFO holds
    _BLOCK = 0x10000  # bytes read or written at once; a handle file has fewer
    _KEY_LENGTH = 32  # hexadecimal digits that a handle file is called by
    _MAX_TOKENS = 4096  # of a semaphore: what a FIFO holds at least
    _LOOK_AGAIN = 1.0  # seconds after which a waiter looks again whether a mutex is free
    _PARENTS = ("/dev/shm", "/tmp")  # not $TMPDIR: processes that have another one would not find each other
    _NO_PARENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EROFS)
    _NO_DIRECTORY = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP)
    _NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO)
    _SYSTEM_CAUSES = {
        errno.ENOMEM: _NO_MEMORY,
        errno.EFBIG: _NO_MEMORY,
        errno.ENOSPC: "the memory file system (/dev/shm, or else /tmp) has no room for it: ask for less, or enlarge it",
    }
    _FILE_CODES = {
        errno.ENOENT: ERROR_FILE_NOT_FOUND, errno.ENOTDIR: ERROR_PATH_NOT_FOUND, errno.EACCES: ERROR_ACCESS_DENIED,
        errno.EPERM: ERROR_ACCESS_DENIED, errno.EROFS: ERROR_ACCESS_DENIED, errno.EISDIR: ERROR_ACCESS_DENIED,
        errno.ETXTBSY: ERROR_ACCESS_DENIED, errno.EEXIST: ERROR_FILE_EXISTS, errno.ENOSPC: ERROR_DISK_FULL,
        errno.EFBIG: ERROR_DISK_FULL, errno.EDQUOT: ERROR_DISK_FULL, errno.ENODEV: ERROR_INVALID_FUNCTION,
    }

    def _system_error(code: int) -> OSError:
        return OSError(code, os.strerror(code))

    def _libc_done(result: int, function: Any, arguments: Tuple[Any, ...]) -> int:
        if result in (-1, MAP_FAILED):
            raise _system_error(ctypes.get_errno())
        return result

    # What Python lacks, or has so that memory which is only read cannot be used: restype, argtypes and check.
    _LIBC_PROTOTYPES = {
        "mmap": (LPVOID, (LPVOID, SIZE_T, c_int, c_int, c_int, c_longlong), _libc_done),
        "msync": (c_int, (LPVOID, SIZE_T, c_int), _libc_done),
        # No check: it can only fail for what was not mapped.
        "munmap": (c_int, (LPVOID, SIZE_T), None),
    }

    class _LibcFunctions:
        """The functions of the table, each bound at its first use."""

        def __getattr__(self, name: str) -> Any:
            if name not in _LIBC_PROTOTYPES:
                raise AttributeError(name)
            restype, argtypes, check = _LIBC_PROTOTYPES[name]
            # munmap() is called by __del__, perhaps between another function and its check, and keeps out of errno.
            library = ctypes.CDLL(None, use_errno=check is not None)
            # Where there is mmap64(), mmap() may have an offset of only 32 bits.
            function: Any = library["mmap64" if name == "mmap" and hasattr(library, "mmap64") else name]
            function.restype, function.argtypes = restype, argtypes
            if check:
                function.errcheck = check
            setattr(self, name, function)
            return function

    _libc = _LibcFunctions()

    def _explained(error: OSError, name: Optional[str]) -> OSError:
        """The exception with our words, of the name, instead of those of the system, of a file of this module."""
        if error.strerror != os.strerror(error.errno or 0):
            return error  # it has them already
        return OSError(error.errno, _SYSTEM_CAUSES.get(error.errno or 0, error.strerror), name)

    def _file_explained(error: OSError, path: Optional[str]) -> OSError:
        code = _FILE_CODES.get(error.errno or 0)
        if code is None or error.strerror not in ("", os.strerror(error.errno or 0)):
            return error
        return _file_error(code, path)

    class _Descriptors:
        """File descriptors; they are closed at the latest when nobody has this object any more.

        So none stays open when a signal handler raises an exception between any two steps of Python code.  Therefore
        C code both opens or closes them, through map(), and notes it.
        """

        def __init__(self) -> None:
            self.all: List[int] = []

        def open(self, path: str, flags: int) -> int:
            self.all += map(os.open, (path,), (flags | os.O_NOFOLLOW,), (0o666,))
            return self.all[-1]

        def create(self, path: str) -> int:
            """Open a new file of this module, which is for this user whatever the umask is."""
            os.fchmod(self.open(path, _NEW), 0o600)
            return self.all[-1]

        def duplicate(self, descriptor: int) -> int:
            self.all += map(os.dup, (descriptor,))
            return self.all[-1]

        # A default argument, because the globals of a module may be gone when the interpreter ends.  Unlike close(),
        # closerange() goes on if somebody else has closed one of them.
        def close(self, close_range: Callable[[int, int], None] = os.closerange) -> bool:
            """Close all; whether they were those of an object that nobody may have any more."""
            self.all[:] = filter(None, map(close_range, self.all, map((1).__add__, self.all)))
            return False

        def __del__(self) -> None:
            if getattr(self, "all", None):  # there is none if not even __init__() came to its end
                _Descriptors.close(self)

        def __enter__(self) -> _Descriptors:
            return self

        def __exit__(self, *exc_info: object) -> None:
            self.close()

    def _join(path: str, descriptors: _Descriptors) -> bool:
        """Become a holder of an object, by a lock on its handle file; False if it has none, and so is dead."""
        holder = descriptors.open(path, os.O_RDWR)
        # Nobody else makes this test now, since the directory is locked.  If somebody was killed while he made it, this
        # waits until the system has closed all his files.
        fcntl.flock(holder, fcntl.LOCK_SH)
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            fcntl.flock(holder, fcntl.LOCK_SH)  # which a system may give up before it tries the other
            return True

    def _was_last(holder: int) -> bool:
        """Give up the lock on a handle file; whether nobody else has one.

        Of several who do this at once, one is told so.  So whoever has had the lock for a moment only, to look at the
        object, has to ask: the others may have left it to him to remove the files.
        """
        # Closing is not enough: a program that another thread just starts may have a copy for a moment.  All in C code,
        # so that no interrupt can leave an exclusive lock, for which others would wait.
        try:
            list(map(fcntl.flock, repeat(holder), (fcntl.LOCK_UN, fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN)))
            return True
        except BlockingIOError:
            return False

    def _remove(path: str) -> None:
        """Remove the files of an object; the others first, so that they never exist without a handle file."""
        for victim in (path + ".data", path + ".wake", path):
            try:
                os.unlink(victim)
            except FileNotFoundError:
                pass

    def _remove_if_dead(path: str) -> None:
        with _Descriptors() as descriptors:
            try:
                if not _join(path, descriptors) or _was_last(descriptors.all[0]):
                    _remove(path)
            except FileNotFoundError:
                _remove(path)  # the data that somebody left when he deleted files by hand

    def _allocate(descriptor: int, start: int, end: int) -> None:
        """Give a part of a file its space, so that no page of it kills the process that touches it.

        What is there stays, unless the system cannot do that, for then zeros are written.
        """
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, start, end - start)
            return
        found = os.fstatvfs(descriptor)
        if end - start > found.f_bavail * found.f_frsize:  # before the disk is full of zeros
            raise _system_error(errno.ENOSPC)
        for offset in range(start, end, _BLOCK):
            os.pwrite(descriptor, bytes(min(_BLOCK, end - offset)), offset)

    def _create_fifo(path: str) -> None:
        os.mkfifo(path)
        os.chmod(path, 0o600)

    def _path_of(descriptor: int) -> str:
        """The path of an open file, without links; none that exists if the file has none."""
        try:
            if sys.platform == "darwin":
                return os.fsdecode(fcntl.fcntl(descriptor, F_GETPATH, bytes(1024)).rstrip(b"\0"))
            return os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return ""

    class _File(_Descriptors):
        """An open file of the user."""

        grown = False  # by this module

        def __init__(self, path: str = "") -> None:
            super().__init__()
            self.path = path

        def checked(self) -> _Handle:
            mode = os.fstat(self.all[0]).st_mode
            if not stat.S_ISREG(mode):
                self.close()
                raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENODEV, "")
            return _Handle(self)

    class _Holder(_Descriptors):
        """A use of an object: a descriptor with a lock on its handle file, and those that its kind needs."""

        path: str  # of the handle file
        facts: Dict[str, Any]  # what the handle file says of the object
        born: int  # after how many forks
        forks: List[int]  # its one item: how many there have been by now

        def __init__(self, kind: str, **facts: Any) -> None:
            super().__init__()
            self.facts = {"kind": kind, **facts}

        # Each kind has make(), to make its data file and use it, and attach(), to use the one of somebody else.

        def close(self, close_range: Callable[[int, int], None] = os.closerange) -> bool:
            is_last = bool(self.all)
            try:
                if self.all and self.born == self.forks[0]:  # else a forked process shares the lock
                    is_last = _was_last(self.all[0])
            except OSError:
                pass  # somebody else has closed it
            super().close(close_range)
            return is_last

        def end_waits(self) -> None:
            """Let the waits of other threads return."""

        def _after_fork(self) -> None:
            """Part from what the parent process uses alone."""

    class _Handle(int):
        """A number that keeps alive what it stands for."""

        to: Any

        def __new__(cls, to: _Descriptors) -> _Handle:
            self = super().__new__(cls, to.all[0])
            self.to = to
            return self

    class _Section(_Holder):
        """Memory: a data file, or a file of the user."""

        def __init__(self, access: str, size: int = 0, reserve: bool = False, file: Any = None) -> None:
            super().__init__("Section", size=size, access=access, reserve=reserve)
            self._access, self._file = access, file
            self.missing: Optional[OSError] = None

        def make(self, data: str) -> None:
            if self._file is not None:
                try:
                    self._make_over(self._file.to)
                except OSError as error:
                    raise _file_explained(error, None) from None
                return
            page = os.sysconf("SC_PAGE_SIZE")
            size = self.facts["size"] = -(-self.facts["size"] // page) * page
            if size > _MAX_SIZE:
                raise _system_error(errno.EFBIG)
            self.data = self.create(data)
            os.ftruncate(self.data, size)
            self.facts["reserve"] = self.facts["reserve"] and hasattr(os, "posix_fallocate")
            if not self.facts["reserve"]:
                _allocate(self.data, 0, size)

        def _make_over(self, file: _File) -> None:
            self.data = self.duplicate(file.all[0])
            found = os.fstat(self.data)
            size = self.facts["size"] = self.facts["size"] or found.st_size
            if not size:
                raise _file_error(ERROR_FILE_INVALID)
            self.facts.update(path=_path_of(self.data), device=found.st_dev, inode=found.st_ino)
            if size > found.st_size:
                # Not by ftruncate(), which would cut off what others append meanwhile; and to its full size at once,
                # by which take_back_growth() knows it again.
                file.grown = True
                _allocate(self.data, size - 1, size)
                _allocate(self.data, found.st_size, size)

        def attach(self, data: str) -> None:
            if self._access == "rw" and self.facts["access"] != "rw":
                raise _os_error(ERROR_ACCESS_DENIED, None, "the memory was created read-only")
            path = self.facts.get("path")
            if path is None:
                self.data = self.open(data, os.O_RDWR)
                return
            try:
                self.data = self.open(path, _FILE_MODES[self._access] | os.O_NONBLOCK)  # it may be a FIFO by now
                found = os.fstat(self.data)
                is_same = (found.st_dev, found.st_ino) == (self.facts["device"], self.facts["inode"])
            except PermissionError:
                raise _os_error(ERROR_ACCESS_DENIED, None, f"access to the file {path!r} behind it is denied") from None
            except OSError as error:
                if error.errno not in _NO_FILE:
                    raise
                is_same = False
            if not is_same:  # which only matters to those who go on to use it
                cause = f"the file {path!r} behind it was renamed or deleted"
                self.missing = _os_error(ERROR_FILE_NOT_FOUND, None, cause)

        def map(self, access: str, offset: int, size: int) -> int:
            if self.facts["reserve"]:
                _allocate(self.data, offset, offset + size)
            elif "path" in self.facts and os.fstat(self.data).st_size < offset + size:
                raise OSError(errno.EINVAL, "the file behind the memory has become smaller than it was")
            base: int = _libc.mmap(None, size, *_VIEW_MODES[access], self.data, offset)
            return base

    class _Pollable(_Holder):
        """What a thread can wait for: it can be read from a FIFO, or its other end is closed, when the wait is over."""

        closing = False
        read_end: int

        def __init__(self, kind: str, **facts: Any) -> None:
            super().__init__(kind, **facts)
            self._after_fork()

        def _after_fork(self) -> None:
            self._bell = _Descriptors()  # a pipe that ends the waits of this process, once there are any
            self._lock = threading.RLock()

        def is_ready(self) -> bool:
            poll = select.poll()
            poll.register(self.read_end, select.POLLIN)
            return bool(poll.poll(0))

        def sleep(self, seconds: float) -> None:
            """Wait until it is ready or being closed."""
            with self._lock:
                if not self._bell.all:
                    self._bell.all += chain.from_iterable(starmap(os.pipe, [()]))
                if self.closing:
                    return
            poll = select.poll()
            for descriptor in (self.read_end, self._bell.all[0]):
                poll.register(descriptor, select.POLLIN)
            poll.poll(ceil(1000 * seconds))

        def close(self, close_range: Callable[[int, int], None] = os.closerange) -> bool:
            is_last = super().close(close_range)
            with self._lock:  # another thread may just be about to ring it
                self._bell.close()
            return is_last

        def end_waits(self) -> None:
            with self._lock:
                if self._bell.all and not self.closing:
                    os.write(self._bell.all[1], b"\0")
                self.closing = True

    class _Fifo(_Pollable):
        """An event or a semaphore: a FIFO that has bytes in it while it is set or can be acquired."""

        def __init__(self, kind: str, tokens: int = 0, **facts: Any) -> None:
            super().__init__(kind, **facts)
            self._tokens = tokens  # at first

        def make(self, data: str) -> None:
            _create_fifo(data)
            self.read_end = self.open(data, os.O_RDONLY | os.O_NONBLOCK)
            self.write_end = self.open(data, os.O_WRONLY | os.O_NONBLOCK)
            os.write(self.write_end, bytes(self._tokens))

        def attach(self, data: str) -> None:
            # The write end first, which cannot be opened any more when the holders, and with them the bytes, are gone.
            self.write_end = self.open(data, os.O_WRONLY | os.O_NONBLOCK)
            self.read_end = self.open(data, os.O_RDONLY | os.O_NONBLOCK)

        def wait(self, seconds: float, result: List[int]) -> None:
            self._take(result)
            if seconds and result[0] == WAIT_TIMEOUT:
                self.sleep(seconds)
                self._take(result)

        def _take(self, result: List[int]) -> None:
            take = self.facts["take"]
            if not take:
                if self.is_ready():
                    result[:] = (WAIT_OBJECT_0,)
                return
            try:  # C code both reads and stores, as in _Windows._store_result
                result[:] = map({True: WAIT_OBJECT_0}.__getitem__, map(bool, map(os.read, (self.read_end,), (take,))))
            except BlockingIOError:
                pass  # it is not ready, or another waiter was faster

        def set(self) -> None:
            try:
                os.write(self.write_end, b"\0")
            except BlockingIOError:
                pass  # it is full, and so it is set

        def clear(self) -> None:
            try:
                os.read(self.read_end, _PIPE_SIZE)
            except BlockingIOError:
                pass  # it was not set

        def add(self, path: str, n: int, result: List[int]) -> int:
            """Add to the count of a semaphore, and return what it was; nobody else adds meanwhile."""
            tokens = c_int()
            fcntl.ioctl(self.read_end, FIONREAD, tokens)
            if tokens.value + n > self.facts["maximum"]:
                result[:] = (False,)
                raise _too_many(n)
            result[:] = map(os.write, (self.write_end,), (bytes(n),))
            return tokens.value

    class _Hold(_Descriptors):
        """What a thread has of a mutex: a data file that it has opened for itself, and locks.

        So the threads of a process exclude each other as processes do, and if a thread ends, its lock ends, too.  Who
        has the lock has the FIFO open for writing; when he closes it, or dies, those who wait for that are woken.  The
        only byte of the data file is 1 meanwhile, so that the next one sees that somebody has died.
        """

        def __init__(self, path: str, files: Set[Tuple[int, int]]) -> None:
            super().__init__()
            self._path, self._files = path, files
            self._alive = _Descriptors()
            self._locked: List[Any] = []  # has an item while the file is locked
            self._depth = 0  # how often it was acquired
            self._mark = b""  # what the byte was before

        def _after_fork(self) -> None:
            """Part from the parent: its open file, and with it its lock, would live on in the forked process."""
            for descriptors in (self, self._alive):
                for descriptor in descriptors.all:
                    try:  # a thread of the parent may have closed it, but not noted that, when somebody opened another
                        found = os.fstat(descriptor)
                        if (found.st_dev, found.st_ino) in self._files:
                            os.close(descriptor)
                    except OSError:
                        pass
                descriptors.all.clear()
            self._locked.clear()

        def acquire_hold(self, result: List[int]) -> None:
            """Try it.  Whatever exception a signal handler raises, `result` tells whether it was done."""
            depth = self._depth if self._locked else 0
            if self._locked and not depth and self._is_interrupted():
                raise RuntimeError("a signal handler that has interrupted acquire() or release() cannot acquire, too")
            try:
                if depth or self._lock_file():
                    self._depth = depth + 1
                    result[:] = (WAIT_ABANDONED if not depth and self._mark == b"\1" else WAIT_OBJECT_0,)
            except BaseException:
                if result[0] == WAIT_TIMEOUT:
                    self._depth = depth
                    try:
                        if not depth:
                            self._unlock(self._mark)
                    except OSError:
                        pass  # the first exception tells more
                raise

        def _is_interrupted(self) -> bool:
            return _is_called_by(sys._getframe(2), "acquire_hold", "release_hold")

        def _lock_file(self) -> bool:
            self._mark = b""
            if not self.all:
                self.open(self._path + ".data", os.O_RDWR)
            try:
                self._locked[:] = map(fcntl.flock, self.all, (fcntl.LOCK_EX | fcntl.LOCK_NB,))
            except BlockingIOError:
                return False
            self._alive.open(self._path + ".wake", os.O_WRONLY | os.O_NONBLOCK)
            self._mark = os.pread(self.all[0], 1, 0)
            os.pwrite(self.all[0], b"\1", 0)
            return True

        def _unlock(self, mark: bytes) -> None:
            if self._locked:
                try:
                    os.pwrite(self.all[0], mark, 0)
                finally:  # without its mark, the next one may take it for abandoned, but he gets it
                    self._locked[:] = filter(None, map(fcntl.flock, self.all, (fcntl.LOCK_UN,)))
            self._alive.close()

        def release_hold(self, result: List[int]) -> None:
            """Not done as long as `result` is empty; can be repeated after an exception of a signal handler."""
            depth = self._depth
            if not self._locked or not depth:
                self._alive.close()
                result[:] = (False,)
                raise _not_owner()
            try:
                if depth == 1:
                    self._unlock(b"\0")
                self._depth = depth - 1
                result[:] = (True,)
            except BaseException:
                if not result:
                    self._depth = depth
                raise

    class _Gate(threading.local):
        """What the threads of this process have of a mutex, by whatever handle."""

        def __init__(self, path: str, files: Set[Tuple[int, int]], holds: weakref.WeakSet[_Hold]) -> None:
            self.hold = _Hold(path, files)  # in each thread
            holds.add(self.hold)

    class _Mutant(_Pollable):
        """A mutex: a data file that is locked, and a FIFO that tells when it is unlocked."""

        gate: Any

        def __init__(self, layer: _Posix) -> None:
            super().__init__("Mutant")
            self._layer = layer

        def make(self, data: str) -> None:
            with _Descriptors() as new:
                os.write(new.create(data), b"\0")
            _create_fifo(self.path + ".wake")
            self.attach(data)

        def attach(self, data: str) -> None:
            self.read_end = self.open(self.path + ".wake", os.O_RDONLY | os.O_NONBLOCK)
            key, wake = ((found.st_dev, found.st_ino) for found in (os.stat(data), os.fstat(self.read_end)))
            gates, holds = self._layer.gates, self._layer.holds
            self.gate = gates.get(key) or gates.setdefault(key, _Gate(self.path, {key, wake}, holds))

        def wait(self, seconds: float, result: List[int]) -> None:
            end, pauses = time.perf_counter() + seconds, _pauses(0.02)
            while True:
                self.gate.hold.acquire_hold(result)
                left = end - time.perf_counter()
                if result[0] != WAIT_TIMEOUT or self.closing or left <= 0:
                    return
                if self.is_ready():  # its owner is just in between two steps
                    time.sleep(min(next(pauses), left))
                else:
                    # An owner who is killed in between wakes nobody, nor does one while a process that was forked when
                    # he just opened the FIFO has it open, too.
                    self.sleep(min(_LOOK_AGAIN, left))

        def close(self, close_range: Callable[[int, int], None] = os.closerange) -> bool:
            is_last = super().close(close_range)
            self.gate = None
            return is_last

    class _Posix:
        """The same calls for Linux and macOS, where nothing has a name only as long as somebody uses it.

        An object is two files in the directory of its scope, which only the user may use.  On the first, the handle
        file, every holder keeps a shared lock, which the system takes away from whoever dies.  So a handle file that
        nobody has locked is garbage, and its object does not exist.  The second has the data: it is the memory, the
        FIFO of an event or semaphore, or what is locked for a mutex, which has a FIFO, too; it has descriptors of its
        own, since a view that is still mapped would keep the lock.  It is complete before the handle file has contents.

        Whoever makes or opens an object, or removes one, has the directory locked meanwhile.  Wherever he is killed, he
        leaves nothing, or a living object, or garbage, which the next to come removes.
        """

        longest_wait = 1e6  # seconds, which poll() can count in milliseconds; Ctrl+C interrupts it

        def __init__(self) -> None:
            self._lock = threading.RLock()  # of this process, which fork() takes, too
            self.forks = [0]  # its one item: how many have led to this process
            self._ready = False
            # By device and inode of the data file: one for a mutex, whatever its handles.
            self.gates: weakref.WeakValueDictionary[Tuple[int, int], _Gate] = weakref.WeakValueDictionary()
            self.holds: weakref.WeakSet[_Hold] = weakref.WeakSet()  # of all threads
            self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()  # of all that is open
            self._forkable: weakref.WeakSet[Any] = weakref.WeakSet()  # what else parts from the parent in a fork
            self._postponed: List[str] = []  # handle files to tidy as soon as the directory is no longer locked
            self._swept: Dict[str, float] = {}  # each directory, and when, by time.monotonic()

        # ---- the directory

        def _place(self, name: Optional[str]) -> str:
            """The path of a handle file."""
            scope, _, rest = (name or "").rpartition("\\")
            directory = self._scope(scope or "Local")
            key = self._sha256(os.urandom(_KEY_LENGTH) if name is None else _utf16(rest)).hexdigest()[:_KEY_LENGTH]
            return f"{directory}/{key}"

        def _scope(self, scope: str) -> str:
            """The path of a directory."""
            self._prepare()
            for parent in _PARENTS:
                try:
                    directory = f"{parent}/namedmap-{os.geteuid()}"
                    self._own(directory)
                    return f"{directory}/{scope}"
                except OSError as error:
                    if error.errno not in _NO_PARENT:
                        raise
            raise OSError(errno.EPERM, "no directory can be made in any of " + ", ".join(_PARENTS))

        def _own(self, directory: str) -> os.stat_result:
            """Make a directory unless it is there, and refuse one that others have made or may use."""
            try:
                found = os.lstat(directory)
            except FileNotFoundError:
                try:
                    os.mkdir(directory, 0o700)
                    os.chmod(directory, 0o700)  # whatever the umask
                except FileExistsError:
                    pass  # somebody else was faster
                found = os.lstat(directory)
            if found.st_mode & ~0o7000 != stat.S_IFDIR | 0o700 or found.st_uid != os.geteuid():
                raise OSError(errno.EPERM, "this must be a directory of this user, which nobody else may use (mode "
                              "700), and is not: find out who made it, and remove it", directory)
            return found

        def _locked(self, path: str, action: Callable[..., Any], *arguments: Any) -> Any:
            """Call a function with a path while its directory is locked against other processes and threads."""
            if self._is_inside():
                raise RuntimeError("a signal handler or __del__ that has interrupted this module while it makes, opens "
                                   "or closes an object cannot make or open one")
            try:
                return self._in_locked_directory(path, action, *arguments)
            finally:
                postponed, self._postponed = self._postponed, []
                for each in postponed:
                    self._tidy(each)

        def _tidy(self, path: str) -> None:
            """Remove what is left of an object if nobody has it; later, if the directory is locked by this thread."""
            if self._is_inside():
                self._postponed.append(path)
                return
            try:
                self._locked(path, _remove_if_dead)
            except OSError:
                pass  # the directory was removed, or this process now runs for another user

        def _is_inside(self) -> bool:
            """Whether this thread has the directory locked, perhaps by another copy of this file.

            It would wait for itself.  A flag instead would stay set if a signal handler raised at a bad moment.
            """
            return _is_called_by(sys._getframe(), "_in_locked_directory")

        def _in_locked_directory(self, path: str, action: Callable[..., Any], *arguments: Any) -> Any:
            directory = path.rpartition("/")[0]
            with self._lock, _Descriptors() as lock:
                while not lock.all:
                    descriptor = self._open_directory(directory, lock)
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    if not os.path.samestat(os.fstat(descriptor), self._own(directory)):
                        lock.close()  # somebody has removed the directory meanwhile
                try:
                    return action(path, *arguments)
                finally:
                    # Closing is not enough: a program that another thread just starts may have a copy for a moment.
                    fcntl.flock(lock.all[0], fcntl.LOCK_UN)

        def _open_directory(self, directory: str, descriptors: _Descriptors) -> int:
            try:
                return descriptors.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                if error.errno not in _NO_DIRECTORY:
                    raise
            self._own(directory)  # makes it, or tells what is wrong with it
            return descriptors.open(directory, os.O_RDONLY | os.O_DIRECTORY)

        def _prepare(self) -> None:
            if self._ready:
                return
            # Before a fork there is only C code, in which no signal handler raises an exception.  What is registered
            # last comes first: the fork is counted when this process is locked, so that no object is born in between,
            # which would take itself for that of one of both processes.
            count_one = map(self.forks.__setitem__, repeat(0), count(1)).__next__
            os.register_at_fork(before=count_one)
            os.register_at_fork(before=self._lock.acquire, after_in_parent=self._lock.release,
                                after_in_child=self._lock.release)
            os.register_at_fork(after_in_child=self._after_fork)
            with self._lock:  # a process that is forked in the middle of an import could never finish it
                if self._ready:
                    return  # another thread was faster
                from hashlib import sha256
                from json import JSONDecoder, dumps
                self._sha256, self._decode, self._encode = sha256, JSONDecoder().raw_decode, dumps
                self._ready = True
                atexit.register(self._at_exit)  # once, or it would close what is still in use

        def _after_fork(self) -> None:
            """A forked child has copies of all descriptors, so that it is a holder, too, but no mutex and no waits."""
            self._postponed.clear()
            for each in (*self.holds, *self._holders, *self._forkable):
                each._after_fork()

        def _at_exit(self) -> None:
            """Remove what nobody else has.  Memory stays mapped, and threads that still run can go on waiting.

            A mutex may be held, or acquired once more: it lives until the process has ended, and the next create()
            removes its files.
            """
            with self._lock:
                holders = [holder for holder in self._holders if not isinstance(holder, _Mutant)]
                for holder in holders:
                    holder.born = -1  # so that close() does not take another descriptor for this one
                    for descriptor in holder.all[:1]:
                        os.closerange(descriptor, descriptor + 1)
                    del holder.all[:1]
            for holder in holders:
                self._tidy(holder.path)

        # ---- objects

        def _hold(self, name: Optional[str], holder: Any, new: bool) -> Tuple[int, bool]:
            """A handle, and whether the object is new."""
            try:
                created = self._locked(self._place(name), self._find_or_make, name, holder, new)
            except BaseException as error:
                if holder.close():  # and not only when the exception is forgotten
                    self._tidy(holder.path)
                if isinstance(error, OSError):
                    raise _explained(error, name) from None
                raise
            return _Handle(holder), created

        def _open(self, name: Optional[str], inheritable: bool, holder: _Holder) -> int:
            self._check_inheritable(inheritable)
            return self._hold(name, holder, False)[0]

        def _find_or_make(self, path: str, name: Optional[str], holder: Any, new: bool) -> bool:
            """Whether the object is new."""
            holder.path, holder.forks, holder.born = path, self.forks, self.forks[0]
            if new:
                self._sweep(path)
            facts = self._find(path, holder)
            found = facts is not None and self._attach(path, name, holder, facts)
            if not found:
                if not new:
                    raise _name_error(ERROR_FILE_NOT_FOUND, name)
                self._make(path, name, holder)
            self._holders.add(holder)
            return not found

        def _find(self, path: str, descriptors: _Descriptors) -> Optional[Dict[str, Any]]:
            """What is known of an object that lives, which the descriptors hold from now on; None if none does."""
            try:
                if _join(path, descriptors):
                    facts: Dict[str, Any] = self._decode(os.read(descriptors.all[0], _BLOCK).decode())[0]
                    return facts
            except FileNotFoundError:
                return None
            except ValueError:
                pass  # whoever is making it is just dying
            descriptors.close()
            _remove(path)
            return None

        def _look(self, path: str) -> Optional[Dict[str, Any]]:
            """The same, when nobody holds it from now on."""
            with _Descriptors() as descriptors:
                facts = self._find(path, descriptors)
                if facts is not None and _was_last(descriptors.all[0]):
                    _remove(path)
                    return None
                return facts

        def _attach(self, path: str, name: Optional[str], holder: Any, facts: Dict[str, Any]) -> bool:
            """Use an object; False if those who had it are just dying."""
            if facts["kind"] != holder.facts["kind"]:
                raise _other_kind(name, _KINDS[facts["kind"]])
            wanted, holder.facts = holder.facts, facts
            try:
                holder.attach(path + ".data")
            except OSError as error:
                own = (path + ".data", path + ".wake")
                if error.errno not in (errno.ENOENT, errno.ENXIO) or error.filename not in own:
                    raise
                if holder.close():
                    _remove(path)
                holder.facts = wanted
                return False
            return True

        def _make(self, path: str, name: Optional[str], holder: Any) -> None:
            _remove(path)
            holder.facts["name"] = name and name.rpartition("\\")[2]
            fcntl.flock(holder.create(path), fcntl.LOCK_SH)
            try:
                holder.make(path + ".data")
                facts = self._encode(holder.facts).encode()
                if os.write(holder.all[0], facts) < len(facts):
                    raise _system_error(errno.ENOSPC)
            except BaseException:
                try:
                    _remove(path)
                except OSError:
                    pass  # what stays is garbage; the first exception tells more
                raise

        def _sweep(self, path: str) -> None:
            """Remove what killed processes left in the same directory, at most once a second."""
            directory, now = path.rpartition("/")[0], time.monotonic()
            if now - self._swept.get(directory, now - 1) >= 1:
                self._swept[directory] = now
                for found in self._handle_files(path):
                    _remove_if_dead(found)

        def _handle_files(self, path: str) -> Set[str]:
            """Of all objects, dead or alive; what somebody else may have put there is no business of this module."""
            directory = path.rpartition("/")[0]
            stems = {entry.partition(".")[0] for entry in os.listdir(directory)}
            return {f"{directory}/{stem}" for stem in stems if len(stem) == _KEY_LENGTH}

        def _living(self, path: str) -> List[Tuple[str, str]]:
            """The names, without their prefix, and the kinds of all that lives."""
            found = []
            for each in self._handle_files(path):
                facts = self._look(each)
                if facts is not None and facts["name"] is not None:
                    found.append((facts["name"], _KINDS[facts["kind"]]))
            return sorted(found)

        def close_handle(self, handle: Any) -> None:
            if handle.to.close():
                self._tidy(handle.to.path)

        def kind_of_name(self, name: str) -> Optional[str]:
            facts = self._locked(self._place(name), self._look)
            return _KINDS[facts["kind"]] if facts else None

        def named_objects(self) -> Iterator[Tuple[str, str]]:
            for scope in ("Local", "Global"):
                for name, kind in self._locked(self._scope(scope) + "/", self._living):
                    yield f"{scope}\\{name}", kind

        # ---- what has no counterpart

        def _refuse(self, what: str) -> NoReturn:
            raise NotImplementedError(f"{what} needs Windows: this system has no counterpart of it")

        def security(self, sddl: Optional[str], inheritable: bool) -> Any:
            if sddl is not None:
                self._refuse("a security descriptor (sddl)")
            self._check_inheritable(inheritable)
            return _Descriptors()  # for the `with` statement; nothing is in it

        def _check_inheritable(self, inheritable: bool) -> None:
            if inheritable:
                self._refuse("a handle that child processes inherit (inheritable)")

        def user_space(self) -> Tuple[int, int]:
            self._refuse("a view at a given address")

        def handle_kind(self, handle: int) -> str:
            self._refuse("from_handle()")

        def section_access(self, handle: int) -> Optional[str]:
            self._refuse("from_handle()")

        def duplicate_handle(self, handle: int, pid: int) -> int:
            self._refuse("duplicate()")

        # ---- memory

        def create_file_mapping(self, name: Optional[str], size: int, access: str, file: Optional[int], reserve: bool,
                                security: Any) -> Tuple[int, bool]:
            return self._hold(name, _Section(access, size, reserve, file), True)

        def open_file_mapping(self, name: Optional[str], access: str, inheritable: bool) -> int:
            return self._open(name, inheritable, _Section(access))

        def section_size(self, handle: Any) -> int:
            if handle.to.missing:
                raise handle.to.missing
            size: int = handle.to.facts["size"]
            return size

        def query_section(self, handle: Any) -> Tuple[int, int]:
            facts = handle.to.facts
            return facts["size"], SEC_FILE if "path" in facts else SEC_RESERVE if facts["reserve"] else SEC_COMMIT

        def can_map(self, handle: Any, access: str) -> bool:
            return True  # what the creator does not allow is not even opened

        def map_view(self, handle: Any, access: str, offset: int, size: int, address: Optional[int] = None) -> int:
            if size > sys.maxsize:
                raise _too_large(ERROR_NOT_ENOUGH_MEMORY)
            try:
                base: int = handle.to.map(access, offset, size)
            except OSError as error:
                if error.errno == errno.ENOMEM:
                    raise _too_large(ERROR_NOT_ENOUGH_MEMORY) from None
                raise _explained(error, None) from None
            return base

        def unmap_view(self, base: int, size: int) -> None:
            _libc.munmap(base, size)

        def flush_view(self, base: int, size: int) -> None:
            skipped = base % os.sysconf("SC_PAGE_SIZE")  # what is flushed begins at a page
            try:
                _libc.msync(base - skipped, size + skipped, MS_SYNC)
            except OSError as error:
                raise _file_explained(error, None) from None

        # ---- files of the user

        def open_file(self, path: str, access: str) -> int:
            # Without O_NONBLOCK a FIFO would wait for its other end.
            return self._opened_file(path, _FILE_MODES[access] | os.O_NONBLOCK, ERROR_FILE_NOT_FOUND)

        def create_file(self, path: str) -> int:
            return self._opened_file(path, _NEW, ERROR_PATH_NOT_FOUND)

        def _opened_file(self, path: str, flags: int, missing: int) -> int:
            file = _File(path and os.path.realpath(path))
            try:
                file.open(file.path, flags)
                # What was just made is a file, and would stay if that could not be checked.
                return _Handle(file) if flags == _NEW else file.checked()
            except FileNotFoundError:
                raise _file_error(missing, path) from None
            except OSError as error:
                raise _file_explained(error, path) from None

        def duplicate_file(self, descriptor: int, access: str) -> int:
            file = _File()
            try:
                file.duplicate(descriptor)
                mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
                if mode != os.O_RDWR and (mode == os.O_WRONLY or access == "rw"):
                    raise _not_opened_for(access)
                return file.checked()
            except OSError as error:
                raise _file_explained(error, None) from None

        def delete_file(self, file: Any) -> None:
            """Delete a new file, and none that has its path by now or that somebody else has begun to use."""
            found = os.fstat(file.to.all[0])
            if (file.to.grown or not found.st_size) and os.path.samestat(found, os.lstat(file.to.path)):
                os.unlink(file.to.path)

        def take_back_growth(self, file: Any, size: int) -> None:
            if file.to.grown:  # and not by somebody else who wants it to have that size
                os.ftruncate(file.to.all[0], size)

        def file_size(self, file: Any) -> int:
            return os.fstat(file.to.all[0]).st_size

        def flush_file(self, file: Any) -> None:
            try:
                os.fsync(file.to.all[0])
            except OSError as error:
                raise _file_explained(error, None) from None

        # ---- what can be waited for

        def create_mutex(self, name: Optional[str], security: Any) -> Tuple[int, bool]:
            return self._hold(name, _Mutant(self), True)

        def open_mutex(self, name: Optional[str], inheritable: bool) -> int:
            return self._open(name, inheritable, _Mutant(self))

        def release_mutex(self, handle: Any, result: List[int]) -> None:
            handle.to.gate.hold.release_hold(result)

        def create_event(self, name: Optional[str], manual_reset: bool, initial_state: bool,
                         security: Any) -> Tuple[int, bool]:
            # Who waits for an event that resets itself takes all that is there.
            return self._hold(name, _Fifo("Event", int(initial_state), take=0 if manual_reset else _PIPE_SIZE), True)

        def open_event(self, name: Optional[str], inheritable: bool) -> int:
            return self._open(name, inheritable, _Fifo("Event"))

        def set_event(self, handle: Any) -> None:
            handle.to.set()

        def reset_event(self, handle: Any) -> None:
            handle.to.clear()

        def query_event(self, handle: Any) -> Tuple[bool, bool]:
            return bool(handle.to.facts["take"]), handle.to.is_ready()

        def create_semaphore(self, name: Optional[str], value: int, maximum: int, security: Any) -> Tuple[int, bool]:
            if maximum == _MAX_COUNT:  # the default, which is to say as many as possible
                maximum = _MAX_TOKENS
            if not value <= maximum <= _MAX_TOKENS:
                raise ValueError(f"a semaphore of this system counts to {_MAX_TOKENS} at most, not to "
                                 f"{max(value, maximum)}")
            return self._hold(name, _Fifo("Semaphore", value, take=1, maximum=maximum), True)

        def open_semaphore(self, name: Optional[str], inheritable: bool) -> int:
            return self._open(name, inheritable, _Fifo("Semaphore"))

        def release_semaphore(self, handle: Any, n: int, result: List[int]) -> int:
            if self._is_inside():  # a signal handler, which has to give back what it has got
                return int(handle.to.add(handle.to.path, n, result))
            count: int = self._locked(handle.to.path, handle.to.add, n, result)
            return count

        def wait(self, handle: Any, seconds: float, result: List[int]) -> None:
            handle.to.wait(seconds, result)

        def end_waits(self, handle: Any) -> None:
            handle.to.end_waits()

        def remember_to_fork(self, item: Any) -> None:
            self._forkable.add(item)

    _layer = _Posix()


# ---------------------------------------------------------------- kernel objects

_ATTEMPTS = 5  # to create or open a name that others keep making and dropping at the same time
# What creating may fail with although the name is taken, which opening tells: the security descriptor of the object
# does not grant all that creating asks for; or there is no memory for another object (see _CAUSES), which Windows makes
# before it looks at the name.
_MAY_HIDE_A_TAKEN_NAME = (ERROR_ACCESS_DENIED, ERROR_NOT_ENOUGH_MEMORY, ERROR_INVALID_PARAMETER,
                          ERROR_NO_SYSTEM_RESOURCES, ERROR_COMMITMENT_LIMIT)


class _Closing:
    """Closes a handle, once: when it is called or else when it is forgotten together with the object that has it.

    weakref.finalize would not do: it calls nothing any more once its own clean-up at exit has run.  Other clean-ups
    follow that one; and where an interpreter ends inside a process, as that of a thread or of a web server does, the
    handle would stay open until the process ends.
    """

    def __init__(self, handle: int) -> None:
        self._handles = [handle]

    @property
    def alive(self) -> bool:
        return bool(self._handles)

    def __call__(self) -> None:
        try:
            handle = self._handles.pop()
        except IndexError:
            return  # it is closed
        _layer.close_handle(handle)

    # A default argument, because the globals of a module may be gone when the interpreter ends.
    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if is_finalizing():
            return  # the system closes it, while daemon threads may still use it
        try:
            self()
        except (AttributeError, TypeError):
            # An interpreter that ends inside a process has taken globals away.  On Windows one call without them does;
            # elsewhere the descriptors close themselves, and the next create() removes the files.
            pass


def _attach(name: Optional[str], exist_ok: bool, open_it: Callable[[], int]) -> int:
    """A handle of the object that has the name; FileNotFoundError if none has."""
    try:
        handle = open_it()
    except PermissionError as error:
        if exist_ok or not _is(error, ERROR_ACCESS_DENIED):
            raise
        raise _name_error(ERROR_ALREADY_EXISTS, name) from None
    if not exist_ok:
        _layer.close_handle(handle)
        raise _name_error(ERROR_ALREADY_EXISTS, name)
    return handle


def _create_or_attach(name: Optional[str], exist_ok: bool, create: Callable[[], Tuple[int, bool]],
                      open_it: Callable[[], int]) -> Tuple[int, bool]:
    """A handle, and whether the object is new."""
    attempts = _ATTEMPTS
    while True:
        try:
            handle, created = create()
        except OSError as error:
            if name is None or not any(_is(error, code) for code in _MAY_HIDE_A_TAKEN_NAME):
                raise
            try:
                return _attach(name, exist_ok, open_it), False
            except FileNotFoundError:
                attempts -= 1
                if not attempts or not _is(error, ERROR_ACCESS_DENIED):
                    raise error from None
                continue  # it may have gone meanwhile
        if not created and not exist_ok:
            _layer.close_handle(handle)
            raise _name_error(ERROR_ALREADY_EXISTS, name)
        return handle, created


def _wait_until_there(call: Callable[[], int], timeout: Optional[float]) -> int:
    """Repeat a call until it no longer raises FileNotFoundError, for at most `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pauses = _pauses(0.05)
    while True:
        try:
            return call()
        except FileNotFoundError as error:
            if not _is(error, ERROR_FILE_NOT_FOUND):
                raise  # what is missing is not the name
            pause = next(pauses)
            if deadline is not None:
                pause = min(pause, deadline - time.monotonic())
                if pause <= 0:
                    raise
        time.sleep(pause)


def _checked_handle(handle: int, kind: str) -> int:
    """A handle from elsewhere, once it is sure that it belongs to an object of the kind."""
    handle = index(handle)
    if not 0 < handle < 2 ** (8 * ctypes.sizeof(HANDLE)):
        raise ValueError(f"no handle has the value {handle}")
    found = _layer.handle_kind(handle)
    if found != kind:
        raise _os_error(ERROR_INVALID_HANDLE, None, f"handle {handle:#x} belongs to another kind of object: {found}")
    return handle


def _slice_until(end: Optional[float]) -> float:
    """How many seconds to wait at once, until a moment of time.perf_counter(), or for ever.

    time.monotonic() goes in steps of 16 ms on Windows before Python 3.13.
    """
    left = _layer.longest_wait if end is None else max(end - time.perf_counter(), 0)
    return min(left, _layer.longest_wait)


def _reopen(cls: Any, name: str, arguments: Dict[str, Any]) -> Any:
    """What unpickling calls."""
    return cls.open(name, **arguments)


class _Closable:
    """What all objects have in common: a name, and an end."""

    _lock: threading.RLock  # against close() in another thread; a signal handler or a __del__ may close in this one
    _name: Optional[str]

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up the object."""
        raise NotImplementedError

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{type(self).__name__} {self._name!r} is closed")

    def _after_fork(self) -> None:
        """Go on in a forked process: other threads that had a lock do not exist there."""
        self._lock = threading.RLock()

    def __enter__(self: Closable) -> Closable:
        """Return the object itself; ValueError if it is closed."""
        self._check_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Call close()."""
        self.close()


class _Object(_Closable):
    """A kernel object, of which this process has a handle."""

    _handle: int
    _created: bool
    _closer: _Closing
    # Each call that just has the handle. The last of them closes it if close() was called meanwhile: a handle that is
    # closed under a call may by then have become that of another object.
    _uses: Set[object]
    _closing = False

    def __new__(cls, *args: object, **kwargs: object) -> Any:
        """Raise TypeError: create(), open() and from_handle() make objects of this class."""
        raise TypeError(f"{cls.__name__} is not called: {cls.__name__}.create() makes one, and {cls.__name__}.open() "
                        "opens one that exists")

    @classmethod
    def _wrap(cls: Type[Object], handle: int, created: bool, name: Optional[str]) -> Object:
        """An object that owns the handle."""
        self: Object = object.__new__(cls)
        self._closer = _Closing(handle)
        self._lock = threading.RLock()
        self._uses = set()
        self._handle, self._created, self._name = handle, created, name
        _layer.remember_to_fork(self)
        return self

    def _after_fork(self) -> None:
        super()._after_fork()
        self._uses = set()

    @property
    def name(self) -> Optional[str]:
        """The name as it was given; None without one."""
        return self._name

    @property
    def handle(self) -> int:
        """The HANDLE of the object, for other libraries (elsewhere a number of no use to them); close() closes it.

        Raises ValueError if the object is closed.
        """
        self._check_open()
        return self._handle

    @property
    def created(self) -> bool:
        """Whether create() made the object; False if it was there already."""
        return self._created

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closing or not self._closer.alive

    def close(self) -> None:
        """Close the handle (CloseHandle), once; this never fails.

        If nobody else has the object open, its name is gone then.  Waits in other threads end with ValueError within
        0.1 seconds, and the last of them closes the handle.
        """
        self._closing = True
        if self._uses:
            _layer.end_waits(self._handle)
        self._close_unused()

    def _close_unused(self) -> None:
        if self._closing and not self._uses:
            self._closer()

    def duplicate(self, pid: int) -> int:
        """Make a handle of this object in another process, with the id `pid` (DuplicateHandle); return its value there.

        The value has to be told to that process, which passes it to from_handle() and thereby owns it; else the object
        stays open as long as that process lives.

        Raises PermissionError if that process has ended, or may not be given handles, such as one of another user;
        OSError if there is none with this id; ValueError if `pid` cannot be one, and if the object is closed; TypeError
        if `pid` is no int; NotImplementedError on other systems than Windows.
        """
        pid = index(pid)
        if not 0 <= pid < 2 ** 32:
            raise ValueError(f"no process has the id {pid}")
        value: int = self._call(_layer.duplicate_handle, pid)
        return value

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the layer with the handle, which nobody closes meanwhile."""
        use = object()
        try:
            self._uses.add(use)  # before the check, so that close() cannot miss it
            self._check_open()
            return function(self._handle, *arguments)
        except OSError as error:
            raise _blame(error, self._name)
        finally:
            self._uses.discard(use)
            self._close_unused()

    def _arguments(self) -> Dict[str, Any]:
        """What open() needs, besides the name, for an object like this one."""
        return {}

    def __reduce__(self) -> Any:
        """Let it be opened by its name where it is unpickled; TypeError without a name, ValueError if it is closed."""
        self._check_open()
        if self._name is None:
            raise TypeError(f"a {type(self).__name__} without a name cannot be pickled: pass it on by inheritance or "
                            "duplicate()")
        return _reopen, (type(self), self._name, self._arguments())

    def _details(self) -> str:
        return ""

    def __repr__(self) -> str:
        if self.closed:
            return f"<{type(self).__name__} {self._name!r}, closed>"
        return f"<{type(self).__name__} {self._name!r}{self._details()}, handle={self._handle:#x}>"


# ---------------------------------------------------------------- memory and views

_GRANULARITY = 0x10000  # SYSTEM_INFO.dwAllocationGranularity: where a view may begin


class _Unmapper:
    """Unmaps a view after the last object that can reach its memory.

    The array over the memory holds one, and everything borrowed holds the array.  The garbage collector calls all
    finalizers (__del__ methods and weakref callbacks) of a cycle before it breaks the cycle, in no useful order: if
    this one unmapped the view then, the __del__ of another object in the cycle could still read the memory, and would
    crash the process.  So while the array lives, it only leaves another _Unmapper where it dies with the array.
    """

    def __init__(self, base: int, size: int, holder: List[Any]) -> None:
        self._base, self._size = base, size
        self._heirs: List[Any] = []
        holder += self, self._heirs  # a list gives up its last item first, so that this one dies after its heirs

    # Default arguments, because the globals of a module may be gone when the interpreter ends.
    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing,
                references: Callable[[Any], int] = sys.getrefcount) -> None:
        if is_finalizing():
            return  # the system unmaps what is left, while daemon threads may still read
        if references(self._heirs) > 2:  # this object's, the argument's, and the holder's, which lives with the array
            _Unmapper(self._base, self._size, self._heirs)
        else:
            _layer.unmap_view(self._base, self._size)


def _map_array(handle: int, access: str, offset: int, size: int, address: Optional[int] = None) -> Any:
    """A ctypes array over part of a file mapping object, which unmaps it at the end of its life."""
    skipped = offset % _GRANULARITY
    length = skipped + size
    base = _layer.map_view(handle, access, offset - skipped, length, None if address is None else address - skipped)
    holder: List[Any] = []
    _Unmapper(base, length, holder)
    array: Any = (ctypes.c_char * size).from_address(base + skipped)
    array.holder = holder
    return array


def _check_address(address: int, offset: int, size: int) -> int:
    """The address of the first byte of a view, checked here because not all systems refuse a wrong one."""
    address = index(address)
    lowest, highest = _layer.user_space()
    if not lowest <= address - offset % _GRANULARITY <= address + size - 1 <= highest:
        raise ValueError(f"{size} bytes at address {address:#x} are not inside {lowest:#x} to {highest:#x}, "
                         "which programs may use")
    if (address - offset) % _GRANULARITY:
        raise ValueError(f"address {address:#x} and offset {offset:#x} must be congruent modulo 64 KiB")
    return address


_ONE_DIMENSION = "an int or a slice is required: the memory has one dimension"


class _Memory(_Closable):
    """What views and maps have in common: mapped memory, read and written as bytes."""

    _size: int
    _access: str
    # These three exist while the memory is mapped. Whoever needs one takes it, and if it is missing asks _mapped(), so
    # that no access pays for a check, nor for a __getattr__. He asks after the `except` clause, and not in it, where
    # errors would tell of the missing attribute, too.
    _array: Any  # a ctypes array of c_char, for reading: a slice of it is bytes at once
    _bytes: memoryview  # for writing
    _buf: memoryview  # handed out, and not used here, since whoever has it may release it

    def _mapped(self, name: str) -> Any:
        """One of them, once the memory is mapped; ValueError if it is closed."""
        with self._lock:
            self._check_open()
            if not hasattr(self, name):  # another thread may have mapped it meanwhile
                self._map()
            value = getattr(self, name, None)
            if self.closed:  # by a signal handler or a __del__ in this thread
                self._forget()
                self._check_open()
            return value

    def _map(self) -> None:
        raise NotImplementedError

    def _use(self, array: Any) -> None:
        view = memoryview(array).cast("B")
        if self._access == "r":
            view = view.toreadonly()
        self._array, self._bytes, self._buf = array, view, view[:]

    def _forget(self) -> None:
        for name in ("_array", "_bytes", "_buf"):
            self.__dict__.pop(name, None)

    def _check_range(self, offset: int, size: int) -> None:
        if not 0 <= offset <= offset + size <= self._size:
            raise ValueError(f"{size} bytes at offset {offset} are not inside the memory, which has {self._size} bytes")

    @property
    def size(self) -> int:
        """The number of bytes covered."""
        return self._size

    @property
    def access(self) -> str:
        """``"r"``, ``"rw"`` or ``"c"`` (copy-on-write); ValueError if the object is closed."""
        self._check_open()
        return self._access

    @property
    def address(self) -> int:
        """The address of the first byte in this process.

        Raises ValueError if the object is closed; OSError if the memory cannot be mapped.
        """
        return ctypes.addressof(self._mapped("_array"))

    @property
    def buf(self) -> memoryview:
        """A memoryview of all the bytes, read-only when access is ``"r"``; it stays valid after close().

        It is the same one each time: whoever releases it (``with m.buf``) has none from then on.  Release a slice of
        it, such as ``m.buf[:]``, instead.

        Raises ValueError if the object is closed; OSError if the memory cannot be mapped.
        """
        try:
            return self._buf
        except AttributeError:
            pass  # it is not mapped yet, or closed
        buf: memoryview = self._mapped("_buf")
        return buf

    def __len__(self) -> int:
        """The number of bytes covered; ValueError if the object is closed."""
        self._check_open()
        return self._size

    def __bool__(self) -> bool:
        """True, whatever the size, and also when closed."""
        return True

    def __buffer__(self, flags: int) -> memoryview:
        """The buffer protocol, from Python 3.12 on."""
        buf: memoryview = self._mapped("_bytes")[:]
        return buf

    if TYPE_CHECKING:
        @overload
        def __getitem__(self, key: int) -> int: ...

        @overload
        def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: Union[int, slice]) -> Union[int, bytes]:
        """A byte as an int, or a copy of a slice as bytes.

        Raises IndexError for an index outside, ValueError if the object is closed; OSError if the memory cannot be
        mapped; TypeError for another key.
        """
        try:
            found: Union[int, bytes] = self._array[key] if key.__class__ is slice else self._bytes[key]
            return found
        except (AttributeError, NotImplementedError):
            pass
        return self._load(key)

    def _load(self, key: Union[int, slice]) -> Union[int, bytes]:
        """Load what could not be loaded at once, or tell why it is impossible."""
        memory = self._mapped("_array" if key.__class__ is slice else "_bytes")
        try:
            found: Union[int, bytes] = memory[key]
            return found
        except NotImplementedError:
            raise TypeError(_ONE_DIMENSION) from None

    def __setitem__(self, key: Union[int, slice], value: Any) -> None:
        """Store an int into a byte, or something bytes-like into a slice of the same length.

        Raises IndexError for an index outside; ValueError for an int that is no byte, another length, and if the
        object is closed; OSError if the memory cannot be mapped; TypeError for another key or value, and if the memory
        is read-only.
        """
        try:
            self._bytes[key] = value
            return
        except (AttributeError, NotImplementedError, TypeError, ValueError):
            pass
        self._store(key, value)

    def _store(self, key: Union[int, slice], value: Any) -> None:
        """Store what could not be stored at once, or tell why it is impossible.

        Either the memory is not mapped yet, or a memoryview does not take the value, such as the items of an
        array.array, or this is an error.
        """
        view = self._mapped("_bytes")
        if view.readonly or not isinstance(key, slice):
            try:
                view[key] = value
                return
            except NotImplementedError:
                raise TypeError(_ONE_DIMENSION) from None
        data = _octets(value)
        if len(data) != len(view[key]):
            raise ValueError(f"{len(data)} bytes do not fit a slice of {len(view[key])}")
        view[key] = data

    def __delitem__(self, key: Any) -> None:
        """Raise TypeError: the size is fixed."""
        raise TypeError(f"{type(self).__name__} has a fixed size")

    def read(self, size: Optional[int] = -1, offset: int = 0) -> bytes:
        """Copy up to `size` bytes (all, if negative or None) from `offset` on; like os.pread, stop at the end.

        Raises ValueError for a negative offset, and if the object is closed; OSError if the memory cannot be mapped;
        TypeError for a size or offset that is no int.
        """
        if size is None:
            size = -1
        if size.__class__ is not int or offset.__class__ is not int:
            size, offset = index(size), index(offset)
        if offset < 0:
            raise ValueError(f"an offset must not be negative: {offset}")
        end = None if size < 0 else offset + size
        try:
            octets: bytes = self._array[offset:end]
            return octets
        except AttributeError:
            pass
        octets = self._mapped("_array")[offset:end]
        return octets

    def write(self, data: Buffer, offset: int = 0) -> int:
        """Copy `data`, something bytes-like, to `offset` (bytes) and return how many bytes it has.

        Raises ValueError, and writes nothing, if it does not fit or the object is closed; OSError if the memory cannot
        be mapped; TypeError if it is not bytes-like, `offset` is no int or the memory is read-only.
        """
        try:
            if data and offset >= 0:  # a slice would take any offset for nothing, and count a negative one from the end
                size = len(data)
                self._bytes[offset:offset + size] = data
                return size
        except (AttributeError, TypeError, ValueError):
            pass
        return self._write(data, offset)

    def _write(self, data: Buffer, offset: int) -> int:
        """Do what write() could not do at once, or tell why it is impossible."""
        octets, offset = _octets(data), index(offset)
        view = self._mapped("_bytes")
        self._check_range(offset, len(octets))
        view[offset:offset + len(octets)] = octets
        return len(octets)

    def overlay(self, ctype: Type[CData], offset: int = 0) -> CData:
        """A ctypes object of type `ctype` (Structure, array, c_int...) that lives in the memory at `offset` (bytes).

        Reading and storing its fields reads and writes the shared memory; it stays valid after close().

        Raises ValueError if it is not wholly inside or the object is closed; OSError if the memory cannot be mapped;
        TypeError if `ctype` is not a ctypes type or is c_char_p, c_wchar_p or py_object, if `offset` is no int, and if
        the memory is read-only (snapshot() copies from it).
        """
        offset = index(offset)
        placed = self._place(ctype, offset)
        if self._mapped("_bytes").readonly:
            raise TypeError("an overlay could be stored to, and this memory is read-only: use snapshot()")
        overlay: CData = placed.from_buffer(self._mapped("_array"), offset)
        return overlay

    def snapshot(self, ctype: Type[CData], offset: int = 0) -> CData:
        """A ctypes object of type `ctype` with a private copy, made in one pass, of the memory at `offset` (bytes).

        Raises ValueError if it is not wholly inside or the object is closed; OSError if the memory cannot be mapped;
        TypeError if `ctype` is not a ctypes type or is c_char_p, c_wchar_p or py_object, and if `offset` is no int.
        """
        offset = index(offset)
        copy: CData = self._place(ctype, offset).from_buffer_copy(self._mapped("_array"), offset)
        return copy

    def flush(self, offset: int = 0, size: Optional[int] = None) -> None:
        """Write `size` bytes (None: up to the end) from `offset` on to the file behind the memory.

        FlushViewOfFile hands the changed pages to the system; FlushFileBuffers then waits for the disk, where this
        object, or the map of this view, was created over a file, may write to it, and is still open.  Memory in the
        paging file, and copy-on-write memory, has nothing to write.

        Raises ValueError if the range is not wholly inside or the object is closed; OSError if the memory cannot be
        mapped, or writing fails; TypeError for a size or offset that is no int.
        """
        array, offset = self._mapped("_array"), index(offset)
        size = max(self._size - offset, 0) if size is None else index(size)
        self._check_range(offset, size)
        self._flush(ctypes.addressof(array) + offset, size)

    def _flush(self, address: int, size: int) -> None:
        raise NotImplementedError

    def _place(self, ctype: Any, offset: int) -> Any:
        """The ctypes type itself, once it is sure that it fits at the offset."""
        if not isinstance(ctype, type):
            raise TypeError(f"a ctypes type is required, not {type(ctype).__name__}")
        if getattr(ctype, "_type_", None) in ("O", "X", "Z", "z"):
            # Such a pointer leads nowhere in another process; and a store would replace what keeps the memory mapped.
            raise TypeError(f"{ctype.__name__} is a pointer to what only one process has")
        self._check_range(offset, ctypes.sizeof(ctype))
        return ctype


class View(_Memory):
    """Part of a file mapping object, mapped into this process (MapViewOfFile); made by NamedMap.view().

    Bytes are read and written as in NamedMap: by index and slice, read(), write(), overlay(), snapshot() and `buf`.
    A view keeps the NamedMap it came from alive, but not open.  `with` closes the view.  After close(), `size`,
    `closed`, repr() and close() still work; everything else is a ValueError.  A view cannot be pickled.
    """

    _map_object: Optional[NamedMap]

    def __new__(cls, *args: object, **kwargs: object) -> Any:
        """Raise TypeError: view() of a NamedMap makes views."""
        raise TypeError("View is not called: NamedMap.create() makes memory, NamedMap.open() opens it, and view() of a "
                        "NamedMap gives a View")

    @classmethod
    def _over(cls, map_object: NamedMap, array: Any, access: str) -> View:
        self: View = object.__new__(cls)
        self._lock = threading.RLock()
        _layer.remember_to_fork(self)
        self._map_object = map_object
        self._name, self._size, self._access = map_object.name, len(array), access
        self._use(array)
        return self

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._map_object is None

    def _flush(self, address: int, size: int) -> None:
        map_object = self._map_object
        if map_object is not None:  # else another thread has closed the view since the address was taken
            map_object._flush(address, size)

    def __reduce__(self) -> Any:
        """Raise TypeError: a view cannot be pickled."""
        raise TypeError("a View cannot be pickled: pickle its NamedMap, and ask that for a view again")

    def close(self) -> None:
        """Give up the view.  What was borrowed from it stays valid; UnmapViewOfFile follows the last of that."""
        with self._lock:
            self._map_object = None
            self._forget()

    def __repr__(self) -> str:
        if self.closed:
            return f"<View of {self._name!r}, closed>"
        return f"<View of {self._name!r}, size={self._size}, access={self._access!r}>"


# ---------------------------------------------------------------- file mapping objects

def _open_file_mapping(name: Optional[str], access: str, inheritable: bool) -> int:
    try:
        return _layer.open_file_mapping(name, access, inheritable)
    except PermissionError as error:
        if access != "rw" or not _is(error, ERROR_ACCESS_DENIED):
            raise
        raise _os_error(ERROR_ACCESS_DENIED, name, str(error.strerror) + _TRY_READING) from None


def _covered_size(handle: int, name: Optional[str], size: Optional[int]) -> int:
    """How many bytes an object covers that others made."""
    try:
        available = _layer.section_size(handle)
    except OSError as error:
        raise _blame(error, name)
    if size is not None and size > available:
        what = "the memory" if name is None else repr(name)
        raise ValueError(f"{what} has {available} bytes, and {size} were asked for")
    return available if size is None else size


class _BackingFile:
    """The file behind a file mapping object; unless it is kept, the end of the `with` block leaves it as it was."""

    def __init__(self, file: File, size: Optional[int], access: str) -> None:
        self._file, self._asked, self._access = file, size, access
        self._made = self._kept = False
        self._size = _MAX_SIZE  # in bytes, until it is known
        if hasattr(file, "fileno"):
            self.path: Any = getattr(file, "name", None)
            self._handle = self._duplicate()
        else:
            self.path = os.fsdecode(file)
            if "\0" in self.path:
                raise ValueError(f"a path must not contain NUL: {self.path!r}")
            self._handle = self._open()
        self._closer = _Closing(self._handle)

    def _duplicate(self) -> int:
        try:
            descriptor = self._file.fileno()
        except OSError:
            raise TypeError(f"a path or a file of the system is required, not {type(self._file).__name__}") from None
        try:
            return _layer.duplicate_file(descriptor, self._access)
        except OverflowError:
            raise ValueError(f"no file has the descriptor {descriptor}") from None
        except OSError as error:
            raise _blame(error, self.path)

    def _open(self) -> int:
        try:
            return _layer.open_file(self.path, self._access)
        except FileNotFoundError:
            if self._asked is None or self._access != "rw":
                raise
            handle = _layer.create_file(self.path)
            self._made = True
            return handle

    def __enter__(self) -> _BackingFile:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._kept:
            return
        if isinstance(error, OSError) and error.filename is None:
            _blame(error, self.path)
        try:
            if self._made:
                _layer.delete_file(self._handle)
            elif self._asked is not None and self._size < self._asked == _layer.file_size(self._handle):
                _layer.take_back_growth(self._handle, self._size)
        except OSError:
            pass  # somebody else has mapped it meanwhile; the first error tells more
        finally:
            self.close()

    def checked_handle(self) -> int:
        """The handle of the file, once it is sure that it has or may get the size that was asked for."""
        if hasattr(self._file, "flush"):
            self._file.flush()  # what Python still holds back belongs to the contents
        self._size = _layer.file_size(self._handle)
        if self._access != "rw" and self._asked is not None and self._asked > self._size:
            raise ValueError(f'{self.path!r} has {self._size} bytes, {self._asked} were asked for, and only '
                             'access="rw" makes a file larger')
        return self._handle

    def keep(self) -> _BackingFile:
        """Leave it to close() to end this."""
        self._kept = True
        self._file = None  # the file object is the caller's, and may be closed or forgotten
        return self

    def flush(self) -> None:
        _layer.flush_file(self._handle)

    def close(self) -> None:
        self._closer()


class NamedMap(_Object, _Memory):
    r"""A file mapping object: memory that processes share by its name.

    NamedMap.create() makes one, NamedMap.open() opens one that exists, and NamedMap.from_handle() takes one whose
    handle came from another process; `with` closes it.  The bytes are there as ``m[i]`` (an int), ``m[a:b]`` (a copy),
    ``m[a:b] = data``, ``m.read()``, ``m.write(data)``, ``m.buf`` (a memoryview), ``m.overlay(Struct)`` and
    ``m.snapshot(Struct)``.

    The memory is mapped at the first use of its bytes, of `address` or of flush(), so that a huge object can be opened
    and looked at through small views.  That use raises OSError if there is not enough memory or address space, and
    on Windows PermissionError if the memory was made read-only, which open() cannot know.

    The name lives as long as somebody has the object open; on Windows it dies with the last *handle*, even while
    views of the memory live on.  An object that nobody refers to any more is closed, too: `buf`, its slices and
    overlays keep the memory, but not the name; a View keeps its NamedMap.

    After close(), `name`, `created`, `closed`, `size`, repr() and close() still work; everything else is a ValueError.

    A named object can be pickled, to be opened by its name, with the same size and access, where it is unpickled,
    with the errors of open(); changes that were kept private (``"c"``) do not go along.  Without a name that is a
    TypeError.
    """

    _backing: Optional[_BackingFile]

    @classmethod
    def create(cls, name: Optional[str], size: Optional[int] = None, *, access: str = "rw", file: File = None,
               exist_ok: bool = False, reserve: bool = False, sddl: Optional[str] = None,
               inheritable: bool = False) -> NamedMap:
        r"""Make memory of `size` bytes, 1 to 2**63-1, in the paging file or over a file (CreateFileMappingW).

        `name` is at most 259 UTF-16 units, with the prefix ``Local\`` or ``Global\`` or none; None makes memory
        without a name, for child processes (`inheritable`) and duplicate().  Memory in the paging file is all zero.

        `file` is a path, or an open binary file, which is flushed and duplicated.  A path is opened with no sharing
        (CreateFileW) and held open as long as this object (other systems than Windows cannot keep others out); a
        missing file is made if `size` is given and `access` is ``"rw"``.  `size` None is that of the file, a smaller
        one covers its beginning, a larger one makes it larger.  `access` is ``"rw"``, or with a file also ``"r"``, or
        ``"c"`` (copy-on-write) to read and write with the changes kept private to this object.

        `exist_ok` attaches, as open() does, to the object if there is one, and then ignores `file`, `reserve` and
        `sddl`; `created` tells which happened.  `reserve` (SEC_RESERVE) takes of the paging file only what is mapped:
        use view(), since all else maps all of it.  `inheritable` lets child processes inherit the handle.

        `sddl` is the object's security descriptor (ConvertStringSecurityDescriptorToSecurityDescriptorW) if the
        default, for the user who made it and the system, will not do.  ``"D:(A;;GA;;;OW)(A;;GR;;;WD)"`` lets everyone
        read and only the owner write; ``"S:(ML;;NW;;;LW)"`` lets the same user's processes of low integrity, such as
        sandboxed ones, open it for writing, too.

        Raises FileExistsError if the name is taken, unless `exist_ok`; PermissionError if a security descriptor, a
        missing privilege (for ``Global\``) or the file forbids it, or others have the file open; FileNotFoundError
        for a missing file; OSError if another kind of object has the name, the file is empty or not on a disk, or
        memory or disk space are short; ValueError for a bad argument, and if the existing object, or a file that is
        only read, is smaller than `size`; TypeError for an argument of the wrong type; NotImplementedError for `sddl`
        and `inheritable` on other systems than Windows.  After any of them the file is as it was.
        """
        if name is not None:
            _check_name(name)
        if size is not None:
            size = _check_size(size)
        _check_backing(file, size, _check_access(access), reserve)
        with _layer.security(_check_sddl(sddl), bool(inheritable)) as security:
            return cls._create(
                name, size, access, file, exist_ok,
                lambda handle: _layer.create_file_mapping(name, size or 0, access, handle, bool(reserve), security),
                lambda: _open_file_mapping(name, access, bool(inheritable)))

    @classmethod
    def _create(cls, name: Optional[str], size: Optional[int], access: str, file: Optional[File], exist_ok: bool,
                create: Callable[[Optional[int]], Tuple[int, bool]], open_it: Callable[[], int]) -> NamedMap:
        """Make the memory, or attach to it; `create` takes the handle of the file, or None."""
        if file is None:
            return cls._own(*_create_or_attach(name, exist_ok, lambda: create(None), open_it), name, size, access)
        pauses = list(_PAUSES)
        while True:
            if name is not None:  # the name first: whoever has it already does not need the file
                try:
                    return cls._own(_attach(name, exist_ok, open_it), False, name, size, access)
                except FileNotFoundError:
                    pass
            try:
                with _BackingFile(file, size, access) as backing:
                    handle = backing.checked_handle()
                    pair = _create_or_attach(name, exist_ok, lambda: create(handle), open_it)
                    self = cls._own(*pair, name, size, access)
                    if self._created:
                        self._backing = backing.keep()
                    return self
            except OSError as error:
                # Whoever is just creating or closing the same has the file before, and after, it has the name.
                held = _is(error, ERROR_SHARING_VIOLATION) or _is(error, ERROR_FILE_EXISTS)
                if name is None or not held or not pauses:
                    raise
                time.sleep(pauses.pop(0))

    @classmethod
    def open(cls, name: str, size: Optional[int] = None, *, access: str = "rw",
             timeout: Optional[float] = 0, inheritable: bool = False) -> NamedMap:
        """Open memory that exists by its `name` (OpenFileMappingW); this never creates any.

        `size` covers exactly the first `size` bytes, None the whole object: whole pages (4096 bytes on Windows) unless
        it is over a file, because Windows does not keep the exact size.  `access` is ``"r"`` to read, ``"rw"`` to read
        and write, ``"c"`` (copy-on-write) to read and write with the changes kept private to this object, where not
        even its views see them.  `timeout` is how many seconds to wait for the name to appear; 0 does not wait, None
        waits for ever.  `inheritable` lets child processes inherit the handle.

        Raises FileNotFoundError if nothing has the name, in time; PermissionError if the object's security descriptor
        forbids the access; OSError if another kind of object has the name; ValueError for a bad argument, and if the
        object is smaller than `size`; TypeError for an argument of the wrong type.  On other systems than Windows,
        raises PermissionError also if the memory was made read-only or its file may not be opened, FileNotFoundError
        if that file was renamed or deleted, and NotImplementedError for `inheritable`.
        """
        _check_name(name)
        if size is not None:
            size = _check_size(size)
        _check_access(access)
        timeout = _check_timeout(timeout)
        handle = _wait_until_there(lambda: _open_file_mapping(name, access, bool(inheritable)), timeout)
        return cls._own(handle, False, name, size, access)

    @classmethod
    def from_handle(cls, handle: int, size: Optional[int] = None) -> NamedMap:
        """Take a `handle` that this process inherited, or that duplicate() in another process made for it.

        From then on close() closes it.  `size` covers exactly the first `size` bytes, None the whole object.  Whether
        it may be written follows from the handle (NtQueryObject); it has no name here.

        Raises OSError if the handle is closed or belongs to another kind of object; PermissionError if it allows no
        access to the memory; ValueError if the object is smaller than `size`, and for a bad argument; TypeError for an
        argument of the wrong type; NotImplementedError on other systems than Windows.  After any of them the handle is
        still the caller's.
        """
        if size is not None:
            size = _check_size(size)
        handle = _checked_handle(handle, "Section")
        access = _layer.section_access(handle)
        if access is None:
            raise _os_error(ERROR_ACCESS_DENIED, None, f"handle {handle:#x} does not allow reading the memory")
        return cls._cover(handle, False, None, _covered_size(handle, None, size), access)

    @classmethod
    def _own(cls, handle: int, created: bool, name: Optional[str], size: Optional[int], access: str) -> NamedMap:
        """An object that closes the handle, which is closed even if this fails."""
        try:
            if size is None or not created:
                size = _covered_size(handle, name, size)
        except BaseException:
            _layer.close_handle(handle)
            raise
        return cls._cover(handle, created, name, size, access)

    @classmethod
    def _cover(cls, handle: int, created: bool, name: Optional[str], size: int, access: str) -> NamedMap:
        self = cls._wrap(handle, created, name)
        self._size, self._access, self._backing = size, access, None
        return self

    def _map(self) -> None:
        self._use(self._map_part(0, self._size, self._access))

    def _map_part(self, offset: int, size: int, access: str, address: Optional[int] = None) -> Any:
        try:
            array = _map_array(self._handle, access, offset, size, address)
        except OSError as error:
            self._check_open()
            raise _blame(error, self._name)
        self._check_open()  # a signal handler may have closed the handle, and its value may be another object's by now
        return array

    def close(self) -> None:
        """Close the handle (CloseHandle), once, and give up the memory; this never fails.

        If nobody else has the object open, its name is gone at once.  Views, and what was borrowed from the memory,
        stay valid; UnmapViewOfFile follows the last of them.
        """
        with self._lock:
            super().close()
            self._forget()
            if self._backing is not None:
                self._backing.close()

    def view(self, offset: int = 0, size: Optional[int] = None, *, access: Optional[str] = None,
             address: Optional[int] = None) -> View:
        """Map a part of the memory: `size` bytes (None: up to the end) from any `offset` on (MapViewOfFileEx).

        `access` is that of the map, unless it is narrowed: ``"r"``, or ``"c"`` for changes that stay private to this
        one view.  `address` is where the first byte shall be, for memory that contains pointers; it must be congruent
        to `offset` modulo 64 KiB.

        Raises ValueError if the range is empty or not wholly inside, if `access` is wider than that of the map, if
        `address` can never be used, or the map is closed; OSError if something else is at the address, or there is not
        enough memory or address space; TypeError for an argument of the wrong type; NotImplementedError for `address`
        on other systems than Windows.
        """
        offset = index(offset)
        size = max(self._size - offset, 1) if size is None else _check_size(size)
        self._check_range(offset, size)
        access = self._access if access is None else _check_access(access)
        if access not in _NARROWER[self._access]:
            raise ValueError(f'a view with access={access!r} is wider than its map, which has access={self._access!r}')
        if address is not None:
            address = _check_address(address, offset, size)
        with self._lock:  # against close() in another thread
            self._check_open()
            return View._over(self, self._map_part(offset, size, access, address), access)

    def _flush(self, address: int, size: int) -> None:
        try:
            if size:  # 0 would be the whole view
                _layer.flush_view(address, size)
            with self._lock:  # against close() in another thread
                if self._backing is not None and self._access == "rw" and not self.closed:
                    self._backing.flush()
        except OSError as error:
            raise _blame(error, self._name if self._backing is None else self._backing.path)

    def _arguments(self) -> Dict[str, Any]:
        return {"size": self._size, "access": self._access}

    def _details(self) -> str:
        return f", size={self._size}, access={self._access!r}"


# ---------------------------------------------------------------- mutexes, events and semaphores

class _Waitable(_Object):
    """What a thread can wait for: a mutex, an event or a semaphore."""

    _kind: str  # what the kernel calls it

    @classmethod
    def _create(cls: Type[Waitable], name: Optional[str], exist_ok: bool, sddl: Optional[str], inheritable: bool,
                create: Callable[..., Tuple[int, bool]], *arguments: Any) -> Waitable:
        if name is not None:
            _check_name(name)
        with _layer.security(_check_sddl(sddl), bool(inheritable)) as security:
            pair = _create_or_attach(name, exist_ok, lambda: create(name, *arguments, security),
                                     lambda: cls._open_it(name, bool(inheritable)))
        return cls._wrap(*pair, name)

    @classmethod
    def open(cls: Type[Waitable], name: str, *, timeout: Optional[float] = 0, inheritable: bool = False) -> Waitable:
        """Open one that exists by its `name` (OpenMutexW, OpenEventW, OpenSemaphoreW); this never creates any.

        Return an object of this class.  `timeout` is how many seconds to wait for the name to appear; 0 does not wait,
        None waits for ever.  `inheritable` lets child processes inherit the handle.

        Raises FileNotFoundError if nothing has the name, in time; PermissionError if the object's security descriptor
        forbids it; OSError if another kind of object has the name; ValueError for a bad argument; TypeError for an
        argument of the wrong type; NotImplementedError for `inheritable` on other systems than Windows.
        """
        _check_name(name)
        timeout = _check_timeout(timeout)
        handle = _wait_until_there(lambda: cls._open_it(name, bool(inheritable)), timeout)
        return cls._wrap(handle, False, name)

    @classmethod
    def _open_it(cls, name: Optional[str], inheritable: bool) -> int:
        raise NotImplementedError

    @classmethod
    def from_handle(cls: Type[Waitable], handle: int) -> Waitable:
        """Take a `handle` that this process inherited, or that duplicate() in another process made for it.

        Return an object of this class, which has no name.  From then on close() closes the handle.

        Raises OSError if the handle is closed or belongs to another kind of object (NtQueryObject tells); ValueError
        and TypeError for what is no handle; NotImplementedError on other systems than Windows.  After any of them the
        handle is still the caller's.
        """
        return cls._wrap(_checked_handle(handle, cls._kind), False, None)

    def _wait(self, timeout: Optional[float]) -> bool:
        """Wait for at most `timeout` seconds; whether the object was got.

        A signal handler, such as that of Ctrl+C, may raise an exception when the object was just got.  Whoever waits
        then does not know that he has it, so it is given back.  _call() does not do: once it has let go of the handle,
        nothing can be given back.
        """
        result, held, use = [WAIT_TIMEOUT], self._held(), object()
        try:
            self._uses.add(use)  # before the check, so that close() cannot miss it
            self._check_open()
            got = self._wait_in_slices(timeout, result)
            self._uses.discard(use)
            self._close_unused()
            return got
        except BaseException as error:
            try:
                if result[0] in (WAIT_OBJECT_0, WAIT_ABANDONED) and self._closer.alive:
                    self._give_back(held)
            except (OSError, RuntimeError, ValueError):
                pass  # a handle that may only wait cannot; and the first exception tells more
            finally:
                self._uses.discard(use)
                self._close_unused()
            if isinstance(error, OSError):
                _blame(error, self._name)
            raise

    def _wait_in_slices(self, timeout: Optional[float], result: List[int]) -> bool:
        end = None if timeout is None else time.perf_counter() + timeout
        while True:
            _layer.wait(self._handle, _slice_until(end), result)
            if result[0] != WAIT_TIMEOUT:
                self._got(result[0])
                return True
            self._check_open()
            if end is not None and time.perf_counter() >= end:
                return False

    def _held(self) -> int:
        """How often the calling thread has got this object, and has to give it back."""
        return 0

    def _got(self, result: int) -> None:
        """Note that the calling thread has got this object once more; ValueError if it is closed."""
        self._check_open()

    def _give_back(self, held: int) -> None:
        """Undo that the calling thread has got this object once more, after `held` times."""
        raise NotImplementedError


class _Lock(_Waitable):
    """What is acquired and released."""

    def acquire(self, blocking: bool = True, timeout: Optional[float] = None) -> bool:
        """Wait until the mutex is free, or the semaphore above 0, and take it, or 1 (WaitForSingleObject).

        Return whether it was taken.  `timeout` is in seconds; None waits for ever, and 0, like `blocking` False, only
        tries.  Other threads run meanwhile.  Ctrl+C interrupts within 0.1 seconds; for that, the wait on Windows is
        made of slices, each of which queues anew.  So a thread that has waited for longer can be overtaken by one that
        has just come; on other systems, too.

        Raises ValueError for a negative or too large timeout, for one without blocking, and if the object is closed,
        by another thread during the wait, too; PermissionError if its handle does not allow waiting; TypeError for an
        argument of the wrong type.
        """
        return self._wait(_check_wait(blocking, timeout))

    def _release(self, done: List[int], n: int) -> Any:
        """Give it back `n` times; `done` is empty until the system has been called."""
        raise NotImplementedError

    def _surely_release(self, n: int = 1) -> Any:
        """Give it back, even if a signal handler raises an exception before that."""
        done: List[int] = []
        held = self._held()
        try:
            return self._release(done, n)
        except BaseException:
            try:
                if not done:
                    self._release(done, n)
            except (OSError, RuntimeError, ValueError):
                pass  # as the first time
            self._released(held, done)
            raise

    def _released(self, held: int, done: List[int]) -> None:
        """Note, if `done`, that the calling thread, which had got this object `held` times, has given it back once."""

    def __enter__(self: Lock) -> Lock:
        """Call acquire(), and return the object itself."""
        self.acquire()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Call release(); this does not close the object."""
        self._surely_release()


class Mutex(_Lock):
    """A mutex object: one thread of all processes holds it at a time.

    Mutex.create() makes one, Mutex.open() opens one that exists, and Mutex.from_handle() takes one whose handle came
    from another process.  ``with mutex:`` locks and unlocks it, and does not close it.

    The thread that holds it may acquire it again, and has to release it as often.  If a thread or process ends while it
    holds it, the next one gets it all the same, and `abandoned` tells that what it protects may be half changed.  That
    needs somebody else who had the mutex open at that moment: else it is gone with its owner, and the next create()
    makes a new one that tells nothing.

    An object that nobody refers to any more is closed.  One that is forgotten before it was released leaves the mutex
    locked until its thread ends; on other systems than Windows, the last one of a process leaves it abandoned at once.

    After close(), `name`, `created`, `closed`, repr() and close() still work; everything else is a ValueError.  A named
    one can be pickled, to be opened by its name where it is unpickled; without a name that is a TypeError.
    """

    _kind = "Mutant"
    _abandoned = False
    _hold = (0, 0)  # the thread that holds it through this object, and how often

    @classmethod
    def create(cls, name: Optional[str] = None, *, exist_ok: bool = False, sddl: Optional[str] = None,
               inheritable: bool = False) -> Mutex:
        r"""Make a mutex that nobody holds (CreateMutexW).

        `name` is at most 259 UTF-16 units, with the prefix ``Local\`` or ``Global\`` or none; None makes one without a
        name, for threads, child processes (`inheritable`) and duplicate().  `exist_ok` attaches to the mutex if there
        is one, and then ignores `sddl`; `created` tells which happened.  `sddl` is a security descriptor and
        `inheritable` lets child processes inherit the handle, as in NamedMap.create().

        Raises FileExistsError if the name is taken, unless `exist_ok`; PermissionError if a security descriptor forbids
        it; OSError if another kind of object has the name; ValueError for a bad argument; TypeError for one of the
        wrong type; NotImplementedError for `sddl` and `inheritable` on other systems than Windows.
        """
        return cls._create(name, exist_ok, sddl, inheritable, _layer.create_mutex)

    @classmethod
    def _open_it(cls, name: Optional[str], inheritable: bool) -> int:
        return _layer.open_mutex(name, inheritable)

    @property
    def abandoned(self) -> bool:
        """Whether the last owner ended without releasing the mutex, when this object last acquired it.

        What the mutex protects may be half changed.  It stays True until this object next acquires the mutex; that the
        owner acquires it once more does not count.  Windows tells it only once: if Ctrl+C interrupts the acquire() that
        would have told, nobody learns of it.

        Raises ValueError if the object is closed.
        """
        self._check_open()
        return self._abandoned

    def release(self) -> None:
        """Undo one acquire() (ReleaseMutex).

        Raises RuntimeError if the calling thread does not hold the mutex through this object; ValueError if the object
        is closed.
        """
        self._surely_release()

    def _release(self, done: List[int], n: int) -> None:
        with self._lock:  # so that the thread which gets it next notes that after this one
            self._check_open()
            held = self._held()
            if not held:
                raise RuntimeError(f"this thread does not hold Mutex {self._name!r} through this object")
            try:
                self._call(_layer.release_mutex, done)
            finally:
                self._released(held, done)

    def _released(self, held: int, done: List[int]) -> None:
        with self._lock:
            if done and self._held() == held:  # else it is noted already, and another thread may have the mutex by now
                self._note(held - 1 if done[0] else 0)  # if it failed, somebody has released it by another handle

    def close(self) -> None:
        """Close the handle (CloseHandle), once; waits in other threads end with ValueError within 0.1 seconds.

        Raises RuntimeError while a thread holds the mutex through this object: nobody could release it any more, and
        others would wait until that thread ends.
        """
        with self._lock:
            if self._is_held():
                raise RuntimeError(f"Mutex {self._name!r} is held, and has to be released before it is closed")
            super().close()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._note(0)

    def _note(self, held: int) -> None:
        self._hold = (threading.get_ident(), held) if held else (0, 0)

    def _is_held(self) -> bool:
        thread, held = self._hold
        return held > 0 and thread in sys._current_frames()  # a thread that has ended holds nothing

    def _held(self) -> int:
        thread, held = self._hold
        return held if thread == threading.get_ident() else 0

    def _got(self, result: int) -> None:
        with self._lock:  # against close(), which checks who holds it
            self._check_open()
            held = 0 if result == WAIT_ABANDONED else self._held()
            if not held:
                self._abandoned = result == WAIT_ABANDONED
            self._note(held + 1)

    def _give_back(self, held: int) -> None:
        with self._lock:
            _layer.release_mutex(self._handle, [])
            self._note(held)

    def _details(self) -> str:
        return ", held" if self._is_held() else ""


class Event(_Waitable):
    """An event object: threads of all processes wait until it is set.

    Event.create() makes one, Event.open() opens one that exists, and Event.from_handle() takes one whose handle came
    from another process; `with` closes it.  A manual-reset event lets all waiters go on until it is cleared; one that
    resets itself lets one waiter go on each time it is set; on other systems than Windows, two set() of such a one in
    quick succession may wake only one of two waiters.

    An object that nobody refers to any more is closed.  After close(), `name`, `created`, `closed`, repr() and close()
    still work; everything else is a ValueError.  A named one can be pickled, to be opened by its name where it is
    unpickled; without a name that is a TypeError.
    """

    _kind = "Event"

    @classmethod
    def create(cls, name: Optional[str] = None, *, manual_reset: bool = True, initial_state: bool = False,
               exist_ok: bool = False, sddl: Optional[str] = None, inheritable: bool = False) -> Event:
        r"""Make an event (CreateEventW), which is set at once if `initial_state` is true.

        With `manual_reset` it stays set until clear(), and all waiters go on; without, it resets itself as soon as one
        of them has gone on.

        `name` is at most 259 UTF-16 units, with the prefix ``Local\`` or ``Global\`` or none; None makes one without a
        name, for threads, child processes (`inheritable`) and duplicate().  `exist_ok` attaches to the event if there
        is one, and then ignores `manual_reset`, `initial_state` and `sddl`; `created` tells which happened.  `sddl` is
        a security descriptor and `inheritable` lets child processes inherit the handle, as in NamedMap.create().

        Raises FileExistsError if the name is taken, unless `exist_ok`; PermissionError if a security descriptor forbids
        it; OSError if another kind of object has the name; ValueError for a bad argument; TypeError for one of the
        wrong type; NotImplementedError for `sddl` and `inheritable` on other systems than Windows.
        """
        return cls._create(name, exist_ok, sddl, inheritable, _layer.create_event, bool(manual_reset),
                           bool(initial_state))

    @classmethod
    def _open_it(cls, name: Optional[str], inheritable: bool) -> int:
        return _layer.open_event(name, inheritable)

    def set(self) -> None:
        """Let waiters go on: all until clear(), or one if the event resets itself (SetEvent).

        Raises ValueError if the object is closed; PermissionError if its handle does not allow it.
        """
        self._call(_layer.set_event)

    def clear(self) -> None:
        """Let waiters wait (ResetEvent).

        Raises ValueError if the object is closed; PermissionError if its handle does not allow it.
        """
        self._call(_layer.reset_event)

    def is_set(self) -> bool:
        """Whether the event is set, which this does not change (NtQueryEvent).

        Raises ValueError if the object is closed; PermissionError if its handle does not allow it.
        """
        _, is_set = self._call(_layer.query_event)
        return bool(is_set)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Wait until the event is set (WaitForSingleObject); return whether it was.  One that resets itself is cleared.

        `timeout` is in seconds; 0 does not wait, None waits for ever.  Other threads run meanwhile, and Ctrl+C
        interrupts within 0.1 seconds; as to what that costs in fairness, see Mutex.acquire().

        Raises ValueError for a negative or too large timeout, and if the object is closed, by another thread during
        the wait, too; PermissionError if its handle does not allow waiting; TypeError for a timeout of the wrong type.
        """
        return self._wait(_check_timeout(timeout))

    def _give_back(self, held: int) -> None:
        resets_itself, _ = _layer.query_event(self._handle)
        if resets_itself:
            _layer.set_event(self._handle)


class Semaphore(_Lock):
    """A semaphore object: a count that acquire() takes from and release() adds to, and that is never below 0.

    Semaphore.create() makes one, Semaphore.open() opens one that exists, and Semaphore.from_handle() takes one whose
    handle came from another process.  ``with semaphore:`` acquires and releases it, and does not close it.  A count
    that was taken belongs to nobody: what a process that dies has taken is not given back.

    An object that nobody refers to any more is closed.  After close(), `name`, `created`, `closed`, repr() and close()
    still work; everything else is a ValueError.  A named one can be pickled, to be opened by its name where it is
    unpickled; without a name that is a TypeError.
    """

    _kind = "Semaphore"

    @classmethod
    def create(cls, name: Optional[str] = None, value: int = 1, maximum: Optional[int] = None, *,
               exist_ok: bool = False, sddl: Optional[str] = None, inheritable: bool = False) -> Semaphore:
        r"""Make a semaphore that counts from `value`, which is 0 to `maximum`, to `maximum` at most (CreateSemaphoreW).

        `maximum` is 1 to 2**31-1; None is as much as the system can count: 2**31-1 on Windows, 4096 on others, where
        2**31-1 means the same, and any other number above 4096 is a ValueError.

        `name` is at most 259 UTF-16 units, with the prefix ``Local\`` or ``Global\`` or none; None makes one without a
        name, for threads, child processes (`inheritable`) and duplicate().  `exist_ok` attaches to the semaphore if
        there is one, and then ignores `value`, `maximum` and `sddl`; `created` tells which happened.  `sddl` is a
        security descriptor and `inheritable` lets child processes inherit the handle, as in NamedMap.create().

        Raises FileExistsError if the name is taken, unless `exist_ok`; PermissionError if a security descriptor forbids
        it; OSError if another kind of object has the name; ValueError for a bad argument; TypeError for one of the
        wrong type; NotImplementedError for `sddl` and `inheritable` on other systems than Windows.
        """
        maximum = _MAX_COUNT if maximum is None else _check_count("a maximum", maximum)
        value = _check_number("a value", value, 0, maximum, f"0 to the maximum of {maximum}")
        return cls._create(name, exist_ok, sddl, inheritable, _layer.create_semaphore, value, maximum)

    @classmethod
    def _open_it(cls, name: Optional[str], inheritable: bool) -> int:
        return _layer.open_semaphore(name, inheritable)

    def release(self, n: int = 1) -> int:
        """Add `n` to the count (ReleaseSemaphore) and return what it was before.

        Raises ValueError, and adds nothing, if the count would exceed the maximum, `n` is less than 1, or the object is
        closed; PermissionError if its handle does not allow it; TypeError if `n` is not an int.
        """
        before: int = self._surely_release(_check_count("n", n))
        return before

    def _release(self, done: List[int], n: int) -> Any:
        return self._call(_layer.release_semaphore, n, done)

    def _give_back(self, held: int) -> None:
        _layer.release_semaphore(self._handle, 1, [])


# ---------------------------------------------------------------- command line

_DEFAULT_SIZE = 256  # bytes of new memory, unless its text needs more
_CHUNK = 0x100000  # bytes handled at once, so that a large object does not fill the memory of this process
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_MAPPING = _KINDS["Section"]


class _UsageError(Exception):
    """The command line asks for something impossible."""


class _OutputError(Exception):
    """Standard output takes no more; its argument is the OSError that tells why."""


def _argument(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter for argparse that shows the text of a ValueError."""
    def converter(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            from argparse import ArgumentTypeError
            raise ArgumentTypeError(str(error)) from None
    return converter


def _parse_bytes(text: str) -> int:
    import re
    match = re.fullmatch("(0x[0-9a-f]{1,16}|[0-9]{1,19})([kmg]?)", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"not a number of bytes such as 4096, 0x1000, 64K, 16M or 2G: {text!r}")
    digits, unit = match.group(1).lower(), match.group(2).lower()
    return int(digits, 16 if digits.startswith("0x") else 10) << {"": 0, "k": 10, "m": 20, "g": 30}[unit]


def _parse_size(text: str) -> int:
    return _check_size(_parse_bytes(text))


def _parse_offset(text: str) -> int:
    return _check_number("an offset", _parse_bytes(text), 0, _MAX_SIZE, "0 to 2**63-1 bytes")


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
        _check_timeout(seconds)
        return seconds
    except ValueError:
        raise ValueError(f"not a number of seconds from 0 to {threading.TIMEOUT_MAX:.0f}: {text!r}") from None


def _parse_interval(text: str) -> float:
    try:
        return _parse_seconds(text)
    except ValueError as error:
        raise ValueError(f"{error} (NAME comes before --watch)") from None


def _parse_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"not pairs of hexadecimal digits: {text!r}") from None


def _parse_encoding(text: str) -> str:
    try:
        "".encode(text)
        codecs.getincrementaldecoder(text)("backslashreplace").decode(b"", True)
        if "escape" in codecs.lookup(text).name:
            raise LookupError  # those of Python's source code warn of what they do not know
    except (LookupError, ValueError):
        raise ValueError(f"not a text encoding of Python: {text!r}") from None
    return text


def _parse_struct(text: str) -> Struct:
    import struct
    try:
        record = struct.Struct(text)
    except (struct.error, UnicodeError) as error:
        raise ValueError(f"not a format of the module struct: {text!r} ({error})") from None
    if not record.size:
        raise ValueError(f"a format must have at least one byte: {text!r}")
    return record


def _parse_sddl(text: str) -> Optional[str]:
    with _layer.security(_check_sddl(text), False):
        return text


def _parse_pattern(text: str) -> Callable[[str], object]:
    """A function that tells whether a full name matches; its prefix does not count unless the pattern has one."""
    import fnmatch
    import re
    try:
        match = re.compile(fnmatch.translate(text)).match
    except re.error:
        raise ValueError(f"not a pattern of *, ? and [...]: {text!r}") from None
    return match if "\\" in text else lambda name: match(name.partition("\\")[2])


def _printable(text: str) -> str:
    """The text on one line."""
    return text.translate(_CONTROLS)


def _emit(piece: Union[str, bytes]) -> None:
    """Write to standard output, if there is one; what its encoding lacks is shown as an escape sequence."""
    if sys.stdout is None:  # as in a program without a console
        return
    try:
        if isinstance(piece, bytes):
            rest = memoryview(piece)
            while rest:  # one that is not buffered (python -u) may take only a part
                rest = rest[sys.stdout.buffer.write(rest):]
        else:
            encoding = sys.stdout.encoding or "utf-8"
            text = piece.encode(encoding, "backslashreplace").decode(encoding)
            for start in range(0, len(text), 8000):  # of more, a console that is not buffered would drop the rest
                sys.stdout.write(text[start:start + 8000])
    except OSError as error:
        raise _OutputError(error) from None
    except AttributeError:
        raise _OutputError(OSError(0, "it takes text, not bytes")) from None


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise _OutputError(error) from None


def _print(text: str) -> None:
    """Print a line at once, for a program that waits for it."""
    _emit(text + "\n")
    _flush()


def _discard(stream: Any) -> None:
    """Drop what a standard stream holds, which would fail again, with a traceback, when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())
    except OSError:
        pass  # it is no file of the system
    finally:
        os.close(null)


def _complain(text: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            _discard(sys.stderr)


def _chunks(memory: NamedMap, offset: int, size: int, step: int) -> Iterator[bytes]:
    for start in range(offset, offset + size, step):
        with memory.view(start, min(step, offset + size - start)) as view:
            yield view.read()


def _text(chunks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """The text up to the first NUL, in pieces; bytes that are not text become escape sequences."""
    # Ends of lines become "\n", of which standard output makes "\r\n" on Windows.
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("backslashreplace"), True)
    for chunk in chunks:
        piece, nul, _ = decoder.decode(chunk).partition("\0")
        yield piece
        if nul:
            return
    yield decoder.decode(b"", True).partition("\0")[0]


def _hex_lines(chunks: Iterable[bytes], offset: int) -> Iterator[str]:
    """A dump with offsets and an ASCII column; lines that repeat the one before are folded to one `*`."""
    previous, folded = b"", False
    for chunk in chunks:
        for start in range(0, len(chunk), 16):
            row = chunk[start:start + 16]
            if row != previous:
                shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
                yield f"{offset:08x}  {row.hex(' '):<47}  |{shown}|"
            elif not folded:
                yield "*"
            folded = row == previous
            offset, previous = offset + len(row), row
    yield f"{offset:08x}"


def _struct_lines(chunks: Iterable[bytes], record: Struct) -> Iterator[str]:
    for chunk in chunks:
        for fields in record.iter_unpack(chunk):
            yield " ".join(map(repr, fields))


def _selected(memory: NamedMap, arguments: Namespace) -> Iterator[bytes]:
    """What `read` was asked to look at, in chunks of whole records."""
    unit, offset = arguments.struct.size if arguments.struct else 1, arguments.offset
    if offset >= memory.size:
        raise ValueError(f"offset {offset} is not inside the memory, which has {memory.size} bytes")
    size = arguments.size or (unit if arguments.struct else memory.size - offset)
    memory._check_range(offset, size)
    return _chunks(memory, offset, size, max(_CHUNK // unit, 1) * unit)


def _pieces(memory: NamedMap, arguments: Namespace) -> Iterator[Union[str, bytes]]:
    """What `read` shows of it, piece by piece."""
    chunks = _selected(memory, arguments)
    if arguments.raw:
        yield from chunks
    elif arguments.hex:
        yield from (line + "\n" for line in _hex_lines(chunks, arguments.offset))
    elif arguments.struct:
        yield from (line + "\n" for line in _struct_lines(chunks, arguments.struct))
    else:
        yield from _text(chunks, arguments.encoding)
        yield "\n"


def _digest(pieces: Iterable[Union[str, bytes]], use: Callable[[Union[str, bytes]], None]) -> bytes:
    """Use each piece, and return a digest of all, by which it is known again without being kept."""
    from hashlib import sha256
    digest = sha256()
    for piece in pieces:
        use(piece)
        digest.update(piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass"))
    return digest.digest()


def _read_command(arguments: Namespace) -> None:
    if arguments.struct and (arguments.size or 0) % arguments.struct.size:
        raise _UsageError(f"--size {arguments.size} is not a multiple of the {arguments.struct.size} bytes of --struct")
    try:
        with _memory_to_read(arguments) as memory:
            if arguments.watch is None:
                for piece in _pieces(memory, arguments):
                    _emit(piece)
        if arguments.watch is not None:
            _watch(arguments)
    except KeyboardInterrupt:
        if arguments.watch is None:
            raise


def _memory_to_read(arguments: Namespace) -> NamedMap:
    """The memory, once it has the first character of a text or the time is over."""
    end = time.monotonic() + arguments.timeout
    while True:
        memory = NamedMap.open(arguments.name, access="r", timeout=max(end - time.monotonic(), 0))
        if (arguments.hex or arguments.raw or arguments.struct or time.monotonic() >= end
                or any(_text(_selected(memory, arguments), arguments.encoding))):
            return memory
        memory.close()  # held open, it would outlive a publisher that ends, and keep it from making it again
        time.sleep(0.02)


def _watch(arguments: Namespace) -> NoReturn:
    """Show the memory, and show it again whenever what it shows has changed, until Ctrl+C."""
    shown = b""
    while True:
        with NamedMap.open(arguments.name, access="r", timeout=arguments.timeout) as memory:
            if _digest(_pieces(memory, arguments), lambda piece: None) != shown:
                shown = _digest(_pieces(memory, arguments), _emit)
                _flush()
        time.sleep(max(arguments.watch, 0.01))  # so that 0 does not keep a processor busy


class _Content:
    """Bytes to store, from a binary stream; `source` is what an error in reading it is blamed on."""

    def __init__(self, stream: IO[bytes], source: Optional[str] = None) -> None:
        self.stream, self._source = stream, source
        start = stream.tell()
        self.size = stream.seek(0, os.SEEK_END) - start
        stream.seek(start)

    def copy_to(self, memory: NamedMap, offset: int) -> None:
        end = offset + self.size
        while offset < end:
            try:
                chunk = self.stream.read(min(_CHUNK, end - offset))
                if not chunk:
                    raise OSError(0, "it became shorter while it was being copied")
            except OSError as error:
                raise _blame(error, self._source)
            with memory.view(offset, len(chunk)) as view:
                view.write(chunk)
            offset += len(chunk)


def _is_given(arguments: Namespace) -> bool:
    """Whether there is something to store."""
    count = sum(content is not None for content in (arguments.text, arguments.from_hex, arguments.input))
    if count > 1:
        raise _UsageError("TEXT, --from-hex and --input exclude each other")
    return bool(count)


def _contents(arguments: Namespace, room: Callable[[], Optional[int]]) -> List[_Content]:
    """What the command line asks to store, the best first: a text is ended by a NUL if that fits."""
    if not _is_given(arguments):
        return [_Content(io.BytesIO())]
    if arguments.input is not None:
        return [_input(arguments.input, room)]
    if arguments.text is None:
        return [_Content(io.BytesIO(arguments.from_hex))]
    try:
        return [_Content(io.BytesIO(text.encode(arguments.encoding)))
                for text in (arguments.text + "\0", arguments.text)]
    except UnicodeError as error:
        raise _UsageError(f"TEXT cannot be encoded: {error}") from None


def _input(path: str, room: Callable[[], Optional[int]]) -> _Content:
    """The content of a file, or of standard input for "-"."""
    source = "standard input" if path == "-" else path
    try:
        stream = open(0, "rb", closefd=False) if path == "-" else open(path, "rb")
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return _Content(stream, source)
    except OSError as error:
        raise _blame(error, source)
    with stream:
        return _Content(_copied(stream, room(), source), source)


def _copied(pipe: io.BufferedReader, room: Optional[int], source: str) -> IO[bytes]:
    """What comes out of a pipe, to its end or until it is too much, in a temporary file that tells how much it is."""
    from tempfile import TemporaryFile

    def chunk() -> bytes:
        try:
            return pipe.read1(_CHUNK)  # read() would want to see the end of a terminal's input twice
        except OSError as error:
            raise _blame(error, source)

    copy: IO[bytes] = TemporaryFile()
    try:
        for octets in iter(chunk, b""):
            copy.write(octets)
            if room is not None and copy.tell() > room:
                break
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


def _store(memory: NamedMap, offset: int, contents: List[_Content]) -> None:
    content = next((content for content in contents if offset + content.size <= memory.size), contents[-1])
    memory._check_range(offset, content.size)
    content.copy_to(memory, offset)


def _create_command(arguments: Namespace) -> None:
    contents = _contents(arguments, lambda: arguments.size)
    needed = contents[-1].size
    with contents[-1].stream as stream:
        if arguments.size is not None and needed > arguments.size:
            raise _UsageError(f"{needed} bytes do not fit in {arguments.size} bytes (--size)")
        with _made_or_found(arguments, max(_DEFAULT_SIZE, contents[0].size)) as memory:
            _store(memory, 0, contents)
            stream.close()  # else a file would be in use as long as the memory is held
            found = "" if memory.created else " that were there"
            until = "until" if arguments.hold is None else f"for {arguments.hold:.15g} seconds, or until"
            announcement = f"{_printable(arguments.name)}: {memory.size} bytes{found}, held {until} Enter or Ctrl+C"
            _hold_until_told(announcement, arguments.hold)


def _made_or_found(arguments: Namespace, needed: int) -> NamedMap:
    size = arguments.size
    if size is None and arguments.exist_ok:
        try:
            return NamedMap.open(arguments.name)  # all of it, however large it is
        except FileNotFoundError:
            pass
    if size is None and arguments.file is None:
        size = needed
    return NamedMap.create(arguments.name, size, file=arguments.file, exist_ok=arguments.exist_ok, sddl=arguments.sddl)


def _hold_until_told(announcement: str, seconds: Optional[float]) -> None:
    """Print a line, then wait until Enter, Ctrl+C, Ctrl+Break, SIGTERM or for some seconds."""
    import signal
    entered = threading.Event()
    previous = {}
    if threading.current_thread() is threading.main_thread():  # only there can handlers be set
        for number in {signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}:  # SIGBREAK is of Windows only
            previous[number] = signal.signal(number, signal.default_int_handler)
    end = None if seconds is None else time.perf_counter() + seconds
    try:
        threading.Thread(target=_wait_for_enter, args=(entered,), daemon=True).start()
        _print(announcement)
        # In slices, because on Windows no signal interrupts the wait of a lock.
        while not entered.wait(_slice_until(end)) and (end is None or time.perf_counter() < end):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait_for_enter(entered: threading.Event) -> None:
    """Set the event at the end of a line, and not at the end of the input."""
    try:
        # Not sys.stdin.readline(): its lock, still held when the interpreter ends, is a fatal error.
        for octet in iter(lambda: os.read(sys.stdin.fileno(), 1), b""):
            if octet in b"\r\n":
                entered.set()
                return
    except (AttributeError, OSError, ValueError):
        pass  # there is no input


def _write_command(arguments: Namespace) -> None:
    if not _is_given(arguments):
        raise _UsageError("nothing to write: give TEXT, --from-hex or --input")

    offset: int = arguments.offset

    def room() -> int:
        with NamedMap.open(arguments.name) as memory:  # and not held open while a pipe is read, which may take its time
            return max(memory.size - offset, 0)

    contents = _contents(arguments, room)
    with contents[-1].stream, NamedMap.open(arguments.name) as memory:
        _store(memory, offset, contents)


def _info_command(arguments: Namespace) -> None:
    kind = _layer.kind_of_name(arguments.name) or _MAPPING  # if nothing has the name, opening it says so
    facts = {"name": _printable(arguments.name), "kind": kind}
    if kind == _MAPPING:
        facts.update(_memory_facts(arguments.name))
    for key, value in facts.items():
        _emit(f"{key + ':':<7} {value}\n")


def _memory_facts(name: str) -> Dict[str, str]:
    for access in ("rw", "r"):
        try:
            with NamedMap.open(name, access=access) as memory:
                # A handle tells nothing of the protection that the memory was created with.
                if access == "r" or _layer.can_map(memory.handle, access):
                    return {**_section_facts(memory), "access": access}
        except PermissionError as error:
            refusal = error.strerror
    return {"access": f"none: {refusal}"}


def _section_facts(memory: NamedMap) -> Dict[str, str]:
    size = f"{memory.size} bytes"
    try:
        _, attributes = _layer.query_section(memory.handle)
    except PermissionError:
        return {"size": size, "pages": "unknown: the security descriptor does not let one ask"}
    if attributes & SEC_FILE:
        return {"size": size, "pages": "of a file"}
    return {"size": size + "; the system rounds sizes up to whole pages",
            "pages": "only reserved, until they are mapped" if attributes & SEC_RESERVE else "committed"}


def _list_command(arguments: Namespace) -> None:
    for name, kind in _layer.named_objects():
        if not arguments.pattern(name) or not (arguments.all or kind == _MAPPING):
            continue
        size = _listed_size(name) if kind == _MAPPING else "-"
        if size is not None:
            shown_kind = f"{kind:<19}  " if arguments.all else ""
            _emit(f"{shown_kind}{size:>12}  {_printable(name)}\n")


def _listed_size(name: str) -> Optional[str]:
    """The size of memory in bytes, or "-" where this process cannot read it; None if it has gone meanwhile."""
    try:
        handle = _layer.open_file_mapping(name, "r", False)
    except FileNotFoundError:
        return None
    except OSError:
        return "-"
    try:
        return str(_layer.section_size(handle))
    except OSError:
        return "-"
    finally:
        _layer.close_handle(handle)


def _parser() -> ArgumentParser:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    class Parser(ArgumentParser):
        """One that fails like the rest where standard output does, and needs no standard streams."""

        def _print_message(self, message: str, file: object = None) -> None:
            _emit(message)

        def error(self, message: str) -> NoReturn:
            _complain(f"{self.format_usage()}{self.prog}: error: {message}")
            raise SystemExit(2)

    parser = Parser(
        prog="python -m namedmap", description="Look at named shared memory, write to it, and make some.",
        epilog='example: python -m namedmap create demo "Message from first process."\n\n'
               "exit status: 0, 1 after an error, 2 for a wrong command line",
        formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"namedmap {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Namespace], None], summary: str, example: str) -> ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, formatter_class=RawDescriptionHelpFormatter,
                                  epilog=f"example: python -m namedmap {name} {example}")
        sub.set_defaults(run=run, usage_error=sub.error)
        return sub

    _create_options(command("create", _create_command, "Create memory, write to it, and hold it.",
                            'demo "Message from first process."'))
    _read_options(command("read", _read_command, "Print what is in memory, as text up to its first NUL, or otherwise.",
                          "demo --timeout 10 --watch"))
    _write_options(command("write", _write_command, "Write to memory that exists.", 'demo "New message."'))
    _name_argument(command("info", _info_command, "Show what has a name, and what this process may do with it.",
                           "demo"))
    _list_options(command("list", _list_command, "List the memory of this session and of Global\\ with its size in "
                          "bytes; - stands for one that is not known.", '"*demo*" --all'))
    return parser


def _name_argument(sub: ArgumentParser) -> None:
    sub.add_argument("name", metavar="NAME", type=_argument(_check_name),
                     help="a name, with or without the prefix Local\\ or Global\\")


def _encoding_option(group: Any) -> None:
    group.add_argument("--encoding", metavar="E", type=_argument(_parse_encoding), default="utf-16-le",
                       help="of the text; default %(default)s, the wide characters of Windows")


def _offset_option(sub: ArgumentParser) -> None:
    sub.add_argument("--offset", metavar="N", type=_argument(_parse_offset), default=0,
                     help="bytes to skip (4096, 0x1000, 64K, 16M, 2G); default 0")


def _content_arguments(sub: ArgumentParser) -> None:
    sub.add_argument("text", metavar="TEXT", nargs="?", help="what to write; a NUL is added where one fits")
    content = sub.add_mutually_exclusive_group()
    _encoding_option(content)
    content.add_argument("--from-hex", metavar="HEX", type=_argument(_parse_hex),
                         help="bytes to write instead of TEXT, such as 0aff")
    content.add_argument("--input", metavar="PATH", help="a file to write instead of TEXT, - for standard input")


def _create_options(sub: ArgumentParser) -> None:
    _name_argument(sub)
    _content_arguments(sub)
    sub.add_argument("--size", metavar="N", type=_argument(_parse_size),
                     help="bytes (4096, 0x1000, 64K, 16M, 2G); default "
                          f"{_DEFAULT_SIZE}, or what the text needs, or the whole file")
    sub.add_argument("--file", metavar="PATH",
                     help="a file to map instead of the paging file; --size makes it, or makes it larger")
    sub.add_argument("--exist-ok", action="store_true", help="attach to the memory if the name is taken")
    sub.add_argument("--sddl", metavar="S", type=_argument(_parse_sddl),
                     help="security descriptor, on Windows, such as D:(A;;GA;;;OW)(A;;GR;;;WD) to let others read")
    sub.add_argument("--hold", metavar="SECONDS", type=_argument(_parse_seconds),
                     help="how long to hold the memory, instead of until Enter or Ctrl+C, which end it before")


def _read_options(sub: ArgumentParser) -> None:
    _name_argument(sub)
    _offset_option(sub)
    sub.add_argument("--size", metavar="N", type=_argument(_parse_size),
                     help="how many bytes to look at; default all, or one record of --struct")
    form = sub.add_mutually_exclusive_group()
    _encoding_option(form)
    form.add_argument("--hex", action="store_true", help="print a hexadecimal dump instead of text")
    form.add_argument("--raw", action="store_true", help="write the bytes themselves, for a pipe or a file")
    form.add_argument("--struct", metavar="FORMAT", type=_argument(_parse_struct),
                      help='print the fields of records, in a format of the module struct, such as "<4sIId"')
    sub.add_argument("--timeout", metavar="SECONDS", type=_argument(_parse_seconds), default=0.0,
                     help="how long to wait for the name and, for text, for its first character; default 0")
    sub.add_argument("--watch", metavar="SECONDS", type=_argument(_parse_interval), nargs="?", const=0.1,
                     help="print it again whenever it changes, until Ctrl+C or until it is gone; look every SECONDS, "
                          "default %(const)s")


def _write_options(sub: ArgumentParser) -> None:
    _name_argument(sub)
    _content_arguments(sub)
    _offset_option(sub)


def _list_options(sub: ArgumentParser) -> None:
    sub.add_argument("pattern", metavar="PATTERN", type=_argument(_parse_pattern), nargs="?", default="*",
                     help="of names, with *, ? and [...]; it is compared with their prefix, too, if it has a backslash")
    sub.add_argument("--all", action="store_true", help="list mutexes, events, semaphores, timers and jobs, too")


def _complain_of(error: BaseException, arguments: Namespace) -> None:
    """Say in one line what went wrong."""
    name, place = getattr(arguments, "name", None), getattr(error, "filename", None)
    cause = getattr(error, "strerror", None) or str(error) or _NO_MEMORY  # a MemoryError has no text
    parts = ["namedmap", name, None if place == name else place, cause]
    _complain(_printable(": ".join(str(part) for part in parts if part is not None)))


def _is_broken_pipe(error: OSError) -> bool:
    """Whether standard output is a pipe that nobody reads any more, as after `head`."""
    # Windows says EINVAL, as it does for much else.
    return error.errno == errno.EPIPE or (
        error.errno == errno.EINVAL and stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode))


class _Interrupts:
    """Ctrl+C as KeyboardInterrupt, also if it comes while a view is unmapped: Python drops what __del__ raises."""

    def __enter__(self) -> None:
        import signal
        self._signal, self._previous = signal, signal.getsignal(signal.SIGINT)
        # Not in other threads, which must not, nor where somebody else has Ctrl+C already.
        self._active = (self._previous is signal.default_int_handler
                        and threading.current_thread() is threading.main_thread())
        if self._active:
            signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *exc_info: object) -> None:
        if self._active:
            self._signal.signal(self._signal.SIGINT, self._previous)

    def _interrupt(self, number: int, frame: Any) -> None:
        if _is_called_by(frame, "__del__"):
            threading.Timer(0.01, self._signal.raise_signal, [number]).start()  # once more, when it is over
        else:
            raise KeyboardInterrupt


def _parse(argv: Optional[List[str]], arguments: Namespace) -> None:
    _, rest = _parser().parse_known_args(argv, arguments)
    # argparse finds a TEXT only right behind NAME, while people put options in between.
    is_text = len(rest) == 2 and rest[0] == "--" or len(rest) == 1 and not rest[0].startswith("-")
    if is_text and getattr(arguments, "text", "") is None:
        arguments.text = rest[-1]
    elif rest:
        arguments.usage_error("unrecognized arguments: " + " ".join(rest))


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line and return its exit status: 0, or 1 after an error, of which standard error tells.

    `argv` are the arguments without the name of the program; None takes those of this process.  Raises SystemExit for
    ``--help`` and ``--version`` (0) and for a wrong command line (2).
    """
    from argparse import Namespace
    arguments = Namespace()
    try:
        try:
            _parse(argv, arguments)
            with _Interrupts():
                arguments.run(arguments)
        finally:
            _flush()
    except _UsageError as error:
        arguments.usage_error(str(error))
    except _OutputError as error:
        if not _is_broken_pipe(error.args[0]):
            _complain_of(_blame(error.args[0], "standard output"), arguments)
        _discard(sys.stdout)
    except KeyboardInterrupt:
        _complain_of(KeyboardInterrupt("interrupted"), arguments)
    except (OSError, ValueError, MemoryError, NotImplementedError) as error:
        _complain_of(error, arguments)
    else:
        return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
