# SPDX-License-Identifier: MIT
#
# Copyright (c) 2026 the namedmap authors
#
# Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
# documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
# rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
# persons to whom the Software is furnished to do so, subject to the following conditions:
#
# The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
# Software.
#
# THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
# WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
# COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
# OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
r"""Named shared memory of Windows, and what coordinates it: file mapping objects, mutexes, events and semaphores.

Linux has the same objects from this module, with the same lifetime.

One process makes memory under a name and writes to it:

    import namedmap

    with namedmap.NamedMap.create(r"Local\demo", 256) as m:
        m.write_text("Message from first process.")
        input("Enter ends it ")

Another one, in any language (on Linux: with this module), opens it by that name and reads it:

    with namedmap.NamedMap.open(r"Local\demo", access="r") as m:
        print(m.read_text())

Names.  A name belongs to the session of the user who is logged on, with or without the prefix ``Local\``; with
``Global\`` it is seen in all sessions, and creating memory there (not opening it) needs the privilege
SeCreateGlobalPrivilege, which services and elevated programs have.  Names are case-sensitive, and objects of all kinds
share them.

Size.  The system rounds memory up to whole pages (4096 bytes on Windows) and does not keep the size that was asked
for, so that open() without ``size=`` reports the rounded one.

Lifetime.  An object and its name live as long as a process has it open: when the last process closes it, or dies, both
are gone.  Closing never pulls memory from under a reader: ``close()`` gives up the handle at once, while buffers,
slices, numpy arrays and ctypes overlays that were borrowed stay valid, and the memory is unmapped after the last of
them.

Coordination.  Reading and writing the memory locks nothing.  Processes that write the same bytes can take turns with a
Mutex, wake each other with an Event, and count with a Semaphore; these are made, opened, passed on and closed like
memory, and need names of their own:

    mutex = namedmap.Mutex.create(r"Local\demo mutex", exist_ok=True)
    with mutex:
        m[0] += 1

If a process dies while it holds the mutex, the next waiter gets it, and ``mutex.abandoned`` says that the data may be
half written.  A thread waits for one of several of these with ``wait_any([changed, stop])``.

Linux.  There the objects are files in /dev/shm, in a directory that only the user may use: nothing is shared between
users, or with programs that do not use this module.  ``Local\`` and ``Global\`` are two namespaces.  What needs Windows
raises NotImplementedError: ``sddl``, ``inheritable``, ``view(address=)``, ``duplicate()`` and ``from_handle()``.

On the command line, ``python -m namedmap create NAME TEXT`` and ``python -m namedmap read NAME`` show whether two
processes see the same memory; ``--help`` says the rest.  README.rst has more: errors, C structures, other languages.
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from ctypes import c_char, c_int, c_long, c_longlong, c_size_t as SIZE_T, c_ubyte, c_uint, c_ulonglong
from ctypes.wintypes import (BOOL, BOOLEAN, DWORD, HANDLE, LARGE_INTEGER, LONG, LPCVOID, LPCWSTR, LPVOID, ULONG, USHORT)
from functools import lru_cache, partial
from itertools import chain, compress, filterfalse, repeat, starmap, takewhile, zip_longest
from math import ceil, inf
from operator import attrgetter, index
from types import SimpleNamespace

TYPE_CHECKING = bool()  # false, in a form that lets all editors look at what follows; typing is imported by them only
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, NoReturn, TypeVar, Union, overload

    if sys.platform == "linux":
        Layer = Union["_Windows", "_Linux"]
    else:
        Layer = Union["_Windows"]
    CData = TypeVar("CData")  # a Structure, Union, array or simple type of ctypes
    Closable = TypeVar("Closable", bound="_Closable")
    Object = TypeVar("Object", bound="_Object")
    Lock = TypeVar("Lock", bound="_Lock")
    Buffer = Any  # whatever memoryview() accepts: bytes, bytearray, array.array, numpy.ndarray...
    File = Any  # a path (str, bytes or os.PathLike) or an open file
else:  # for typing.get_type_hints()
    Any = Buffer = File = CData = Closable = Object = Lock = Namespace = NoReturn = object

__all__ = ["NamedMap", "View", "Mutex", "Event", "Semaphore", "wait_any"]
__version__ = "0.2.0"


# ---------------------------------------------------------------- arguments and errors

_MAX_NAME = 259  # UTF-16 units: MAX_PATH without its NUL, which every Windows function accepts
_MAX_FOUND_NAME = 32766  # UTF-16 units: of names that others have made, what a UNICODE_STRING can hold
_MAX_SIZE = 2 ** 63 - 1  # bytes: CreateFileMapping takes two DWORDs, and the kernel a signed number
_MAX_COUNT = 2 ** 31 - 1  # of a semaphore: a LONG

# The kinds of objects that share one namespace: what the kernel of Windows calls them, and what they are called here.
_KINDS = {"Event": "event", "Job": "job", "Mutant": "mutex", "Section": "file mapping object",
          "Semaphore": "semaphore", "Timer": "timer"}

# How control characters are shown; and what one of them, or a slash, stands for where a backslash was meant.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_MEANT = {**_CONTROLS, **{code: "\\" + letter for code, letter in zip(b"\a\b\t\n\v\f\r/", (*"abtnvfr", ""))}}


def _utf16(name: str) -> bytes:
    # Not by str.encode(), which imports the codec at its first use: a process forked during an import hangs in its own.
    return codecs.utf_16_le_encode(name, "surrogatepass")[0]


def _check_name(name: str | None, opening: bool = False) -> str | None:
    if name is None and not opening:
        return None
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, not {type(name).__name__}")
    if "\0" in name:
        raise ValueError(f"a name must not contain NUL, where Windows would end it: {name!r}")
    for scope in ("Local", "Global"):
        behind, rest = name[len(scope):][:1], name[len(scope) + 1:]
        if name.startswith(scope) and behind.translate(_MEANT) != behind:
            raise ValueError(f"{name!r} has a control character or slash where the backslash after {scope} should be: "
                             f'write r"{scope}{behind.translate(_MEANT)}{rest}"; if it is meant so, put Local and a '
                             "backslash in front of it")
    prefix, backslash, rest = name.rpartition("\\")
    session = prefix[8:] if opening and prefix.startswith("Session\\") else ""
    if backslash and prefix not in ("Local", "Global") and not (session.isdecimal() and session.isascii()):
        raise ValueError(f"a backslash may only follow the prefix Local or Global, spelled like that: {name!r}")
    if not rest or name in ("Local", "Global", "Session"):
        raise ValueError(f"a name must not be empty or only a prefix: {name!r}")
    units, most = len(_utf16(name)) // 2, _MAX_FOUND_NAME if opening else _MAX_NAME
    if units > most:
        raise ValueError(f"a name must have at most {most} UTF-16 units, its prefix included; this has {units}")
    return name


def _check_number(what: str, number: int, lowest: int, highest: int, range_text: str) -> int:
    try:
        number = index(number)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(number).__name__}") from None
    if not lowest <= number <= highest:
        raise ValueError(f"{what} must be {range_text}, not {number}")
    return number


def _check_size(size: Any) -> Any:
    return None if size is None else _check_number("a size", size, 1, _MAX_SIZE, "1 to 2**63-1 bytes")


def _check_access(access: str) -> str:
    if not isinstance(access, str):
        raise TypeError(f"access must be a str, not {type(access).__name__}")
    if access not in ("r", "rw", "c"):
        raise ValueError(f'access must be "r" (read), "rw" (read and write) or "c" (copy-on-write), not {access!r}')
    return access


def _check_timeout(timeout: float | None) -> float:
    if timeout is None:
        return inf
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout must be a number of seconds or None, not {type(timeout).__name__}")
    if not 0 <= timeout <= threading.TIMEOUT_MAX:  # false for NaN, too
        raise ValueError(f"a timeout must be 0 to {threading.TIMEOUT_MAX:.0f} seconds, or None for ever, not {timeout}")
    return timeout


def _check_sddl(sddl: str | None) -> str | None:
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
    if view.format.endswith("O"):
        raise TypeError(f"{type(data).__name__} holds Python objects, whose addresses mean nothing to other processes")
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # it is empty, in several pieces, or has records
        return memoryview(view.tobytes())


# winerror.h; on Linux, too, these stand for the errors that both systems have
ERROR_FILE_NOT_FOUND = 2
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_NOT_ENOUGH_MEMORY = 8
ERROR_ALREADY_EXISTS = 183
ERROR_FILE_INVALID = 1006
_ERRNOS = {
    ERROR_FILE_NOT_FOUND: errno.ENOENT, ERROR_ACCESS_DENIED: errno.EACCES, ERROR_INVALID_HANDLE: errno.EBADF,
    ERROR_NOT_ENOUGH_MEMORY: errno.ENOMEM, ERROR_ALREADY_EXISTS: errno.EEXIST, ERROR_FILE_INVALID: errno.EINVAL}
_NO_MEMORY = "there is not that much memory or free address space"
_NAME_CAUSES = {
    ERROR_FILE_NOT_FOUND: "nothing has this name now: is the publisher running, with its handle open, and in this "
                          "session or in Global\\?",
    ERROR_ALREADY_EXISTS: "the name is taken: a process still has it open, and a reader counts; "
                          "exist_ok=True (--exist-ok) attaches to it",
}
_TRY_READING = '; opening it for reading with access="r" may be allowed'


def _os_error(code: int, cause: str, name: str | None = None) -> OSError:
    """The exception for a Win32 error code, of the subclass that belongs to it; only Windows keeps the code."""
    return OSError(_ERRNOS.get(code, 0), cause, name, code)


def _name_error(code: int, name: str | None) -> OSError:
    return _os_error(code, _NAME_CAUSES[code], name)


def _other_kind(name: str | None, kind: str) -> OSError:
    article = "an" if kind == "Event" else "a"
    return _os_error(ERROR_INVALID_HANDLE, f"this is the name of {article} {_KINDS[kind]}, and objects of different "
                     "kinds cannot have the same name", name)


_read_only = partial(_os_error, ERROR_ACCESS_DENIED, "the memory was created read-only" + _TRY_READING)
_too_large = partial(_os_error, ERROR_NOT_ENOUGH_MEMORY, _NO_MEMORY + "; map parts of a large object with view()")


def _not_opened_for(access: str) -> OSError:
    return _os_error(ERROR_ACCESS_DENIED, f"the file was not opened for access={access!r}; the modes "
                     '"r+b" and "w+b" are for reading and writing')


def _blame(error: OSError, name: Any) -> OSError:
    """The exception, with a name or path unless it has one."""
    if name is not None and error.filename is None:
        error.filename = name
    return error


# ---------------------------------------------------------------- what is given back

_untrack: Any = ctypes.pythonapi["PyObject_GC_UnTrack"]
_untrack.restype, _untrack.argtypes = None, (ctypes.py_object,)


class _Owned:
    """Something of the system, such as a handle, that is given back when nothing refers to this object any more.

    Whatever uses it holds a reference; so nothing is closed or unmapped in the middle of its use.  The garbage
    collector is told to leave it alone, because that calls the finalizers of a cycle in no useful order, and would
    unmap memory that another __del__ of the cycle still reads; so it must hold nothing that can lead back to it.  What
    a __del__ uses are default arguments, because the globals of a module may be gone when an interpreter ends.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value
        _untrack(self)


class _OwnedFile(_Owned):  # the file descriptor of a user's file
    __slots__ = ()

    def close(self, close: Any = os.close, is_finalizing: Any = sys.is_finalizing) -> None:
        descriptor, self.value = self.value, -1
        try:
            if not is_finalizing():  # then the system closes it, while daemon threads may still use it
                close(descriptor)
        except OSError:
            pass  # it is closed

    __del__ = close


# ---------------------------------------------------------------- Windows

# From memoryapi.h, winnt.h, winbase.h, fileapi.h, sddl.h, winternl.h and winerror.h.
FILE_MAP_COPY = 0x0001
FILE_MAP_WRITE = 0x0002
FILE_MAP_READ = 0x0004
SYNCHRONIZE = 0x00100000
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
GENERIC_READ = 0x80000000
GENERIC_WRITE = 0x40000000
PROCESS_DUP_HANDLE = 0x0040
DUPLICATE_SAME_ACCESS = 0x2
MAXIMUM_WAIT_OBJECTS = 64
WAIT_OBJECT_0 = 0x00
WAIT_ABANDONED_0 = 0x80
WAIT_TIMEOUT = 0x102
WAIT_FAILED = 0xFFFFFFFF
CREATE_NEW = 1
OPEN_EXISTING = 3
SDDL_REVISION_1 = 1
INVALID_HANDLE_VALUE = HANDLE(-1).value  # not -1, which never equals what ctypes returns for it
DIRECTORY_QUERY = 0x0001
EVENT_QUERY_STATE = 0x0001
BasicInformation = 0  # of EVENT_INFORMATION_CLASS, OBJECT_INFORMATION_CLASS and SECTION_INFORMATION_CLASS
ObjectTypeInformation = 2
SynchronizationEvent = 1
ERROR_PATH_NOT_FOUND = 3
ERROR_SHARING_VIOLATION = 32
ERROR_LOCK_VIOLATION = 33
ERROR_INVALID_PARAMETER = 87
ERROR_DISK_FULL = 112
ERROR_BAD_EXE_FORMAT = 193
ERROR_NO_MORE_ITEMS = 259
ERROR_NOT_OWNER = 288
ERROR_TOO_MANY_POSTS = 298
ERROR_INVALID_ADDRESS = 487
ERROR_USER_MAPPED_FILE = 1224
ERROR_NO_SYSTEM_RESOURCES = 1450
ERROR_COMMITMENT_LIMIT = 1455

# What errors mean: of any function, and of those that take a name, a handle, a process or a file.
_CAUSES = {
    ERROR_NOT_ENOUGH_MEMORY: _NO_MEMORY,
    ERROR_INVALID_ADDRESS: "the address range is not free in this process",
    ERROR_NO_SYSTEM_RESOURCES: _NO_MEMORY,
    ERROR_COMMITMENT_LIMIT: "the paging file cannot hold it: ask for less, or enlarge the paging file",
}
_NAME_CAUSES.update({
    ERROR_PATH_NOT_FOUND: _NAME_CAUSES[ERROR_FILE_NOT_FOUND],  # there is no such session
    ERROR_ACCESS_DENIED: "access is denied by the security descriptor that its creator gave it",
    ERROR_INVALID_HANDLE: "this is the name of another kind of object",
})
_HANDLE_CAUSES = {
    ERROR_ACCESS_DENIED: "this handle does not allow it, because of the security descriptor or of the process that "
                         "duplicated it",
    ERROR_INVALID_HANDLE: "the handle was closed by something other than this object",
}
_PROCESS_CAUSES = {
    **_HANDLE_CAUSES,
    ERROR_ACCESS_DENIED: "the process has ended, or may not be given handles",
    ERROR_INVALID_PARAMETER: "there is no process with this id",
}
_FILE_CAUSES = {
    **dict.fromkeys((ERROR_NOT_ENOUGH_MEMORY, ERROR_INVALID_PARAMETER, ERROR_DISK_FULL),
                    "the disk has no room for a file of that size"),
    ERROR_SHARING_VIOLATION: "the file is open elsewhere; a mapping of a path has the file for itself, "
                             "while the mapping of an open file shares it",
    ERROR_LOCK_VIOLATION: "a part of the file is locked by another program",
    ERROR_BAD_EXE_FORMAT: "Windows cannot map this file",
    ERROR_FILE_INVALID: "the file has become empty",
    ERROR_USER_MAPPED_FILE: "the file is mapped elsewhere, and cannot become shorter until that ends",
}
_MAY_NOT_WRITE = ("it exists, but this process may not write to it: its creator probably runs as administrator, as a "
                  'service or as another user; open it with access="r", run both at the same level, or let the creator '
                  "give a security descriptor (sddl)")
_NEEDS_PRIVILEGE = ("creating memory in Global\\ needs the privilege SeCreateGlobalPrivilege (opening does not): "
                    "run elevated or as a service, or use Local\\")

# For each access: the protection of an object's pages, and what is asked of a view and of a file.
_PROTECTION = {"r": PAGE_READONLY, "rw": PAGE_READWRITE, "c": PAGE_WRITECOPY}
_VIEW_RIGHTS = {"r": FILE_MAP_READ, "rw": FILE_MAP_READ | FILE_MAP_WRITE, "c": FILE_MAP_COPY}
_FILE_RIGHTS = {"r": GENERIC_READ, "rw": GENERIC_READ | GENERIC_WRITE, "c": GENERIC_READ}

# By access for memory, by kind for other objects: the functions that make and open it, and the rights to ask for, one
# after the other, because a security descriptor may allow only a part.  The owner of a mutex may release it.
_OBJECTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys("rc", ("CreateFileMappingW", "OpenFileMappingW", FILE_MAP_READ | SECTION_QUERY, FILE_MAP_READ)),
    "rw": ("CreateFileMappingW", "OpenFileMappingW", _VIEW_RIGHTS["rw"] | SECTION_QUERY, _VIEW_RIGHTS["rw"]),
    "Mutant": ("CreateMutexW", "OpenMutexW", SYNCHRONIZE),
    "Event": ("CreateEventW", "OpenEventW", SYNCHRONIZE | EVENT_MODIFY_STATE | EVENT_QUERY_STATE,
              SYNCHRONIZE | EVENT_MODIFY_STATE, SYNCHRONIZE | EVENT_QUERY_STATE, SYNCHRONIZE, EVENT_MODIFY_STATE),
    "Semaphore": ("CreateSemaphoreW", "OpenSemaphoreW", SYNCHRONIZE | SEMAPHORE_MODIFY_STATE, SYNCHRONIZE,
                  SEMAPHORE_MODIFY_STATE),
}


class MEMORY_BASIC_INFORMATION(ctypes.Structure):  # of a run of pages, from VirtualQuery
    _fields_ = [("BaseAddress", LPVOID), ("AllocationBase", LPVOID), ("AllocationProtect", DWORD),
                ("RegionSize", SIZE_T), ("State", DWORD), ("Protect", DWORD), ("Type", DWORD)]


class SECTION_BASIC_INFORMATION(ctypes.Structure):  # of a file mapping object, which the kernel calls a section
    _fields_ = [("BaseAddress", LPVOID), ("Attributes", ULONG), ("Size", LARGE_INTEGER)]


OBJECT_BASIC_INFORMATION = ULONG * 14  # Attributes, GrantedAccess, HandleCount, PointerCount...
EVENT_BASIC_INFORMATION = LONG * 2  # EventType, EventState


class UNICODE_STRING(ctypes.Structure):  # a string of the kernel; its lengths are in bytes
    _fields_ = [("Length", USHORT), ("MaximumLength", USHORT), ("Buffer", LPVOID)]

    def __str__(self) -> str:
        return ctypes.wstring_at(self.Buffer, self.Length // 2)


def _elsewhere(*arguments: object) -> NoReturn:
    raise NotImplementedError(f"namedmap needs Windows or Linux, and this system is {sys.platform}")


# As Any, since type checkers elsewhere do not know what only Windows has.
_winctypes: Any = ctypes
_winos: Any = os
_msvcrt: Any = __import__("msvcrt") if sys.platform == "win32" else SimpleNamespace(get_osfhandle=_elsewhere)


def _retried(code: int, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, and again for half a second while it fails with a Win32 error that usually passes."""
    for attempt in range(10):
        try:
            return call(*arguments)
        except OSError as error:
            if attempt == 9 or getattr(error, "winerror", None) != code:
                raise
        time.sleep(0.001 * 2 ** attempt)


def _win_error(code: int, causes: dict[int, str], name: str | None = None) -> OSError:
    kind = _layer.kind_of_name(name) if name and causes is _NAME_CAUSES and code == ERROR_INVALID_HANDLE else None
    if kind is not None:
        return _other_kind(name, kind)
    return _os_error(code, causes.get(code) or _CAUSES.get(code) or _winctypes.FormatError(code).strip(), name)


def _section_refused(code: int, file: int, _: Any, protection: int, high: int, low: int, name: Any) -> OSError:
    if code == ERROR_ACCESS_DENIED and str(name).startswith("Global\\"):
        return _os_error(code, _NEEDS_PRIVILEGE, name)  # unless the name is taken: opening it finds out
    if file != INVALID_HANDLE_VALUE and code == ERROR_ACCESS_DENIED:
        return _not_opened_for(next(access for access, bits in _PROTECTION.items() if protection & bits))
    if file != INVALID_HANDLE_VALUE and code != ERROR_INVALID_HANDLE:
        return _win_error(code, _FILE_CAUSES)
    if code == ERROR_INVALID_PARAMETER and high:
        return _os_error(code, _NO_MEMORY, name)  # all but the size was checked before
    return _win_error(code, _NAME_CAUSES, name)


def _view_refused(code: int, _: Any, rights: int, *rest: Any) -> OSError:
    if code in (ERROR_NOT_ENOUGH_MEMORY, ERROR_NO_SYSTEM_RESOURCES):
        return _too_large()
    if code in (ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER) and rights & FILE_MAP_WRITE and not rest[-1]:
        return _read_only()  # no address, and the range was checked before: it must be the protection of the object
    return _win_error(code, _HANDLE_CAUSES)


# Every function, sorted: its DLL, restype and argtypes, and what explains its errors: causes, or a function above.  {}
# is for no check; None also leaves the last error as it was, for what a __del__ may call between a call and its check.
_PROTOTYPES = {
    "CloseHandle": ("kernel32", BOOL, (HANDLE,), None),  # it can only fail if something else closed the handle
    "ConvertStringSecurityDescriptorToSecurityDescriptorW": (
        "advapi32", BOOL, (LPCWSTR, DWORD, LPVOID, LPVOID), _CAUSES),
    "CreateEventW": ("kernel32", HANDLE, (LPVOID, BOOL, BOOL, LPCWSTR), _NAME_CAUSES),
    "CreateFileMappingW": ("kernel32", HANDLE, (HANDLE, LPVOID, DWORD, DWORD, DWORD, LPCWSTR), _section_refused),
    "CreateFileW": ("kernel32", HANDLE, (LPCWSTR, DWORD, DWORD, LPVOID, DWORD, DWORD, HANDLE), _FILE_CAUSES),
    "CreateMutexW": ("kernel32", HANDLE, (LPVOID, BOOL, LPCWSTR), _NAME_CAUSES),
    "CreateSemaphoreW": ("kernel32", HANDLE, (LPVOID, LONG, LONG, LPCWSTR), _NAME_CAUSES),
    "DuplicateHandle": ("kernel32", BOOL, (HANDLE, HANDLE, HANDLE, LPVOID, DWORD, BOOL, DWORD), _PROCESS_CAUSES),
    "FlushViewOfFile": ("kernel32", BOOL, (LPCVOID, SIZE_T), _FILE_CAUSES),
    "GetCurrentProcess": ("kernel32", HANDLE, (), None),  # it returns a constant
    "LocalFree": ("kernel32", LPVOID, (LPVOID,), None),  # it can only fail for what was not allocated
    "MapViewOfFileEx": ("kernel32", LPVOID, (HANDLE, DWORD, DWORD, DWORD, SIZE_T, LPVOID), _view_refused),
    "NtOpenDirectoryObject": ("ntdll", c_long, (LPVOID, DWORD, LPVOID), _CAUSES),
    "NtQueryDirectoryObject": ("ntdll", c_long, (HANDLE, LPVOID, ULONG, BOOLEAN, BOOLEAN, LPVOID, LPVOID), _CAUSES),
    "NtQueryEvent": ("ntdll", c_long, (HANDLE, c_int, LPVOID, ULONG, LPVOID), _HANDLE_CAUSES),
    "NtQueryObject": ("ntdll", c_long, (HANDLE, c_int, LPVOID, ULONG, LPVOID), _HANDLE_CAUSES),
    "NtQuerySection": ("ntdll", c_long, (HANDLE, c_int, LPVOID, SIZE_T, LPVOID), _HANDLE_CAUSES),
    "OpenEventW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _NAME_CAUSES),
    "OpenFileMappingW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _NAME_CAUSES),
    "OpenMutexW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _NAME_CAUSES),
    "OpenProcess": ("kernel32", HANDLE, (DWORD, BOOL, DWORD), _PROCESS_CAUSES),
    "OpenSemaphoreW": ("kernel32", HANDLE, (DWORD, BOOL, LPCWSTR), _NAME_CAUSES),
    "ProcessIdToSessionId": ("kernel32", BOOL, (DWORD, LPVOID), _CAUSES),
    "ReleaseMutex": ("kernel32", BOOL, (HANDLE,), {}),  # a check is Python code: an interrupt would lose the result
    "ReleaseSemaphore": ("kernel32", BOOL, (HANDLE, LONG, LPVOID), _HANDLE_CAUSES),
    "ResetEvent": ("kernel32", BOOL, (HANDLE,), _HANDLE_CAUSES),
    "RtlNtStatusToDosError": ("ntdll", ULONG, (c_long,), {}),  # it translates errors, and cannot fail
    "SetEvent": ("kernel32", BOOL, (HANDLE,), _HANDLE_CAUSES),
    "UnmapViewOfFile": ("kernel32", BOOL, (LPCVOID,), None),  # it can only fail if something else unmapped the view
    "VirtualAlloc": ("kernel32", LPVOID, (LPVOID, SIZE_T, DWORD, DWORD), _CAUSES),
    "VirtualQuery": ("kernel32", SIZE_T, (LPCVOID, LPVOID, SIZE_T), _CAUSES),
    "WaitForMultipleObjects": ("kernel32", DWORD, (DWORD, LPVOID, BOOL, DWORD), {}),  # as for ReleaseMutex
}


def _check(result: Any, function: Any, arguments: tuple[Any, ...]) -> Any:
    """The errcheck of the functions: raise the exception for a call that failed, else return its result."""
    failed = result < 0 if function.is_status else result in (None, 0, INVALID_HANDLE_VALUE)
    if not failed:
        return result
    code = _win.RtlNtStatusToDosError(result) if function.is_status else _winctypes.get_last_error()
    if code in (ERROR_NO_MORE_ITEMS, ERROR_TOO_MANY_POSTS):
        return result  # at which the caller looks
    causes: Any = function.causes
    if not isinstance(causes, dict):
        raise causes(code, *arguments)
    raise _win_error(code, causes, dict(zip(function.argtypes, arguments)).get(LPCWSTR))


def _functions() -> Any:
    """The functions of the table, from private DLL objects: the prototypes of ctypes.windll are the whole process's."""
    functions: dict[str, Any] = dict.fromkeys(_PROTOTYPES, _elsewhere)
    if sys.platform == "win32":
        library: Any = lru_cache(None)(ctypes.WinDLL)
        for name, (dll, restype, argtypes, causes) in _PROTOTYPES.items():
            functions[name] = function = library(dll, use_last_error=causes is not None)[name]
            function.restype, function.argtypes, function.causes = restype, argtypes, causes
            function.is_status = dll == "ntdll"  # whose functions return the error, and do not set the last error
            if causes:
                function.errcheck = _check
    return SimpleNamespace(**functions)


_win = _functions()


class SECURITY_ATTRIBUTES(ctypes.Structure):  # of a new object; this owns the security descriptor
    _fields_ = [("nLength", DWORD), ("lpSecurityDescriptor", LPVOID), ("bInheritHandle", BOOL)]

    def __del__(self, free: Any = _win.LocalFree) -> None:
        if self.lpSecurityDescriptor:
            free(self.lpSecurityDescriptor)


class _Windows:  # the system calls that everything below stands on
    def security_attributes(self, sddl: str | None, inheritable: bool) -> SECURITY_ATTRIBUTES:
        security = SECURITY_ATTRIBUTES(ctypes.sizeof(SECURITY_ATTRIBUTES), None, inheritable)
        if sddl is not None:
            descriptor = ctypes.byref(security, SECURITY_ATTRIBUTES.lpSecurityDescriptor.offset)
            try:
                _win.ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl, SDDL_REVISION_1, descriptor, None)
            except OSError as error:
                raise ValueError(f"not a security descriptor in SDDL: {sddl!r} ({error.strerror})") from None
        return security

    def _create(self, key: str, name: str | None, exist_ok: bool, security: SECURITY_ATTRIBUTES,
                *arguments: Any) -> tuple[int, bool]:
        """A handle, and whether the object is new; FileExistsError for one that exists, unless `exist_ok`."""
        function, attempts = getattr(_win, _OBJECTS[key][0]), 5
        while True:
            attempts -= 1
            try:
                handle: int = function(*arguments, name)
                created = _winctypes.get_last_error() != ERROR_ALREADY_EXISTS
            except OSError as error:
                if name is None or error.errno == errno.EBADF:
                    raise
                # The name may be taken all the same: by an object whose security descriptor does not grant all that
                # creating asks for; and Windows makes another object, for which memory may lack, before it looks.
                try:
                    handle, created = self.open_object(name, key, bool(security.bInheritHandle)), False
                except FileNotFoundError:
                    if attempts and isinstance(error, PermissionError):
                        continue  # the object may have gone meanwhile
                    raise error from None
                except PermissionError as refused:
                    raise (refused if exist_ok else _name_error(ERROR_ALREADY_EXISTS, name)) from None
            if created or exist_ok:
                return handle, created
            self.close_handle(handle)
            raise _name_error(ERROR_ALREADY_EXISTS, name)

    def open_object(self, name: str, key: str, inheritable: bool) -> int:
        """A handle with the first of the access rights that are granted."""
        _, function, *rights = _OBJECTS[key]
        while True:
            try:
                return int(getattr(_win, function)(rights.pop(0), inheritable, name))
            except PermissionError as error:
                if not rights:
                    if key == "rw":
                        error.strerror = _MAY_NOT_WRITE
                    raise

    def close_handle(self, handle: int, close: Any = _win.CloseHandle, is_finalizing: Any = sys.is_finalizing) -> None:
        if not is_finalizing():  # then the system closes it, while daemon threads may still use it
            close(handle)

    def duplicate_handle(self, handle: int, pid: int) -> int:
        process, duplicate = _OwnedHandle(_win.OpenProcess(PROCESS_DUP_HANDLE, False, pid)), HANDLE()
        _win.DuplicateHandle(_win.GetCurrentProcess(), handle, process.value, ctypes.byref(duplicate), 0, False,
                             DUPLICATE_SAME_ACCESS)
        return duplicate.value or 0

    def hand_over(self, handle: int, popen: Any) -> int:
        return int(popen.duplicate_for_child(handle))

    take_over = int  # the handle is this process's already

    def _query(self, function: Any, handle: int, result: Any, information_class: int = BasicInformation) -> Any:
        function(handle, information_class, ctypes.byref(result), ctypes.sizeof(result), None)
        return result

    def section_access(self, handle: int) -> str | None:
        """The widest access that a handle of a file mapping object has, None without any."""
        granted = self._query(_win.NtQueryObject, handle, OBJECT_BASIC_INFORMATION())[1]
        return "rw" if granted & FILE_MAP_WRITE else "r" if granted & FILE_MAP_READ else None

    def holders(self, name: str, kind: str) -> str:
        """Which processes have an object open, as far as the system says: how many handles there are."""
        key = "r" if kind == "Section" else kind
        if key not in _OBJECTS:
            return "unknown for this kind"
        owned = _OwnedHandle(self.open_object(name, key, False))
        count = self._query(_win.NtQueryObject, owned.value, OBJECT_BASIC_INFORMATION())[2]
        return f"handles: {count - 1}"  # without the one that asks

    def handle_kind(self, handle: int) -> str:
        """What the kernel calls the kind of object that a handle belongs to, such as "Section"."""
        buffer = self._query(_win.NtQueryObject, handle, ctypes.create_string_buffer(1024), ObjectTypeInformation)
        return str(UNICODE_STRING.from_buffer(buffer))

    def kind_of_name(self, name: str) -> str | None:
        """What has the name, such as "Section"; None if nothing of a known kind has it, or this may not look."""
        scope, _, rest = name.rpartition("\\")
        try:
            return self._names(self._directory(scope)).get(rest)
        except (FileNotFoundError, PermissionError):
            return None

    def named_objects(self) -> Iterator[tuple[str, str]]:
        """All that has a name in this session, and in Global: the name with its prefix, and the kind."""
        for directory, scope in {self._directory(scope): scope for scope in ("Local", "Global")}.items():
            yield from ((f"{scope}\\{name}", kind) for name, kind in sorted(self._names(directory).items()))

    def _directory(self, scope: str) -> str:
        """The directory of the kernel for the names of a scope; session 0, that of services, has one for both."""
        session = DWORD(int(scope.partition("\\")[2] or 0))  # as in Session\1
        if scope in ("", "Local"):
            _win.ProcessIdToSessionId(os.getpid(), ctypes.byref(session))
        return f"\\Sessions\\{session.value}\\BaseNamedObjects" if session.value else "\\BaseNamedObjects"

    def _names(self, directory: str) -> dict[str, str]:
        """The names in a directory of the kernel, and the kinds of what they name."""
        text = ctypes.create_unicode_buffer(directory)
        path = UNICODE_STRING(2 * len(directory), 2 * len(directory), ctypes.addressof(text))
        # OBJECT_ATTRIBUTES: Length, RootDirectory, ObjectName... where a ULONG is padded to the width of a pointer
        attributes, handle = (SIZE_T * 6)(6 * ctypes.sizeof(SIZE_T), 0, ctypes.addressof(path)), HANDLE()
        try:
            _win.NtOpenDirectoryObject(ctypes.byref(handle), DIRECTORY_QUERY, ctypes.byref(attributes))
        except OSError as error:
            raise _blame(error, directory)
        owned = _OwnedHandle(handle.value or 0)
        buffer = ctypes.create_string_buffer(0x20000)  # a name may have 0xFFFC bytes
        entry = (UNICODE_STRING * 2).from_buffer(buffer)  # OBJECT_DIRECTORY_INFORMATION: Name, TypeName
        found: dict[str, str] = {}
        for _ in range(2):  # entries are read by position: one is skipped if another before it vanishes meanwhile
            position = ULONG()
            while _win.NtQueryDirectoryObject(owned.value, buffer, ctypes.sizeof(buffer), True, False,
                                              ctypes.byref(position), None) >= 0:
                found[str(entry[0])] = str(entry[1])
        return {name: kind for name, kind in found.items() if kind in _KINDS}

    def create_file_mapping(self, name: str | None, exist_ok: bool, security: SECURITY_ATTRIBUTES, size: int,
                            access: str, file: _OwnedFile | None, reserve: bool) -> tuple[int, bool]:
        """A handle, and whether the object is new.  One that existed keeps its size; size 0 is that of the file."""
        return self._create(
            access, name, exist_ok, security,
            INVALID_HANDLE_VALUE if file is None else _msvcrt.get_osfhandle(file.value), ctypes.byref(security),
            _PROTECTION[access] | (SEC_RESERVE if reserve else SEC_COMMIT), size >> 32, size & 0xFFFFFFFF)

    def query_section(self, handle: int) -> tuple[int, int | None]:
        """The size in bytes of a file mapping object, whole pages unless it is over a file, and its SEC_ attributes."""
        try:
            section = self._query(_win.NtQuerySection, handle, SECTION_BASIC_INFORMATION())
            return section.Size, section.Attributes
        except PermissionError:  # without SECTION_QUERY: the size is that of a view of all of it, in whole pages
            rights = _VIEW_RIGHTS[self.section_access(handle) or "r"]
            owned = _OwnedView((_win.MapViewOfFileEx(handle, rights, 0, 0, 0, None), 0))
            return sum(region.RegionSize for region in self._regions(owned.value[0])), None

    def section_facts(self, name: str, access: str) -> tuple[int, int | None]:
        """What query_section() returns for the memory of that name; PermissionError if it allows no such access."""
        owned = _OwnedHandle(self.open_object(name, access, False))
        # A handle does not show the protection that the memory was created with.
        _win.UnmapViewOfFile(_win.MapViewOfFileEx(owned.value, _VIEW_RIGHTS[access], 0, 0, 1, None))
        return self.query_section(owned.value)

    def map_view(self, handle: int, access: str, offset: int, size: int, address: int | None = None) -> int:
        """The address of a view, all of whose pages can be touched."""
        if size > sys.maxsize:  # ctypes would cut it
            raise _too_large()
        base: int = _win.MapViewOfFileEx(handle, _VIEW_RIGHTS[access], offset >> 32, offset & 0xFFFFFFFF, size, address)
        try:
            for region in self._regions(base):
                if region.State == MEM_RESERVE:  # of SEC_RESERVE; in a read-only view only its own protection will do
                    _win.VirtualAlloc(region.BaseAddress, region.RegionSize, MEM_COMMIT, region.AllocationProtect)
        except BaseException:
            _win.UnmapViewOfFile(base)
            raise
        return base

    def _regions(self, base: int) -> Iterator[MEMORY_BASIC_INFORMATION]:
        """The regions of a view; one ends where the state or protection of pages changes."""
        region, address = MEMORY_BASIC_INFORMATION(), base
        while True:
            _win.VirtualQuery(address, ctypes.byref(region), ctypes.sizeof(region))
            if region.AllocationBase != base:
                return
            yield region
            address += region.RegionSize

    def unmap_view(self, base: int, size: int, unmap: Any = _win.UnmapViewOfFile) -> None:
        unmap(base)

    flush_view = _win.FlushViewOfFile

    def open_file(self, path: str, access: str, new: bool) -> int:
        """A descriptor of a file that no other program can open meanwhile."""
        handle = _win.CreateFileW(path, _FILE_RIGHTS[access], 0, None, CREATE_NEW if new else OPEN_EXISTING, 0, None)
        try:
            return int(_msvcrt.open_osfhandle(handle, _winos.O_NOINHERIT))
        except BaseException:
            self.close_handle(handle)
            raise

    def create_waitable(self, kind: str, name: str | None, exist_ok: bool, security: SECURITY_ATTRIBUTES,
                        *state: int) -> tuple[int, bool]:
        """CreateMutexW; CreateEventW with manual_reset and initial_state; CreateSemaphoreW with value and maximum."""
        return self._create(kind, name, exist_ok, security, ctypes.byref(security), *state or (False,))

    def release_mutex(self, handle: int, held: list[int]) -> bool:
        """Whether the calling thread was the owner; C code both calls and takes one from `held`, else it is cleared."""
        before = len(held)
        held[-1:] = filterfalse(_win.ReleaseMutex, (handle,))
        if len(held) < before:
            return True
        held.clear()
        if _winctypes.get_last_error() != ERROR_NOT_OWNER:
            raise _win_error(_winctypes.get_last_error(), _HANDLE_CAUSES)
        return False

    set_event = _win.SetEvent
    reset_event = _win.ResetEvent

    def query_event(self, handle: int) -> tuple[bool, bool]:
        """Whether an event resets itself, and whether it is set."""
        event_type, state = self._query(_win.NtQueryEvent, handle, EVENT_BASIC_INFORMATION())
        return event_type == SynchronizationEvent, bool(state)

    def release_semaphore(self, handle: int, n: int) -> int | None:
        """The count before; None, and nothing is added, if it would exceed the maximum."""
        count = LONG()
        return count.value if _win.ReleaseSemaphore(handle, n, ctypes.byref(count)) else None

    def wait(self, handles: list[int], seconds: float, got: list[int]) -> None:
        """Wait until one of some objects can be got, and get it; `got` begins with one of the WAIT_ numbers then."""
        # C code both calls and stores, so that an exception of a signal handler cannot come in between.  A layer may
        # keep behind that number what it needs for the next slice of the same wait.
        array = (HANDLE * len(handles))(*handles)
        got[:] = map(_win.WaitForMultipleObjects, (len(array),), (array,), (False,), (ceil(1000 * seconds),))
        if got[0] == WAIT_FAILED:
            raise _win_error(_winctypes.get_last_error(), _HANDLE_CAUSES)


_layer: Layer = _Windows()


# ---------------------------------------------------------------- Linux

if sys.platform == "linux":
    import fcntl
    import struct

    # sys/mman.h
    PROT_READ = 0x1
    PROT_WRITE = 0x2
    MAP_SHARED = 0x01
    MAP_PRIVATE = 0x02
    MS_SYNC = 0x0004
    PTHREAD_MUTEX_RECURSIVE = PTHREAD_MUTEX_ROBUST = PTHREAD_PROCESS_SHARED = 1  # pthread.h
    # linux/futex.h; and asm/unistd.h: the number of that system call, by machine and size of a pointer
    FUTEX_WAIT = 0
    FUTEX_WAKE_OP = 5
    ADD_ONE = 1 << 28 | 1 << 12  # FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)
    SYS_futex = {
        ("x86_64", 8): 202, ("x86_64", 4): 240, ("i586", 4): 240, ("i686", 4): 240, ("aarch64", 8): 98,
        ("aarch64", 4): 240, ("armv6l", 4): 240, ("armv7l", 4): 240, ("armv8l", 4): 240, ("riscv64", 8): 98,
        ("loongarch64", 8): 98, ("ppc64le", 8): 221, ("s390x", 8): 238}.get((os.uname().machine, ctypes.sizeof(LPVOID)))

    _PAGE = os.sysconf("SC_PAGE_SIZE")
    _PIECE = 0x1000000  # bytes allocated at once: before Linux 6.17 a signal makes fallocate() begin again
    _SYSTEM_CAUSES = {
        errno.ENOMEM: _NO_MEMORY, errno.EFBIG: _NO_MEMORY,
        errno.ENOSPC: "the memory file system (/dev/shm) has no room for it: ask for less, or enlarge it",
        errno.EINVAL: "a name needs locks of open files (F_OFD_SETLK), which this system lacks"}
    _NAME_CAUSES[ERROR_FILE_NOT_FOUND] = (
        "nothing has this name now: is the publisher running, as this user, and does it use namedmap (shm_open() has "
        "other names)?")

    def _explained(error: OSError, name: str | None) -> OSError:
        """The exception with our words and the name, instead of those of the system and a file of this module."""
        if error.strerror != os.strerror(error.errno or 0):
            return _blame(error, name)  # it has them already
        return OSError(error.errno, _SYSTEM_CAUSES.get(error.errno or 0, error.strerror), name)

    # CDLL lets other threads run during a call, for what may wait.  PyDLL does not, for what never waits: giving up the
    # interpreter's lock would cost more than the call, and getting it back up to 5 ms.
    _libc, _quick = ctypes.CDLL(None, use_errno=True), ctypes.PyDLL(None)
    _mmap = _libc["mmap64" if hasattr(_libc, "mmap64") else "mmap"]  # with an offset of 64 bits
    _mmap.restype, _mmap.argtypes = LPVOID, (LPVOID, SIZE_T, c_int, c_int, c_int, c_longlong)
    _libc.munmap.argtypes = LPVOID, SIZE_T
    _libc.msync.argtypes = LPVOID, SIZE_T, c_int
    _libc.syscall.argtypes = _quick.syscall.argtypes = (c_long,)  # its number; the rest are pointers and ints
    if hasattr(_libc, "sem_clockwait"):
        _mutex_timedlock, _sem_timedwait = _libc.pthread_mutex_clocklock, _libc.sem_clockwait
        _CLOCK: tuple[int, ...] = (time.CLOCK_MONOTONIC,)
        _now = time.monotonic
    else:  # an old or small C library, which knows only the clock that can be set
        _mutex_timedlock, _sem_timedwait = _libc.pthread_mutex_timedlock, _libc.sem_timedwait
        _CLOCK, _now = (), time.time
    _spin_lock = c_int()
    _quick.pthread_spin_init(ctypes.byref(_spin_lock), PTHREAD_PROCESS_SHARED)
    _FREE = _spin_lock.value  # what a free one looks like, which depends on the processor
    # The layout of what the C library keeps in shared memory: it differs between these.
    _ABI = ctypes.sizeof(LPVOID) + hasattr(_libc, "gnu_get_libc_version")

    # What a result of the C library means, as one of the WAIT_ numbers, for each position among the objects that one
    # thread waits for; -1 is that of a semaphore.
    _RESULTS = tuple(
        {0: WAIT_OBJECT_0 + i, errno.EOWNERDEAD: WAIT_ABANDONED_0 + i, errno.EBUSY: WAIT_TIMEOUT,
         errno.ETIMEDOUT: WAIT_TIMEOUT, -1: WAIT_TIMEOUT}.__getitem__ for i in range(MAXIMUM_WAIT_OBJECTS))
    # For each kind of object: what it is in the page, what tries to get it, and what waits for it.
    _CALLS: dict[str, Any] = {"Mutant": ("mutex", _quick.pthread_mutex_trylock, _mutex_timedlock),
                              "Event": ("spin", _quick.pthread_spin_trylock, None),
                              "Semaphore": ("semaphore", _quick.sem_trywait, _sem_timedwait)}

    def _timespec(seconds: float) -> bytes:
        return struct.pack("ll", int(seconds), int(seconds % 1 * 1e9))

    def _allocate(descriptor: int, size: int, offset: int = 0) -> None:
        """Take memory from the system, so that no page kills the process that touches it."""
        for start in range(offset, offset + size, _PIECE):
            os.posix_fallocate(descriptor, start, min(_PIECE, offset + size - start))

    def _pid_namespace() -> int:
        try:
            return os.stat("/proc/self/ns/pid").st_ino
        except OSError:
            raise OSError(errno.ENOSYS, "a name needs /proc, which this system lacks") from None

    def _directory(scope: str, make: bool = False) -> str:
        """The path of a directory of this user; PermissionError if others may have made what it contains."""
        directory = f"/dev/shm/namedmap-{os.geteuid()}/{scope}"
        for each in os.path.dirname(directory), directory:
            try:
                if make:
                    os.mkdir(each, 0o700)
                    os.chmod(each, 0o700)  # whatever the umask
            except FileExistsError:
                pass
            except OSError as error:
                code = errno.ENOSYS if error.errno == errno.ENOENT else error.errno  # ENOENT is for a missing name
                raise OSError(code, f"this needs /dev/shm, which cannot be used: {error.strerror}") from None
            found = os.lstat(each)
            if found.st_mode & ~0o7000 != stat.S_IFDIR | 0o700 or found.st_uid != os.geteuid():
                raise OSError(errno.EPERM, "this must be a directory of this user, which nobody else may use (mode "
                              "700), and is not: find out who made it, and remove it", each)
        return directory

    @lru_cache(256)
    def _file_name(name: str) -> str:
        from hashlib import sha256
        return sha256(_utf16(name)).hexdigest()[:32]

    class _Page(ctypes.Structure):
        """The first page of the file of an object; memory begins in the second.

        A process maps that of a mutex, event or semaphore once, whatever its handles.  Only functions of C change it
        there, each of which is done or not done, whatever is interrupted or killed.  A mutex and a semaphore are those
        of the C library; what adds to a semaphore owns the mutex meanwhile.  An event is a spin lock, which is free
        while the event is set; what waits for it sleeps until `bell`, a number, has changed.
        """

        _fields_ = [("magic", c_char * 8), ("kind", c_char * 12), ("flag", c_ubyte), ("is_writable", c_ubyte),
                    ("abi", c_ubyte), ("size", c_ulonglong), ("device", c_ulonglong), ("inode", c_ulonglong),
                    ("namespace", c_ulonglong), ("spin", c_int * 1), ("bell", c_uint * 1), ("mutex", c_ulonglong * 8),
                    ("semaphore", c_ulonglong * 8), ("name", c_ubyte * 768), ("path", c_char * 2816)]

    _MAGIC = b"namedmp3"
    _forks = [0]  # its one item grows at each fork; what matters is whether it has changed

    def _count_fork() -> None:
        _forks[0] += 1
        import hashlib  # noqa: F401  (a process that is forked in the middle of its first import could never finish it)

    # What is opened in another thread between the first call and the fork is shared, too: therefore the second one.
    os.register_at_fork(before=_count_fork, after_in_parent=_count_fork, after_in_child=_count_fork)
    # The thread of a new process owns no mutex.
    os.register_at_fork(after_in_child=lambda: _this_thread.__init__())  # type: ignore[has-type]

    class _Handle(int):
        """The descriptor of an object's file; a lock on it makes this process a holder of a named object.

        It is closed when it is collected, so that an interrupt in the middle of a call leaves nothing open.  Closing
        uses no globals, which may be gone when an interpreter ends.
        """

        READ, WRITE, NONE = (struct.pack("hhqqi4x", kind, 0, 0, 0, 0)  # struct flock
                             for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK))
        path = ""  # of the file, if the object has a name
        forks = 0  # when it was locked; after a fork, another process has the same lock
        file: _OwnedFile | None = None  # the file of the user behind memory
        page: Any = None  # of a mutex, event or semaphore

        def write(self, kind: str, name: str | None, size: int = 0, flag: bool = False, access: str = "rw") -> None:
            """Write the header; `flag` is set for reserved memory, and for an event that resets itself."""
            self.kind = kind
            self.header = header = _Page(_MAGIC, kind.encode(), flag, access == "rw", _ABI, size)
            if self.file:
                header.inode, header.device = os.fstat(self.file.value)[1:3]
            if name:
                header.namespace, units = _pid_namespace(), _utf16(name.rpartition("\\")[2])
                header.name[:len(units)] = units
            path = os.fsencode(os.readlink(f"/proc/self/fd/{self.file.value}")) if name and self.file else b""
            if len(path) > _Page.path.size:
                raise OSError(errno.ENAMETOOLONG, "the path of the file is too long to be noted for other processes")
            header.path = path
            os.pwrite(self, header, 0)

        def read(self) -> _Handle:
            """The handle itself, whose header is read."""
            self.header = header = _Page()
            os.preadv(self, [header], 0)
            self.kind = header.kind.decode("latin-1")
            if header.magic != _MAGIC or self.kind not in _KINDS:
                raise OSError(errno.EINVAL, "its file in /dev/shm is of another version of this module or of others")
            return self

        def hold(self, path: str) -> bool:
            """Become a holder of the object that has this path; False if it is just being removed."""
            self.path, self.forks = path, _forks[0]  # first, so that a close() after an interrupt knows of the lock
            return self.lock(self.READ)

        def lock(self, kind: bytes, fcntl: Any = fcntl.fcntl) -> bool:
            """Change the lock, without waiting; if that is impossible, it stays as it was."""
            try:
                fcntl(self, 37, kind)  # F_OFD_SETLK
                return True
            except BlockingIOError:
                return False

        def map(self, access: str, offset: int, size: int) -> int:
            """Map a part of it, or of the file behind it."""
            # A mapping keeps its open file, which must not be the one with the lock of a named object.
            unlocked = self if self.file or not self.header.namespace else _open_handle(f"/proc/self/fd/{int(self)}", 0)
            protection = PROT_READ if access == "r" else PROT_READ | PROT_WRITE
            kind = MAP_PRIVATE if access == "c" else MAP_SHARED
            base: int = _mmap(None, size, protection, kind, self.file.value if self.file else unlocked, offset)
            if base == LPVOID(-1).value:  # MAP_FAILED
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return base

        def is_at(self, path: str, lstat: Any = os.lstat, fstat: Any = os.fstat) -> bool:
            """Whether a path still leads to this file."""
            try:
                return bool(lstat(path)[1:3] == fstat(self)[1:3])  # inode and device
            except FileNotFoundError:
                return False

        def remove(self, path: str, unlink: Any = os.unlink) -> bool:
            """Close it; first remove the file if it has no holders, and return whether it had none."""
            try:
                is_garbage = self.lock(self.WRITE)
                if is_garbage and self.is_at(path):  # else it was removed before, and another may have the path
                    unlink(path)
                return is_garbage
            finally:
                self.close_descriptor()

        def close(self, forks: list[int] = _forks, is_finalizing: Any = sys.is_finalizing) -> None:
            """Close it, and remove the file if this was the last holder."""
            try:
                if self.path and self.forks == forks[0] and "unclosed" not in self.__dict__:  # the lock is its own
                    self.lock(self.NONE)  # first, so that the last of several that close at once finds garbage
                    self.remove(self.path)
                elif self.path and not is_finalizing():
                    self.close_descriptor()  # to unlock it would unlock it for the other process, too
                    for _ in range(20):  # a program that another thread just starts has the lock until its exec()
                        if _open_handle(self.path).remove(self.path):
                            break
                        time.sleep(0.001)
            except OSError:
                pass  # something else has removed or closed it
            finally:
                self.path, self.file = "", None
                self.close_descriptor()

        __del__ = close

        def close_descriptor(self, close: Any = os.close, is_finalizing: Any = sys.is_finalizing) -> None:
            if not is_finalizing():  # then daemon threads may still use it
                try:  # C code both takes the number and closes it, so that no interrupt makes this close another file
                    list(map(close, self.__dict__.setdefault("unclosed", iter((int(self),)))))
                except OSError:
                    pass  # something else has closed it

    def _open_handle(path: str, flags: int = os.O_NOFOLLOW) -> _Handle:
        """A file, opened and wrapped by C code, so that no interrupt leaves it open."""
        return next(map(_Handle, map(os.open, (path,), (os.O_RDWR | flags,), (0o600,))))

    def _refuse(what: str, *_: Any) -> NoReturn:
        raise NotImplementedError(f"{what} needs Windows: this system has nothing like it")

    class _Linux:
        """The same calls for Linux, where a name lives as long as on Windows.

        An object is a file in the directory of its scope, which only this user may use.  Each holder has a read lock on
        it, which the system takes away when the holder dies; so a file without a lock is garbage, and its object does
        not exist.  A file gets its path when it is complete and locked, and loses it under a write lock, which only one
        process can have.  What merely looks takes no lock.
        """

        # By inode and device.  Copies of this file share it: a thread that has acquired a mutex through two needs
        # the page of the first one until it has released both.
        _pages: dict[Any, weakref.ref[_Page]] = sys.__dict__.setdefault("_namedmp3_pages", {})
        # Those of mutexes that threads of this process own, as often as they have acquired them.  They must stay
        # mapped, because the kernel looks at them when a thread ends.
        _held: list[_Page] = []

        def _path(self, name: str, make: bool = False) -> str:
            """The path of the file of an object, in a directory that `make` makes."""
            scope, _, rest = name.rpartition("\\")
            try:
                return f"{_directory(scope or 'Local', make)}/{_file_name(rest)}"
            except FileNotFoundError:  # always for a scope such as Session\1
                raise _name_error(ERROR_FILE_NOT_FOUND, name) from None

        def _files(self, scope: str) -> list[str]:
            try:
                directory = _directory(scope)
                return [f"{directory}/{entry}" for entry in os.listdir(directory)]
            except FileNotFoundError:
                return []  # nothing was made there

        def _sweep(self, user: str) -> None:
            """Remove what killed processes left, at most once a second for all processes of the user."""
            if 0 <= (now := time.time()) - os.stat(user).st_mtime < 1:
                return
            os.utime(user)
            for path in chain.from_iterable(map(self._files, ("Local", "Global", "new"))):
                try:
                    if not path.startswith(f"{user}/new/"):
                        self._find(path)
                    elif now - os.lstat(path).st_mtime >= 60:  # its maker cannot just be about to lock it
                        _open_handle(path).remove(path)
                except OSError:
                    pass  # not a file of this module, or removed meanwhile

        def _find(self, path: str, name: str | None = None, patient: bool = False) -> Any:
            """The live object under a path, not locked by that; without one FileNotFoundError, or None if `patient`."""
            end = time.monotonic() + 1
            while True:
                try:
                    handle = _open_handle(path)
                except FileNotFoundError:
                    if patient:
                        return None
                    raise _name_error(ERROR_FILE_NOT_FOUND, name) from None
                lock = fcntl.fcntl(handle, 36, handle.WRITE)  # F_OFD_GETLK: which one forbids this one
                if lock[:2] == handle.READ[:2]:
                    return handle
                if lock[:2] == handle.NONE[:2]:  # garbage, unless it is none of this module's files
                    handle.read().remove(path)
                elif not patient:  # it is just being removed, and as good as gone
                    raise _name_error(ERROR_FILE_NOT_FOUND, name)
                elif time.monotonic() > end:
                    raise OSError(errno.EBUSY, "a process is just removing it, but does not go on: is it stopped?")
                else:
                    time.sleep(0.001)

        def _make(self, directory: str, path: str, fill: Any) -> _Handle:
            """A handle of a new object; FileExistsError if another process was faster."""
            spare = ""
            try:
                handle = _open_handle(directory, os.O_TMPFILE)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                    raise
                spare = f"{_directory('new', make=True)}/{os.urandom(16).hex()}"
                handle = _open_handle(spare, os.O_CREAT | os.O_EXCL)
            try:
                os.fchmod(handle, 0o600)  # whatever the umask
                if path:
                    handle.hold(path)
                fill(handle)
                if path:
                    # With both arguments this is linkat() with AT_SYMLINK_FOLLOW; else it would link the one in /proc.
                    os.link(f"/proc/self/fd/{int(handle)}", path, src_dir_fd=0, follow_symlinks=True)
                return handle
            except BaseException:
                handle.close()
                raise
            finally:
                if spare:
                    os.unlink(spare)

        def _open_or_make(self, key: str, name: str | None, fill: Callable[[_Handle], None] | None = None,
                          exist_ok: bool = True) -> tuple[_Handle, bool]:
            """A handle, and whether the object is new; without `fill` only one that exists.  See _OBJECTS for `key`."""
            kind, fit = ("Section", self._open_behind) if key in _PROTECTION else (key, self._attach)
            handle = None
            try:
                path = self._path(name, make=fill is not None) if name else ""
                directory = os.path.dirname(path) or _directory("Local", make=True)
                if fill:
                    self._sweep(os.path.dirname(directory))
                while True:
                    handle = self._find(path, name, patient=fill is not None) if name else None
                    if handle is not None:  # what is of no use is not locked: this process would hold it for a moment
                        if handle.read().kind != kind:
                            raise _other_kind(name, handle.kind)
                        if not exist_ok:
                            raise _name_error(ERROR_ALREADY_EXISTS, name)
                        fit(handle, key)
                        if handle.hold(path) and handle.is_at(path):
                            return handle, False
                    else:
                        try:
                            return self._make(directory, path, fill), True
                        except FileExistsError:
                            pass  # another process was faster
            except BaseException as error:
                if handle is not None:
                    handle.close()
                raise (_explained(error, name) if isinstance(error, OSError) else error) from None

        def open_object(self, name: str, key: str, inheritable: bool) -> int:
            self.security_attributes(None, inheritable)
            return self._open_or_make(key, name)[0]

        close_handle: Any = staticmethod(_Handle.close)

        def hand_over(self, handle: Any, popen: Any) -> Any:
            """What take_over() needs in the process that multiprocessing is starting."""
            # The child inherits a second open file with a lock of its own.  It opens and locks a third, and unlocks the
            # second, which `popen` keeps open here, and whose lock would keep the name as long as the Process exists.
            second = _open_handle(f"/proc/self/fd/{int(handle)}", 0)
            if handle.path:
                second.lock(_Handle.READ)
            descriptors = [int(second), *([handle.file.value] if handle.file else [])]
            vars(popen).setdefault("_namedmap_handles", []).extend([second, handle.file])
            return handle.path, [popen.DupFd(popen.duplicate_for_child(each)) for each in descriptors]

        def take_over(self, handed: Any) -> int:
            path, inherited = handed[0], [_Handle(each.detach()) for each in handed[1]]
            handle = _open_handle(f"/proc/self/fd/{int(inherited[0])}", 0).read()
            if path:
                handle.hold(path)
                inherited[0].lock(_Handle.NONE)
            if handle.kind != "Section":
                self._attach(handle)
            elif len(inherited) > 1:
                handle.file = _OwnedFile(os.dup(inherited[1]))  # which programs that this starts do not inherit
            return handle

        def kind_of_name(self, name: str) -> str | None:
            try:
                handle: _Handle = self._find(self._path(name))
                return handle.read().kind
            except OSError:
                return None  # nothing has it, this may not look, or another version of this module made it

        def named_objects(self) -> Iterator[tuple[str, str]]:
            for scope in ("Local", "Global"):
                found = []
                for path in self._files(scope):
                    try:
                        handle = self._find(path).read()
                        name = bytes(handle.header.name).decode("utf-16-le", "surrogatepass")
                        found.append((name.rstrip("\0"), handle.kind))
                    except (OSError, ValueError):
                        pass  # not a file of this module
                yield from ((f"{scope}\\{name}", kind) for name, kind in sorted(found))

        def holders(self, name: str, kind: str) -> str:
            """Which processes have an object open, as far as this one may look."""
            from glob import glob
            file, holders = os.fstat(self._find(self._path(name), name)), set()
            for path in glob("/proc/[0-9]*/fd/*"):
                try:
                    if os.path.samestat(os.stat(path), file):
                        holders.add(int(path.split("/")[2]))
                except OSError:
                    pass  # it was closed meanwhile
            return "processes: " + (", ".join(map(str, sorted(holders))) or "none that this one may look at")

        handle_kind = section_access = staticmethod(partial(_refuse, "from_handle()"))
        duplicate_handle = staticmethod(partial(_refuse, "duplicate()"))

        def security_attributes(self, sddl: str | None, inheritable: bool) -> None:
            if sddl is not None:
                _refuse("a security descriptor (sddl)")
            if inheritable:
                _refuse("a handle that child processes inherit (inheritable)")

        def create_file_mapping(self, name: str | None, exist_ok: bool, security: Any, size: int, access: str,
                                file: _OwnedFile | None, reserve: bool) -> tuple[int, bool]:
            if file is not None:
                mode = fcntl.fcntl(file.value, fcntl.F_GETFL) & os.O_ACCMODE
                if mode != os.O_RDWR and (mode == os.O_WRONLY or access == "rw"):
                    raise _not_opened_for(access)
                found = os.fstat(file.value).st_size
                if size > found:
                    # Not by ftruncate(), which would cut off what others append meanwhile; and to its full size at
                    # once, by which a growth that has to be taken back is known again.
                    os.posix_fallocate(file.value, size - 1, 1)
                    os.posix_fallocate(file.value, found, size - found)
                size = size or found

            def fill(handle: _Handle) -> None:
                handle.file, rounded = file, -(-size // _PAGE) * _PAGE
                if file is not None:
                    _allocate(handle, _PAGE)
                elif rounded > _MAX_SIZE - _PAGE:
                    raise OSError(errno.EFBIG, _SYSTEM_CAUSES[errno.EFBIG])
                elif reserve:
                    os.ftruncate(handle, _PAGE + rounded)
                else:
                    space = os.fstatvfs(handle)
                    if rounded > _PIECE and 0 < space.f_blocks and space.f_bavail * space.f_frsize < rounded:
                        raise OSError(errno.ENOSPC, _SYSTEM_CAUSES[errno.ENOSPC])  # before it takes what others need
                    _allocate(handle, _PAGE + rounded)
                handle.write("Section", name, rounded if file is None else size, reserve, access)
            return self._open_or_make(access, name, fill, exist_ok)

        def _open_behind(self, handle: _Handle, access: str) -> None:
            """Open the file behind memory, if there is one, with the access that is wanted."""
            if access == "rw" and not handle.header.is_writable:
                raise _read_only()
            if not handle.header.inode:
                return
            path = os.fsdecode(handle.header.path)
            try:
                handle.file = _OwnedFile(self.open_file(path, access, new=False))
                if os.fstat(handle.file.value)[1:3] == (handle.header.inode, handle.header.device):
                    return
            except PermissionError:
                raise _os_error(ERROR_ACCESS_DENIED, "access to the file behind the memory is denied", path) from None
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                pass
            raise FileNotFoundError(errno.ENOENT, "the file behind the memory was renamed or deleted", path)

        def query_section(self, handle: Any) -> tuple[int, int | None]:
            header = handle.header
            return header.size, SEC_FILE if header.inode else SEC_RESERVE if header.flag else SEC_COMMIT

        def section_facts(self, name: str, access: str) -> tuple[int, int | None]:
            handle = self._find(self._path(name), name).read()
            self._open_behind(handle, access)
            return self.query_section(handle)

        def map_view(self, handle: Any, access: str, offset: int, size: int, address: int | None = None) -> int:
            if address is not None:
                _refuse("a view at a given address")
            if size > sys.maxsize:
                raise _too_large()
            try:
                if handle.file is None:
                    offset += _PAGE
                    if handle.header.flag:  # it was only reserved
                        _allocate(handle, size, offset)
                elif os.fstat(handle.file.value).st_size < offset + size:
                    raise OSError(errno.EINVAL, "the file behind the memory has become smaller than it was")
                return int(handle.map(access, offset, size))
            except OSError as error:
                if error.errno == errno.EINVAL:
                    raise  # the file system cannot share it; this has nothing to do with locks
                raise _too_large() if error.errno == errno.ENOMEM else _explained(error, None) from None

        unmap_view = _libc.munmap

        def flush_view(self, base: int, size: int) -> None:
            skipped = base % _PAGE  # what is flushed begins at a page
            if _libc.msync(base - skipped, size + skipped, MS_SYNC):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        def open_file(self, path: str, access: str, new: bool) -> int:
            flags = (os.O_RDWR if access == "rw" else os.O_RDONLY) | (os.O_CREAT | os.O_EXCL if new else 0)
            return os.open(path, flags | os.O_NONBLOCK, 0o666)  # else a FIFO would wait for its other end

        def create_waitable(self, kind: str, name: str | None, exist_ok: bool, security: Any,
                            *state: int) -> tuple[int, bool]:
            value, maximum = (state[1], 0) if kind == "Event" else (state or (0, 0))

            def fill(handle: _Handle) -> None:
                _allocate(handle, _PAGE)
                handle.write(kind, name, maximum, kind == "Event" and not state[0])
                self._attach(handle)
                attributes = ctypes.create_string_buffer(64)
                _quick.pthread_mutexattr_init(attributes)
                _quick.pthread_mutexattr_settype(attributes, PTHREAD_MUTEX_RECURSIVE)
                _quick.pthread_mutexattr_setrobust(attributes, PTHREAD_MUTEX_ROBUST)
                _quick.pthread_mutexattr_setpshared(attributes, PTHREAD_PROCESS_SHARED)
                _quick.pthread_mutex_init(handle.page.mutex, attributes)
                _quick.sem_init(handle.page.semaphore, PTHREAD_PROCESS_SHARED, value)
                handle.page.spin[0] = _FREE
                if not value:
                    _quick.pthread_spin_trylock(handle.page.spin)
            return self._open_or_make(kind, name, fill, exist_ok)

        def _attach(self, handle: Any, access: str = "") -> None:
            """Map the first page of an object, unless this process has it."""
            if SYS_futex is None:
                raise NotImplementedError(f"the number of the system call futex is not known for {os.uname().machine}")
            namespace = handle.header.namespace  # 0 if the object has no name
            if handle.header.abi != _ABI or namespace and namespace != _pid_namespace():
                raise OSError(errno.EINVAL, "it was made by a program of another width (32 or 64 bit), with another C "
                              "library, or in another PID namespace (container), where threads have other numbers")
            key, pages = os.fstat(handle)[1:3], self._pages

            def forget(dead: weakref.ref[_Page]) -> None:
                if pages.get(key) is dead:
                    pages.pop(key, None)

            known = pages.get(key)
            page: Any = known and known()
            while page is None:
                if known is not None:  # its last user has just forgotten it
                    forget(known)
                base = handle.map("rw", 0, _PAGE)
                mapped: Any = _Page.from_address(base)
                mapped.owned = _OwnedView((base, _PAGE))
                known = pages.setdefault(key, weakref.ref(mapped, forget))
                page = known()
            handle.page, handle.bell, handle.address = page, page.bell, getattr(page, _CALLS[handle.kind][0])

        def release_mutex(self, handle: Any, held: list[int]) -> bool:
            _quick.pthread_mutex_consistent(handle.address)  # else one that was abandoned could never be locked again
            before = len(held)
            held[-1:] = filter(None, map(_quick.pthread_mutex_unlock, (handle.address,)))
            if len(held) < before:
                self._held.remove(handle.page)
                return True
            held.clear()
            return False

        def set_event(self, handle: Any) -> None:
            _quick.pthread_spin_unlock(handle.address)
            # If this is not done, waiting threads look again at the end of a slice of their time.
            wakes = 1 if handle.header.flag else _MAX_COUNT
            _quick.syscall(SYS_futex, handle.bell, FUTEX_WAKE_OP, wakes, None, handle.bell, ADD_ONE)

        def reset_event(self, handle: Any) -> None:
            _quick.pthread_spin_trylock(handle.address)

        def query_event(self, handle: Any) -> tuple[bool, bool]:
            return bool(handle.header.flag), handle.address[0] == _FREE

        def release_semaphore(self, handle: Any, n: int) -> int | None:
            mutex, semaphore, count, most = handle.page.mutex, handle.address, (c_int * 1)(), handle.header.size - n
            while True:
                fits = map(most.__ge__, count)  # which reads it when its turn comes
                # One after the other, and none if the first fails.  C code runs through them, so that no interrupt
                # leaves the mutex locked.
                steps = chain(
                    map(_RESULTS[0], map(_quick.pthread_mutex_trylock, (mutex,))),
                    map(_quick.pthread_mutex_consistent, (mutex,)),
                    map(_quick.sem_getvalue, (semaphore,), (count,)),
                    map(_quick.sem_post, chain.from_iterable(compress((repeat(semaphore, n),), fits))),
                    map(_quick.pthread_mutex_unlock, (mutex,)))
                if max(takewhile(WAIT_TIMEOUT.__ne__, steps), default=-1) >= 0:  # at least the first one was done
                    return count[0] if count[0] <= most else None
                time.sleep(0.001)  # another process is just adding

        def wait(self, handles: list[Any], seconds: float, got: list[int]) -> None:
            if len(handles) == 1:
                self._wait_for(handles[0], 0, seconds, got)
                return
            end = time.monotonic() + seconds
            while True:
                for position, handle in enumerate(handles):
                    self._wait_for(handle, position, 0, got)
                    if got[0] != WAIT_TIMEOUT:
                        return
                if time.monotonic() >= end:
                    return
                time.sleep(0.002)  # there is no one thing to sleep on for all of them

        def _wait_for(self, handle: Any, position: int, seconds: float, got: list[int]) -> None:
            kind, bell = handle.kind, handle.bell[0]
            if len(got) == 1 + position:
                got.append(bell)  # as it was when the wait began
            if kind == "Event" and not handle.header.flag:  # that it was set since then is enough
                got[0] = position if bell != got[1 + position] or handle.address[0] == _FREE else WAIT_TIMEOUT
            else:
                _, quick, patient = _CALLS[kind]
                if kind == "Mutant":
                    self._held.append(handle.page)  # before, so that it is never unmapped too early
                try:  # C code both calls a function and stores what comes of it
                    got[:1] = map(_RESULTS[position], map(quick, (handle.address,)))
                    if seconds and patient and got[0] == WAIT_TIMEOUT:
                        arguments = handle.address, *_CLOCK, _timespec(_now() + seconds)
                        got[:1] = map(_RESULTS[position], starmap(patient, (arguments,)))
                finally:
                    if kind == "Mutant" and got[0] == WAIT_TIMEOUT:  # it was not got
                        self._held.remove(handle.page)
            if kind == "Event" and seconds and got[0] == WAIT_TIMEOUT:
                # Sleep until the bell changes, and then look once more.
                _libc.syscall(SYS_futex, handle.bell, FUTEX_WAIT, bell, _timespec(seconds), None, 0)
                self._wait_for(handle, position, 0, got)

    _layer = _Linux()


# ---------------------------------------------------------------- kernel objects

class _OwnedHandle(_Owned):
    file: _OwnedFile | None = None  # behind memory that was created over one

    def __del__(self, layer: Layer = _layer) -> None:
        layer.close_handle(self.value)


class _Lost:  # in place of the handle of an object that could not be opened where it was unpickled
    def __init__(self, error: Exception, name: str | None) -> None:
        self._class, self._arguments = type(error), error.args
        if isinstance(error, OSError):
            cause = str(error.strerror)
            if cause.startswith("nothing has this name"):
                cause += " (when this was unpickled; the process that pickled it has to keep it open until then)"
            self._arguments = error.errno, cause, name, getattr(error, "winerror", None)

    @property
    def value(self) -> NoReturn:
        raise self._class(*self._arguments)


def _open(name: str, key: str, inheritable: bool, timeout: float | None) -> int:
    """A handle of what has the name, once something has it; this waits for it.  See _OBJECTS for `key`."""
    _check_name(name, opening=True)
    end = time.monotonic() + _check_timeout(timeout)
    while True:
        try:
            return _layer.open_object(name, key, bool(inheritable))
        except FileNotFoundError as error:
            if error.filename != name:
                raise  # the file behind the memory is missing
            if time.monotonic() >= end:
                scope, _, rest = name.rpartition("\\")
                other = f"Local\\{rest}" if scope == "Global" else f"Global\\{rest}"
                if _layer.kind_of_name(other) is not None:
                    error.strerror = f"nothing has this name now, but {other} exists"
                raise
        time.sleep(0.01)


def _checked_handle(handle: int, kind: str) -> int:
    """A handle from elsewhere, once it is sure that it belongs to an object of the kind."""
    handle = _check_number("a handle", handle, 1, 2 ** (8 * ctypes.sizeof(HANDLE)) - 1, "positive, and fit a pointer")
    try:
        found = _layer.handle_kind(handle)
    except OSError:
        raise _os_error(ERROR_INVALID_HANDLE, f"handle {handle:#x} is closed, or belongs to another process")
    if found != kind:
        raise _os_error(ERROR_INVALID_HANDLE, f"handle {handle:#x} belongs to another kind of object: {found}")
    return handle


_received: set[bytes] = set()  # marks of the handles that the parent process has handed over, and this one has taken


def _restore(cls: Any, name: str | None, arguments: dict[str, Any], mark: bytes = b"", handed: Any = None) -> Any:
    """What unpickling calls: open the object by its name, or take its handle over."""
    try:
        if not mark or mark.startswith(b"%d " % os.getpid()):  # pickled, or copied, in this process
            return cls.open(name, **arguments)
        if mark in _received:
            raise _os_error(ERROR_INVALID_HANDLE, "it was unpickled before, and one handle cannot have two owners")
        _received.add(mark)
        return cls._wrap(_OwnedHandle(_layer.take_over(handed)), False, name, **arguments)
    except (OSError, ValueError, NotImplementedError) as error:  # raised here, it would hang a multiprocessing.Pool
        return cls._wrap(_Lost(error, name), False, name, **arguments)


class _Closable:  # what all objects have in common: a name, and an end
    _name: str | None
    # What the object needs; None after close().  A call refers to it meanwhile, so that close() in another thread, in a
    # signal handler or in a __del__ never closes a handle under the call.
    _owned: Any
    _arguments: tuple[str, ...] = ()  # what open() needs besides the name, and repr() shows

    def __new__(cls, *args: object, **kwargs: object) -> Any:
        """Raise TypeError: create(), open() and from_handle() make objects, and view() of a NamedMap makes a View."""
        raise TypeError(f"{cls.__name__} cannot be called: use create() or open(); NamedMap.view() makes a View")

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._owned is None

    def close(self) -> None:
        """End the use of the object, once; this never fails.

        The handle is closed (CloseHandle) when the last call that uses it ends; a wait ends within 0.1 seconds.  What
        was borrowed from memory stays valid, and UnmapViewOfFile follows the last of that.
        """
        self._owned = None  # first: see _Memory._map()
        self._forget()

    def _forget(self) -> None:
        """Drop all but the handle; this is also the state before the first use."""

    def _check_open(self) -> Any:
        """What the object needs; ValueError if it is closed."""
        owned = self._owned
        if owned is None:
            raise ValueError(f"{type(self).__name__} {self._name!r} is closed")
        return owned

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with the handle, which stays open meanwhile."""
        owned = self._check_open()
        try:
            return function(owned.value, *arguments)
        except OSError as error:
            raise _blame(error, self._name)
        finally:
            del owned  # a traceback would keep it, and with it the name

    def __enter__(self: Closable) -> Closable:
        self._check_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _details(self) -> str:
        return "".join(f", {key}={getattr(self, '_' + key)!r}" for key in self._arguments)

    def __repr__(self) -> str:
        owned = self._owned
        state = ", closed" if owned is None else ", not opened" if isinstance(owned, _Lost) else self._details()
        handle = f", handle={owned.value:#x}" if isinstance(owned, _OwnedHandle) else ""
        return f"<{type(self).__name__} {self._name!r}{state}{handle}>"


class _Object(_Closable):  # a kernel object, of which this process has a handle
    _kind: str  # what the kernel calls it
    _created: bool

    @classmethod
    def _wrap(cls: type[Object], owned: Any, created: bool, name: str | None, **arguments: Any) -> Object:
        """An object that uses `owned`, which is an _OwnedHandle or a _Lost."""
        self = object.__new__(cls)
        self._owned, self._created, self._name = owned, created, name
        for key, value in arguments.items():
            setattr(self, "_" + key, value)
        self._forget()
        return self

    @property
    def name(self) -> str | None:
        """The name as it was given; None without one."""
        return self._name

    @property
    def handle(self) -> int:
        """The HANDLE, for other libraries (on Linux of no use to them); close() closes it.  ValueError after that."""
        return int(self._call(int))

    @property
    def created(self) -> bool:
        """Whether create() made the object; False if it was there already."""
        return self._created

    def duplicate(self, pid: int) -> int:
        """Make a handle of this object in the process with the id `pid` (DuplicateHandle); return its value there.

        That process has to pass it to from_handle(), else the object stays open as long as that process lives.  Raises
        PermissionError if it has ended, or may not be given handles, such as one of another user; OSError if there is
        no such process.  This needs Windows.
        """
        return int(self._call(_layer.duplicate_handle, _check_number("a pid", pid, 0, 2 ** 32 - 1, "0 to 2**32-1")))

    def __reduce__(self) -> Any:
        """Hand the handle over to a process that multiprocessing is starting; otherwise note the name, to be opened."""
        self._check_open()
        restored = type(self), self._name, {key: getattr(self, key) for key in self._arguments}
        context = sys.modules.get("multiprocessing.context")
        popen = context and context.get_spawning_popen()
        if popen:
            mark = b"%d " % os.getpid() + os.urandom(16)
            return _restore, (*restored, mark, self._call(_layer.hand_over, popen))
        if self._name is None:
            raise TypeError(f"a {type(self).__name__} without a name cannot be pickled: pass it on as an argument of a "
                            "multiprocessing.Process, by inheritance or by duplicate()")
        return _restore, restored


# ---------------------------------------------------------------- memory and views

_GRANULARITY = 0x10000  # SYSTEM_INFO.dwAllocationGranularity: where a view may begin


class _OwnedView(_Owned):
    __slots__ = ()

    def __del__(self, layer: Layer = _layer, is_finalizing: Any = sys.is_finalizing) -> None:
        if not is_finalizing():  # then the system unmaps it, while daemon threads may still read
            layer.unmap_view(*self.value)


def _mapped(handle: int, access: str, offset: int, size: int, address: int | None = None) -> Any:
    """Map a part of a file mapping object: an array and two memoryviews, which together keep it mapped."""
    skipped = offset % _GRANULARITY
    where = None if address is None else address - skipped
    owned = _OwnedView((_layer.map_view(handle, access, offset - skipped, skipped + size, where), skipped + size))
    array: Any = (ctypes.c_char * size).from_address(owned.value[0] + skipped)
    array.owned = owned  # what is borrowed from the memory keeps the array, and that this
    view = memoryview(array).cast("B")
    if access == "r":
        view = view.toreadonly()
    return array, view, view[:]


class _Memory(_Closable):  # what views and maps have in common: mapped memory, read and written as bytes
    _arguments = "size", "access"
    _size: int
    _access: str
    _path: Any = None  # of the file that it was created over
    # None while the memory is not mapped: a ctypes array of c_char, for reading, as a slice of it is bytes at once; a
    # memoryview, for writing; and one that is handed out, and not used here, since its user may release it.
    _array: Any
    _bytes: memoryview | None
    _buf: memoryview | None
    _mapping: dict[None, Any]  # its one value, if there is one: these three

    def _map(self) -> Any:
        """The three, once the memory is mapped; a view that is not closed has them."""
        self._check_open()
        mapping = self._mapping
        try:  # of several threads, setdefault() lets one win; the mappings of the others go by themselves
            three = mapping.setdefault(None, self._call(_mapped, self._access, 0, self._size))
        except OSError:
            if None not in mapping:
                raise
            three = mapping[None]
        self._array, self._bytes, self._buf = three
        if self.closed:  # meanwhile: close() first marks it closed, and then forgets the mapping
            self._forget()
            self._check_open()
        return three

    def _forget(self) -> None:
        self._array = self._bytes = self._buf = None
        self._mapping = {}

    def _range(self, offset: int, size: int | None, least: int = 0) -> tuple[int, int]:
        """The offset and size of a part, without a size up to the end or `least`; ValueError unless it is inside."""
        offset = index(offset)
        size = max(self._size - offset, least) if size is None else index(size)
        if not 0 <= offset <= offset + size <= self._size:
            raise ValueError(f"{size} bytes at offset {offset} are not inside the memory, which has {self._size} bytes")
        return offset, size

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
        """The address of the first byte in this process."""
        return ctypes.addressof(self._array or self._map()[0])

    @property
    def buf(self) -> memoryview:
        """A memoryview of all the bytes, read-only when access is ``"r"``; it stays valid after close().

        It is the same one each time: to release one (``with m.buf[:]``), take a slice of it.
        """
        buf = self._buf
        return self._map()[2] if buf is None else buf

    def __len__(self) -> int:
        self._check_open()
        return self._size

    def __bool__(self) -> bool:
        """True, whatever the size, and also when closed."""
        return True

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int) -> memoryview:
            """The buffer protocol; `buf` is the same for all versions of Python."""
            return (self._bytes or self._map()[1])[:]

    def __iter__(self) -> Iterator[int]:
        """Each byte as an int, as it is when its turn comes."""
        return map(self.__getitem__, range(len(self)))

    if TYPE_CHECKING:
        @overload
        def __getitem__(self, key: int) -> int: ...
        @overload
        def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: Any) -> Any:
        """A byte as an int, or a copy of a slice as bytes; IndexError outside, TypeError for another key."""
        if key.__class__ is slice:
            return (self._array or self._map()[0])[key]
        return (self._bytes or self._map()[1])[key]

    def __setitem__(self, key: int | slice, value: Any) -> None:
        """Store an int into a byte, or something bytes-like into a slice of the same length.

        Raises IndexError for an index outside; ValueError for an int that is no byte, and for another length.
        """
        try:
            (self._bytes or self._map()[1])[key] = value
            return
        except (TypeError, ValueError):
            if not isinstance(key, slice):
                raise
        octets = _octets(value)  # perhaps an array.array, say, whose items are not bytes
        view = self._bytes or self._map()[1]
        if len(octets) != len(view[key]):
            raise ValueError(f"{len(octets)} bytes do not fit a slice of {len(view[key])}")
        view[key] = octets

    def read(self, size: int | None = -1, offset: int = 0) -> bytes:
        """Copy up to `size` bytes (all, if negative or None) from `offset` on; like os.pread, stop at the end."""
        if size is None or size.__class__ is not int or offset.__class__ is not int:
            size, offset = -1 if size is None else index(size), index(offset)
        if offset < 0:
            raise ValueError(f"an offset must not be negative: {offset}")
        end = None if size < 0 else offset + size
        return (self._array or self._map()[0])[offset:end]  # type: ignore[no-any-return]

    def write(self, data: Buffer, offset: int = 0) -> int:
        """Copy `data`, something bytes-like, to `offset`, where it has to fit; return how many bytes it has."""
        try:
            if data and offset >= 0:  # a slice would take any offset for nothing, and count a negative one from the end
                size = len(data)
                (self._bytes or self._map()[1])[offset:offset + size] = data
                return size
        except (TypeError, ValueError):
            pass  # an error, or data whose items are not bytes
        octets = _octets(data)
        offset, size = self._range(offset, len(octets))
        self[offset:offset + size] = octets
        return size

    def read_text(self, size: int | None = -1, offset: int = 0, encoding: str = "utf-16-le") -> str:
        """Decode the text in up to `size` bytes (all, if negative or None) from `offset` on, up to its first NUL.

        What is not text becomes U+FFFD; what is behind the NUL, such as the rest of a longer text, does not matter.  A
        field of a ctypes Structure S is read by ``m.read_text(S.title.size, S.title.offset)``.  LookupError if Python
        has no such `encoding` of text.
        """
        most, step = -1 if size is None else index(size), 0x1000
        while True:
            octets = self.read(step if most < 0 else min(most, step), offset)
            text, nul, _ = octets.decode(encoding, "replace").partition("\0")
            if nul or len(octets) < step:
                return text
            step *= 4  # and from the beginning, because not all encodings can go on where they ended

    def write_text(self, text: str, offset: int = 0, size: int | None = None, encoding: str = "utf-16-le") -> int:
        """Encode `text` and a NUL, copy both to `offset`, and return how many bytes they have.

        `size` is how many bytes there are for them, such as those of a field; None is up to the end.  ValueError, and
        nothing is written, if they do not fit, the text has a NUL or the `encoding` lacks a character; LookupError if
        there is no such `encoding`.
        """
        if not isinstance(text, str):
            raise TypeError(f"a str is required, not {type(text).__name__}; write() takes bytes")
        if "\0" in text:
            raise ValueError("the text has a NUL, where it would end when it is read")
        octets = (text + "\0").encode(encoding)
        offset, size = self._range(offset, size)
        if len(octets) > size:
            raise ValueError(f"the text and its NUL have {len(octets)} bytes, and do not fit in {size}")
        return self.write(octets, offset)

    def overlay(self, ctype: type[CData], offset: int = 0) -> CData:
        """A ctypes object of type `ctype` (Structure, array, c_int...) that lives in the memory at `offset`.

        Its fields are the shared memory, also after close().  TypeError for c_char_p, c_wchar_p and py_object, and if
        the memory is read-only (snapshot() copies from it).
        """
        if (self._bytes or self._map()[1]).readonly:
            raise TypeError("an overlay could be stored to, and this memory is read-only: use snapshot()")
        return self._from_memory(ctype, "from_buffer", offset)

    def snapshot(self, ctype: type[CData], offset: int = 0) -> CData:
        """A ctypes object of type `ctype` with a private copy, made in one pass, of the memory at `offset`."""
        return self._from_memory(ctype, "from_buffer_copy", offset)

    def _from_memory(self, ctype: type[CData], method: str, offset: int) -> CData:
        if not isinstance(ctype, type):
            raise TypeError(f"a ctypes type is required, not {type(ctype).__name__}")
        if getattr(ctype, "_type_", None) in ("O", "X", "Z", "z"):
            # Such a pointer leads nowhere in another process; and a store would replace what keeps the memory mapped.
            raise TypeError(f"{ctype.__name__} is a pointer to what only one process has")
        offset, _ = self._range(offset, ctypes.sizeof(ctype))  # type: ignore[arg-type]
        return getattr(ctype, method)(self._array or self._map()[0], offset)  # type: ignore[no-any-return]

    def flush(self, offset: int = 0, size: int | None = None) -> None:
        """Write `size` bytes (None: up to the end) from `offset` on to the file behind the memory, if there is one.

        FlushViewOfFile hands changed pages to the system; if this map, or that of this view, was created over a file,
        with access "rw", and is open, FlushFileBuffers then waits for the disk.  OSError if writing fails.
        """
        array, owned = self._array or self._map()[0], None
        whole: Any = self if isinstance(self, NamedMap) else self._owned
        try:
            offset, size = self._range(offset, size)
            owned = whole and whole._owned  # None if the map was closed
            if size:  # 0 would be all of it
                # The error means that the system is writing these pages itself, and has locked them.
                _retried(ERROR_LOCK_VIOLATION, _layer.flush_view, ctypes.addressof(array) + offset, size)
            if owned and owned.file and whole._access == "rw":
                os.fsync(owned.file.value)
        except OSError as error:
            raise _blame(error, self._name if self._path is None else self._path)
        finally:
            del array, owned  # a traceback would keep them


class View(_Memory):
    """Part of a file mapping object, mapped into this process (MapViewOfFileEx); made by NamedMap.view().

    Bytes are read and written, and `with` closes it, as in NamedMap, which it keeps alive, but not open.
    """

    def __reduce__(self) -> Any:
        raise TypeError("a View cannot be pickled: pickle its NamedMap, and ask that for a view again")


# ---------------------------------------------------------------- file mapping objects

def _open_backing(file: File, access: str, may_make: bool) -> tuple[int, Any, str]:
    """A descriptor of the file for new memory, its path, and its absolute path if this has made it."""
    if hasattr(file, "fileno"):
        path = getattr(file, "name", None)
        try:
            if hasattr(file, "flush"):
                file.flush()  # what Python still holds back belongs to the contents
            return os.dup(file.fileno()), path, ""
        except io.UnsupportedOperation:
            raise TypeError(f"a path or a file of the system is required, not {type(file).__name__}") from None
        except OSError as error:
            raise _blame(error, path)
    path = os.fsdecode(file)
    if "\0" in path:
        raise ValueError(f"a path must not contain NUL: {path!r}")
    while True:
        try:
            return _layer.open_file(path, access, False), path, ""
        except FileNotFoundError as error:
            if not may_make:
                error.strerror = f'{error.strerror}; a file is made if a size is given, with access="rw"'
            if not may_make or os.path.islink(path):  # which leads nowhere
                raise
        except PermissionError as error:
            is_shared = getattr(error, "winerror", None) == ERROR_SHARING_VIOLATION
            if access == "rw" and not is_shared and not os.path.isdir(path):
                error.strerror = f"{error.strerror}{_TRY_READING}"
            raise
        absolute = os.path.abspath(path)  # the current directory may change
        try:
            return _layer.open_file(path, access, True), path, absolute
        except FileExistsError:
            pass  # another process has just made it


def _take_back(file: _OwnedFile, before: int, size: int | None, made: str, name: str | None) -> None:
    """Close a file that had `before` bytes; make it as large again, or delete it, unless others use or changed it."""
    try:
        if name is not None and _layer.kind_of_name(name) == "Section":
            return  # another process has just taken the name for memory that may be over the same file
        found = os.fstat(file.value)
        if made and found.st_size in (0, size) and os.path.samestat(found, os.stat(made)):
            file.close()  # Windows deletes no file that is open without sharing
            os.unlink(made)
        elif not made and before < found.st_size == size:
            os.ftruncate(file.value, before)
    except OSError:
        pass  # something else has mapped or replaced it meanwhile; the first error says more
    finally:
        file.close()


class NamedMap(_Object, _Memory):
    r"""A file mapping object: memory that processes share by its name.

    NamedMap.create() makes one, NamedMap.open() opens one that exists, and NamedMap.from_handle() takes one whose
    handle came from another process; `with` closes it.  The bytes are there as ``m[i]`` (an int), ``m[a:b]`` (a copy),
    ``m[a:b] = data``, ``m.read()``, ``m.write(data)``, ``m.read_text()``, ``m.write_text(text)``, ``m.buf`` (a
    memoryview), ``m.overlay(Struct)`` and ``m.snapshot(Struct)``.

    Offsets and sizes are ints, in bytes.  Every call raises TypeError for an argument of the wrong type, and ValueError
    for any other bad argument and for a closed object, before it changes anything.  Whatever uses the bytes also raises
    ValueError if they are not wholly inside (read(), read_text() and slices stop at the end); TypeError for storing if
    access is ``"r"``; OSError if the memory cannot be mapped, which happens at the first use, so that a huge object can
    be opened and looked at through small views.  That is also when Windows raises PermissionError for memory that was
    made read-only.  What needs Windows raises NotImplementedError on other systems.

    An object that nothing refers to any more is closed, too: `buf`, its slices and overlays keep the memory, but not
    the name; a View keeps its NamedMap.  After close(), `name`, `created`, `closed`, `size`, repr() and close() still
    work; everything else is a ValueError.

    As an argument of a multiprocessing.Process (or in `initargs`, while it is kept open as long as the pool), an object
    is passed on with its handle, with or without a name.  Pickled otherwise, it is opened by its name, with the same
    size and access, where it is unpickled: the process that pickled it has to keep it open until then, else the first
    use raises the error.  Without a name that is a TypeError.  Changes that were kept private (``"c"``) are lost.
    """

    @classmethod
    def create(cls, name: str | None, size: int | None = None, *, access: str = "rw", file: File = None,
               exist_ok: bool = False, reserve: bool = False, sddl: str | None = None,
               inheritable: bool = False) -> NamedMap:
        r"""Make memory of `size` bytes, 1 to 2**63-1, in the paging file or over a file (CreateFileMappingW).

        `name` is at most 259 UTF-16 units, with the prefix ``Local\`` or ``Global\`` or none; None makes memory
        without a name, for child processes and duplicate().  Memory in the paging file is all zero; with `reserve`
        (SEC_RESERVE) pages are taken only as they are mapped: use view(), since all else maps all of it.

        `file` is a path, or an open binary file, which is flushed and duplicated.  A path is opened with no sharing
        (CreateFileW) and held open as long as this object (other systems than Windows cannot keep others out); a
        missing file is made if `size` is given and `access` is ``"rw"``.  `size` None is that of the file; a smaller
        one covers its beginning, and a larger one makes the file larger.  `access` is ``"rw"``, or with a file also
        ``"r"``, or ``"c"`` (copy-on-write) to read and write with the changes kept private to this object.

        `exist_ok` attaches, as open() does, to the object if there is one, and then ignores `file`, `reserve` and
        `sddl`; `created` says which happened.  `inheritable` lets child processes inherit the handle.  `sddl` is a
        security descriptor (ConvertStringSecurityDescriptorToSecurityDescriptorW) if the default, for its user and the
        system, will not do; both need Windows.  ``"D:(A;;GA;;;OW)(A;;GR;;;WD)"`` lets everyone read and the owner
        write; ``(A;;GRGW;;;AU)`` in it lets all who are logged on write, and ``(A;;GRGW;;;AC)`` AppContainers (UWP).
        ``"S:(ML;;NW;;;LW)"`` lets the same user's processes of low integrity, such as sandboxed ones, write.

        Raises FileExistsError if the name is taken, unless `exist_ok`; PermissionError if a security descriptor, a
        missing privilege (for ``Global\``) or the file forbids it, or others have the file open; FileNotFoundError
        for a missing file; OSError if another kind of object has the name, the file is empty or not on a disk, or
        memory or disk space are short; ValueError also if the existing object, or a file that is only read, is smaller
        than `size`.  After any of them the file is as it was.
        """
        _check_name(name)
        size = _check_size(size)
        _check_access(access)
        if file is not None and reserve:
            raise ValueError("reserve=True is for memory in the paging file, not for a file")
        if file is None and size is None:
            raise ValueError("create needs a size in bytes, or a file")
        if file is None and access != "rw":
            raise ValueError(f'memory in the paging file is made with access="rw"; open() takes {access!r}, too')
        security: Any = _layer.security_attributes(_check_sddl(sddl), bool(inheritable))
        if file is None:
            pair = _layer.create_file_mapping(name, exist_ok, security, size or 0, access, None, bool(reserve))
            return cls._own(*pair, name, size, access)
        return _retried(  # type: ignore[no-any-return]
            ERROR_SHARING_VIOLATION, cls._create_over, name, size, access, file, exist_ok, security)

    # create() calls this again while the file is open elsewhere, which may soon end: a process that creates or closes
    # the same memory has the file before and after it has the name, and virus scanners open what was just written.
    @classmethod
    def _create_over(cls, name: str | None, size: int | None, access: str, file: File, exist_ok: bool,
                     security: Any) -> NamedMap:
        """Make memory over a file, or attach to it; the name first, since memory that exists does not need the file."""
        if name is not None and (kind := _layer.kind_of_name(name)) is not None:
            if kind == "Section" and not exist_ok:
                raise _name_error(ERROR_ALREADY_EXISTS, name)
            try:  # which fails for another kind
                return cls.open(name, size, access=access, inheritable=bool(security and security.bInheritHandle))
            except FileNotFoundError as error:
                if error.filename != name:  # else the object has just gone
                    raise
        descriptor, path, made = _open_backing(file, access, size is not None and access == "rw")
        owned, is_kept, pair = _OwnedFile(descriptor), False, (0, False)
        found = os.fstat(owned.value)
        try:
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "this is not a file on a disk")
            if access != "rw" and size is not None and size > found.st_size:
                raise ValueError(f'{path!r} has {found.st_size} bytes, {size} were asked for, and only access="rw" '
                                 'makes a file larger')
            if not size and not found.st_size:
                raise _os_error(ERROR_FILE_INVALID, 'the file is empty; a size makes it larger, with access="rw"')
            pair = _layer.create_file_mapping(name, exist_ok, security, size or 0, access, owned, False)
            self = cls._own(*pair, name, size, access)
            if self._created:
                self._owned.file, self._path, is_kept = owned, path, True
            return self
        except OSError as error:
            raise _blame(error, path)
        finally:
            if not is_kept:
                _take_back(owned, found.st_size, size, made, None if pair[1] else name)

    @classmethod
    def open(cls, name: str, size: int | None = None, *, access: str = "rw",
             timeout: float | None = 0, inheritable: bool = False) -> NamedMap:
        r"""Open memory that exists by its `name` (OpenFileMappingW); this never creates any.

        `name` may also begin with ``Session\<number>\``, for a service that looks at a user's memory, and have 32,766
        UTF-16 units, since others may make such names.  `size` covers exactly the first `size` bytes, None the whole
        object: whole pages (4096 bytes on Windows) unless it is over a file.  `access` is ``"r"``, ``"rw"`` or ``"c"``
        (copy-on-write) as in create(); not even the views of this object see its private changes.  `timeout` is how
        many seconds to wait for the name to appear; 0 does not wait, None waits for ever.  `inheritable` lets child
        processes inherit the handle, on Windows.

        Raises FileNotFoundError if nothing has the name, in time; PermissionError if the object's security descriptor
        forbids the access; OSError if another kind of object has the name; ValueError also if the object is smaller
        than `size`.  On Linux also PermissionError if the memory was made read-only or its file may not be opened, and
        FileNotFoundError if that file was renamed or deleted.
        """
        size = _check_size(size)
        _check_access(access)
        return cls._own(_open(name, access, inheritable, timeout), False, name, size, access)

    @classmethod
    def from_handle(cls, handle: int, size: int | None = None) -> NamedMap:
        """Take a `handle` that this process inherited, or that duplicate() in another process made for it (on Windows).

        From then on close() closes it.  `size` is as in open(); whether the memory may be written follows from the
        handle (NtQueryObject).  The object has no name.

        Raises OSError if the handle is closed or belongs to another kind of object; PermissionError if it allows no
        access to the memory; ValueError also if the object is smaller than `size`.  After any of them the handle is
        still the caller's.
        """
        size = _check_size(size)
        handle = _checked_handle(handle, "Section")
        access = _layer.section_access(handle)
        if access is None:
            raise _os_error(ERROR_ACCESS_DENIED, f"handle {handle:#x} does not allow reading the memory")
        return cls._own(handle, False, None, size, access, is_callers=True)

    @classmethod
    def _own(cls, handle: int, created: bool, name: str | None, size: int | None, access: str,
             is_callers: bool = False) -> NamedMap:
        """An object for a handle, which is closed if this fails, unless it still is the caller's."""
        try:
            if size is None or not created:
                available, _ = _layer.query_section(handle)
                if size is not None and size > available:
                    what = "the memory" if name is None else repr(name)
                    raise ValueError(f"{what} has {available} bytes, and {size} were asked for")
                size = size or available
        except BaseException as error:
            if not is_callers:
                _layer.close_handle(handle)
            if isinstance(error, OSError):
                _blame(error, name)
            raise
        return cls._wrap(_OwnedHandle(handle), created, name, size=size, access=access)

    def view(self, offset: int = 0, size: int | None = None, *, access: str | None = None,
             address: int | None = None) -> View:
        """Map a part of the memory: `size` bytes (None: up to the end) from any `offset` on (MapViewOfFileEx).

        `access` is that of the map, unless it is narrowed: ``"r"``, or ``"c"`` for changes that stay private to this
        one view.  `address`, on Windows, is where the first byte shall be, for memory that contains pointers; it must
        be congruent to `offset` modulo 64 KiB.  Raises ValueError also if the range is empty, `access` is wider than
        that of the map, or `address` can never be used; OSError also if something else is at the address.
        """
        offset, length = self._range(offset, _check_size(size), 1)
        access = self._access if access is None else _check_access(access)
        if access == "rw" != self._access:
            raise ValueError(f'a view with access={access!r} is wider than its map, which has access={self._access!r}')
        if address is not None:  # checked here because not all systems refuse a wrong one
            address, end = index(address), 2 ** (47 if ctypes.sizeof(LPVOID) == 8 else 32)
            if not _GRANULARITY <= address - offset % _GRANULARITY <= address + length <= end:
                raise ValueError(f"{length} bytes at address {address:#x} are not inside {_GRANULARITY:#x} to "
                                 f"{end:#x}, which programs may use")
            if (address - offset) % _GRANULARITY:
                raise ValueError(f"address {address:#x} and offset {offset:#x} must be congruent modulo 64 KiB")
        view = object.__new__(View)
        view._array, view._bytes, view._buf = self._call(_mapped, access, offset, length, address)
        view._owned, view._name, view._path, view._size, view._access = self, self._name, self._path, length, access
        return view


# ---------------------------------------------------------------- mutexes, events and semaphores

class _Thread(threading.local):  # a token that dies with its thread, unlike its number, which is used again
    def __init__(self) -> None:
        self.token: Any = lambda: None  # a new object, to which there can be weak references
        self.reference = weakref.ref(self.token)


_this_thread = _Thread()
_SLICE = 0.1  # seconds of one wait, which neither Ctrl+C nor close() can end


class _Waitable(_Object):  # what a thread can wait for: a mutex, an event or a semaphore
    @classmethod
    def _create(cls: type[Object], name: str | None, exist_ok: bool, sddl: str | None, inheritable: bool,
                *state: int) -> Object:
        _check_name(name)
        security: Any = _layer.security_attributes(_check_sddl(sddl), bool(inheritable))
        handle, created = _layer.create_waitable(cls._kind, name, exist_ok, security, *state)
        return cls._wrap(_OwnedHandle(handle), created, name)

    @classmethod
    def open(cls: type[Object], name: str, *, timeout: float | None = 0, inheritable: bool = False) -> Object:
        """Open one (OpenMutexW, OpenEventW, OpenSemaphoreW); `name`, `timeout`, `inheritable`: see NamedMap.open()."""
        return cls._wrap(_OwnedHandle(_open(name, cls._kind, inheritable, timeout)), False, name)

    @classmethod
    def from_handle(cls: type[Object], handle: int) -> Object:
        """Take a `handle` that was inherited, or made by duplicate(), as NamedMap.from_handle() does."""
        return cls._wrap(_OwnedHandle(_checked_handle(handle, cls._kind)), False, None)


def _wait(objects: Sequence[Any], timeout: float | None) -> Any:
    """Wait for at most `timeout` seconds for one of some objects, and get it; None if the time is over."""
    left = _check_timeout(timeout)
    got: list[int] = [WAIT_TIMEOUT]
    noted: list[int] = []
    owned = [each._check_open() for each in objects]  # this keeps the handles open meanwhile
    try:
        handles = [each.value for each in owned]
        end = time.perf_counter() + left  # time.monotonic() may have steps of 16 ms
        while True:
            _layer.wait(handles, left if left < _SLICE else _SLICE, got)
            found = objects[got[0] % WAIT_ABANDONED_0] if got[0] < WAIT_TIMEOUT else None
            if isinstance(found, Mutex):
                found._got(got[0] >= WAIT_ABANDONED_0, noted)
            # No loop: on Python 3.13 and 3.14, an exception at the end of one may pass by the `except` around it.
            if None in map(attrgetter("_owned"), objects):
                list(map(_Closable._check_open, objects))
            if found is not None or (left := end - time.perf_counter()) <= 0:
                return found
    except BaseException as error:
        if got[0] < WAIT_TIMEOUT:  # a signal handler raises, say: the caller would not know that it has the object
            place = got[0] % WAIT_ABANDONED_0
            try:
                objects[place]._give_back(owned[place].value, noted)
            except (OSError, RuntimeError, ValueError):
                pass  # a handle that may only wait cannot; and the first exception says more
        del owned  # the traceback would keep the handles open
        if isinstance(error, OSError) and len(objects) == 1:
            _blame(error, objects[0]._name)
        raise


def wait_any(objects: Iterable[Mutex | Event | Semaphore],
             timeout: float | None = None) -> Mutex | Event | Semaphore | None:
    """Wait until one of several is free or set, get and return it (WaitForMultipleObjects); None if the time is over.

    `objects` are 1 to 64 Mutexes, Events and Semaphores (else ValueError); if several can be got at once, the first of
    them is, as by its acquire() or wait(): a mutex is to be released then, and may be `abandoned`.  The others stay as
    they are.  `timeout`, Ctrl+C, close() and exceptions are as in Mutex.acquire().
    """
    waitables = list(objects)
    for each in waitables:
        if not isinstance(each, _Waitable):
            raise TypeError(f"wait_any() waits for Mutexes, Events and Semaphores, not for {type(each).__name__}")
    if not 1 <= len(waitables) <= MAXIMUM_WAIT_OBJECTS:
        raise ValueError(f"wait_any() waits for 1 to {MAXIMUM_WAIT_OBJECTS} objects, not for {len(waitables)}")
    return _wait(waitables, timeout)  # type: ignore[no-any-return]


class _Lock(_Waitable):
    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take the mutex once it is free, or 1 from the semaphore once it is above 0 (WaitForMultipleObjects).

        Return whether it was taken.  `timeout` is in seconds; None waits for ever, and 0, like `blocking` False, only
        tries.  Ctrl+C and close() end it within 0.1 seconds: it waits in slices, each of which queues anew, so that
        threads do not always go on in the order in which they came.  Raises ValueError also for a timeout with
        `blocking` False, and if the object is closed during the wait; PermissionError if its handle does not allow
        waiting.
        """
        if not blocking and timeout is not None:
            raise ValueError("blocking=False does not wait, and takes no timeout")
        return _wait((self,), timeout if blocking else 0) is not None

    def __enter__(self: Lock) -> Lock:
        self.acquire()
        return self

    def __exit__(self: Any, *exc_info: object) -> None:
        self.release()


class Mutex(_Lock):
    """A mutex object: one thread of all processes holds it at a time.

    ``with mutex:`` locks and unlocks it, and does not close it.  The thread that holds it may acquire it again, and has
    to release it as often.  If a thread or process ends while it holds the mutex, the next waiter gets it, and
    `abandoned` is True.  (If nothing else had it open at that moment, the mutex is gone, and the next create() makes a
    new one.)  A mutex that nothing refers to any more is closed, but stays locked until its thread ends.  A thread that
    Python did not start has to release it before it returns from Python.  The rest is said at NamedMap.
    """

    _kind = "Mutant"
    _abandoned = False
    # For each thread a list with one item for each time it holds it by this object.  A dead reference is that of a
    # thread that has ended.
    _holds: dict[weakref.ref[Any], list[int]]

    def _forget(self) -> None:
        self._holds = {}

    @classmethod
    def create(cls, name: str | None = None, *, exist_ok: bool = False, sddl: str | None = None,
               inheritable: bool = False) -> Mutex:
        """Make one that is free (CreateMutexW); `name`, `exist_ok`, `sddl`, `inheritable`: see NamedMap.create()."""
        return cls._create(name, exist_ok, sddl, inheritable)

    @property
    def abandoned(self) -> bool:
        """Whether the owner before ended without releasing the mutex: what it protects may be half changed.

        It stays as it is until this object next acquires the mutex; that its owner acquires it again does not count.
        Windows reports it only once: if Ctrl+C interrupts the acquire() that would report it, it is lost.  ValueError
        if the object is closed.
        """
        self._check_open()
        return self._abandoned

    def release(self) -> None:
        """Undo one acquire() (ReleaseMutex); RuntimeError if this thread does not hold it through this object."""
        held = self._holds.get(_this_thread.reference)
        # If this thread has got it by another object, nothing is asked of the system, which would release that.
        if not held or not self._call(_layer.release_mutex, held):
            self._call(int)  # the error of an object that is closed, or was not opened
            raise RuntimeError(f"this thread does not hold Mutex {self._name!r} through this object")
        if not held:
            self._holds.pop(_this_thread.reference, None)

    def close(self) -> None:
        """End the use of the object, once, as close() of the other classes does.

        Raises RuntimeError while a thread holds the mutex through this object: nothing could release it any more, and
        others would wait until that thread ends.
        """
        if self._is_held():
            raise RuntimeError(f"Mutex {self._name!r} is held, and has to be released before it is closed")
        super().close()

    def _is_held(self) -> bool:
        return any(held and reference() is not None for reference, held in list(self._holds.items()))

    def _got(self, is_abandoned: bool, noted: list[int]) -> None:
        """Note that the calling thread has got it, and in `noted` how often it had it before, to undo that."""
        if is_abandoned:
            self._holds.clear()  # those of threads that have ended
        held = self._holds.setdefault(_this_thread.reference, [])
        noted.append(len(held))
        held.append(1)
        self._holds[_this_thread.reference] = held  # again: a signal handler that used it may have dropped the list
        if not noted[0]:
            self._abandoned = is_abandoned

    def _give_back(self, handle: int, noted: list[int]) -> None:
        _layer.release_mutex(handle, [1])
        for before in noted:
            del self._holds.get(_this_thread.reference, [])[before:]

    def _details(self) -> str:
        return ", held" if self._is_held() else ""


class Event(_Waitable):
    """An event object: threads of all processes wait until it is set; `with` closes it.

    A manual-reset event lets all waiting threads go on until it is cleared; an auto-reset event lets one go on each
    time it is set.  What holds for all kernel objects is said at NamedMap.
    """

    _kind = "Event"

    @classmethod
    def create(cls, name: str | None = None, *, manual_reset: bool = True, initial_state: bool = False,
               exist_ok: bool = False, sddl: str | None = None, inheritable: bool = False) -> Event:
        """Make an event (CreateEventW), which is set at once if `initial_state` is true.

        With `manual_reset` it stays set until clear(); without, until one waiting thread has gone on.  `name`,
        `exist_ok`, `sddl`, `inheritable`: see NamedMap.create().
        """
        return cls._create(name, exist_ok, sddl, inheritable, bool(manual_reset), bool(initial_state))

    def set(self) -> None:
        """Let waiting threads go on: all until clear(), or one for an auto-reset event (SetEvent).

        If clear() follows at once, Windows may let none of them go on, as with PulseEvent: clear the event later, when
        what it announces is over.  On Linux, threads that were waiting go on.  PermissionError if the handle does not
        allow it, as for clear() and is_set().
        """
        self._call(_layer.set_event)

    def clear(self) -> None:
        """Reset the event, so that wait() blocks until the next set() (ResetEvent)."""
        self._call(_layer.reset_event)

    def is_set(self) -> bool:
        """Whether the event is set, which this does not change (NtQueryEvent)."""
        return bool(self._call(_layer.query_event)[1])

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, and return whether it was (WaitForMultipleObjects); `timeout` as in Mutex.acquire()."""
        return _wait((self,), timeout) is not None

    def _give_back(self, handle: int, noted: list[int]) -> None:
        resets_itself, _ = _layer.query_event(handle)
        if resets_itself:
            _layer.set_event(handle)


class Semaphore(_Lock):
    """A semaphore object: a count that acquire() takes from and release() adds to, and that is never below 0.

    ``with semaphore:`` acquires and releases it, and does not close it.  A count that was taken belongs to nobody: what
    a process that dies has taken is not given back.  What holds for all kernel objects is said at NamedMap.
    """

    _kind = "Semaphore"

    @classmethod
    def create(cls, name: str | None = None, value: int = 1, maximum: int | None = None, *,
               exist_ok: bool = False, sddl: str | None = None, inheritable: bool = False) -> Semaphore:
        """Make a semaphore that counts from `value`, which is 0 to `maximum`, to `maximum` at most (CreateSemaphoreW).

        `maximum` is 1 to 2**31-1; None is 2**31-1.  `name`, `exist_ok`, `sddl`, `inheritable`: see NamedMap.create().
        """
        maximum = _MAX_COUNT if maximum is None else _check_number("a maximum", maximum, 1, _MAX_COUNT, "1 to 2**31-1")
        value = _check_number("a value", value, 0, maximum, f"0 to the maximum of {maximum}")
        return cls._create(name, exist_ok, sddl, inheritable, value, maximum)

    def release(self, n: int = 1) -> int:
        """Add `n` to the count (ReleaseSemaphore; on Linux one by one) and return what it was before.

        Raises ValueError, and adds nothing, also if the count would exceed the maximum; PermissionError if its handle
        does not allow it.  `n` is at least 1.
        """
        before: int | None = self._call(_layer.release_semaphore, _check_number("n", n, 1, _MAX_COUNT, "1 to 2**31-1"))
        if before is None:
            raise ValueError(f"{n} more would exceed the maximum of the semaphore")
        return before

    def _give_back(self, handle: int, noted: list[int]) -> None:
        _layer.release_semaphore(handle, 1)


# ---------------------------------------------------------------- command line

_DEFAULT_SIZE = 256  # bytes of new memory, unless its contents need more
_MOST_INPUT = 64 << 20  # bytes of input, where neither a size nor the input itself says how many
_CHUNK = 1 << 20  # bytes looked at in one view, so that a large object does not fill the memory of this process
_ROW = 16  # bytes in a line of a dump
_STRANGE = frozenset(map(chr, _CONTROLS)) - set("\t\n\v\f\r\x1b") | {"\ufffd"}  # what text does not have


def _option(metavar: str, convert: Callable[[str], Any], text: str, **more: Any) -> dict[str, Any]:
    """What argparse takes for an argument; by itself it does not show why one is refused."""
    def converter(argument: str) -> Any:
        try:
            return convert(argument)
        except Exception as error:
            from argparse import ArgumentTypeError
            raise ArgumentTypeError(str(error).replace("\\\\", "\\")) from None  # of a quoted name
    return dict(metavar=metavar, type=converter, help=text, **more)


def _bytes(text: str) -> int:
    import re
    match = re.fullmatch("(0x[0-9a-f]{1,16}|[0-9]{1,19})([kmg]?)", text.lower())
    if not match:
        raise ValueError(f"not a number of bytes such as 4096, 0x1000, 64K, 16M or 2G: {text!r}")
    return int(match[1], 16 if "x" in match[1] else 10) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2]]


def _seconds(text: str) -> float:
    return _check_timeout(float(text))


def _encoding(text: str) -> str:
    list(codecs.iterdecode(["".encode(text)], text, "replace"))
    return text


class _Record:  # a format of the module struct, in which <n>W is text of n units of wchar_t; text ends at its first NUL
    def __init__(self, text: str) -> None:
        import re
        import struct
        # 0H aligns where the format does, and has no value.
        self._struct = struct.Struct(re.sub("([0-9]*)W", lambda match: f"0H{2 * int(match[1] or 1)}s", text))
        self.size = self._struct.size
        if not self.size:
            raise ValueError("a format must have at least one byte")
        wide = "utf-16-be" if text.startswith((">", "!")) else "utf-16-le"
        shows: dict[str, Callable[[Any], str]] = {
            "s": lambda value: repr(value.partition(b"\0")[0]),
            "W": lambda value: repr(value.decode(wide, "replace").partition("\0")[0])}
        self._shows = [(shows.get(kind, repr), 1 if kind in "spW" else int(count or 1))
                       for count, kind in re.findall("([0-9]*)([A-Za-wyz?])", text)]

    def lines(self, chunks: Iterable[bytes]) -> Iterator[str]:
        for chunk in chunks:
            # Not in __init__(): a format may say "9999999999i", of which no memory has a record.
            shows = [show for show, count in self._shows for _ in range(count)]
            yield "".join(" ".join(show(value) for show, value in zip(shows, values)) + "\n"
                          for values in self._struct.iter_unpack(chunk))


class _Command(Namespace):  # only for type checkers, which let that have any attribute
    """A run of the command line: its arguments, which argparse stores here, the standard streams, and the signals.

    Ctrl+C, Ctrl+Break and SIGTERM raise KeyboardInterrupt, but only in wait() and the C code that it calls: elsewhere
    something could be left half done, and in a __del__ Python drops the exception.  A second signal is not held back.
    """

    name: Any = None
    _ends_by_interrupt = False  # whether that is how the command ends, and no error
    _interrupts = 0  # the signals that came; 2 as soon as one has raised the exception

    def interrupt(self, number: int, frame: Any) -> None:
        self._interrupts += 1
        if frame.f_code is _Command.wait.__code__ or self._interrupts == 2:
            self._interrupts = 2  # what this leads to is not interrupted again
            raise KeyboardInterrupt

    def wait(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call C code that may take its time, and may be interrupted."""
        if self._interrupts:
            raise KeyboardInterrupt
        return call(*arguments)

    def print(self, piece: str | bytes) -> None:
        """Write to standard output, if there is one; what its encoding lacks is shown as an escape sequence."""
        output = sys.stdout
        if output is None:  # as in a program without a console
            return
        try:
            if isinstance(piece, str):
                encoding = output.encoding or "utf-8"
                text = piece.encode(encoding, "backslashreplace").decode(encoding)
                for start in range(0, len(text), 8000):  # of more, a console that is not buffered would drop the rest
                    self.wait(output.write, text[start:start + 8000])
            else:
                rest = memoryview(piece)
                while rest:  # one that is not buffered (python -u) may take only a part
                    rest = rest[self.wait(output.buffer.write, rest):]
            self.wait(output.flush)
        except OSError as error:
            # A pipe that nothing reads any more, as after `head`; Windows says EINVAL, as for much else.
            if error.errno == errno.EINVAL and stat.S_ISFIFO(os.fstat(output.fileno()).st_mode):
                error = BrokenPipeError()
            sys.stdout = None  # the interpreter would fail to flush it, too, at its end
            raise _blame(error, "standard output")

    def complain(self, text: str) -> None:
        try:
            print(text, end="", file=sys.stderr or io.StringIO(), flush=True)
        except OSError:
            sys.stderr = None  # the interpreter would fail to flush it, too, at its end

    def run(self, argv: list[str] | None) -> int:
        try:
            _, rest = _parser(self).parse_known_args(argv, self)
            # argparse finds a TEXT only right behind NAME, while people put options in between.
            is_text = len(rest) == 2 and rest[0] == "--" or len(rest) == 1 and not rest[0].startswith("-")
            if is_text and vars(self).get("text", "") is None:
                self.text = rest[-1]
            elif rest:
                self.wrong("unrecognized arguments: " + " ".join(rest))
            getattr(self, "_" + self.command)()
            return 0
        except BrokenPipeError:
            return 1
        except (KeyboardInterrupt, OSError, ValueError, MemoryError, NotImplementedError) as error:
            if isinstance(error, KeyboardInterrupt) and self._ends_by_interrupt:
                return 0
            place, cause = getattr(error, "filename", None), str(getattr(error, "strerror", None) or error)
            if isinstance(error, FileExistsError) and place == self.name:
                cause += "; info shows what has it open"
            cause = cause or ("interrupted" if isinstance(error, KeyboardInterrupt) else _NO_MEMORY)
            parts = ["namedmap", self.name, None if place == self.name else place, cause.replace("\\\\", "\\")]
            self.complain(": ".join(str(part) for part in parts if part is not None).translate(_CONTROLS) + "\n")
            return 1

    def _contents(self) -> Any:
        """The bytes to store, if any are given."""
        if [self.text, self.from_hex, self.input].count(None) < 2:
            self.wrong("TEXT, --from-hex and --input exclude each other")
        if self.input is not None:
            return self._read_input()
        return self.from_hex if self.text is None else (self.text + "\0").encode(self.encoding)

    def _read_input(self) -> bytearray:
        """All of a file, or of standard input for "-"; ValueError as soon as it is more than there is room for."""
        if self.command == "write":
            with NamedMap.open(self.name) as memory:  # and not held open while a pipe is read, which may take its time
                self.size = max(memory.size - self.offset, 0)
        path, room, octets = self.input, self.size, bytearray()
        source = "standard input" if path == "-" else path
        try:
            with open(0 if path == "-" else path, "rb", closefd=path != "-") as stream:
                if room is None:
                    room = max(os.fstat(stream.fileno()).st_size, _MOST_INPUT)
                # Not read(), which would want the end of a terminal's input twice.
                for piece in iter(lambda: self.wait(stream.read1, _CHUNK), b""):
                    octets += piece
                    if len(octets) > room:
                        raise ValueError(f"{source} has more than the {room} bytes that there is room for")
                return octets
        except OSError as error:
            raise _blame(error, source)

    def _write(self) -> None:
        contents = self._contents()
        if contents is None:
            self.wrong("nothing to write: give TEXT, --from-hex or --input")
        with NamedMap.open(self.name) as memory:
            if contents:
                memory.view(self.offset, len(contents)).write(contents)

    def _create(self) -> None:
        contents, size, old = self._contents() or b"", self.size, None
        if size is None:
            if self.file is None:
                size = max(_DEFAULT_SIZE, len(contents))
            try:
                old = NamedMap.open(self.name) if self.exist_ok else None  # all of it, however large it is
            except FileNotFoundError:
                pass
        elif len(contents) > size:
            self.wrong(f"{len(contents)} bytes do not fit in {size} bytes (--size)")
        with old or NamedMap.create(self.name, size, file=self.file, exist_ok=self.exist_ok, sddl=self.sddl) as memory:
            if contents:
                memory.view(0, len(contents)).write(contents)
            attached = "" if memory.created else " that were there"
            limit = "" if self.hold == inf else f"for {self.hold:.15g} seconds, or "
            self._ends_by_interrupt = True
            self.print(f"{self.name.translate(_CONTROLS)}: {memory.size} bytes{attached}, held {limit}until Enter or "
                       "Ctrl+C\n")
            self._wait_for_enter()

    def _wait_for_enter(self) -> None:
        def look_for_enter() -> None:
            try:
                # Not sys.stdin.readline(): its lock, still held when the interpreter ends, is a fatal error.
                for octet in iter(lambda: os.read(sys.stdin.fileno(), 1), b""):
                    if octet in b"\r\n":
                        return entered.set()  # and not at the end of the input
            except (AttributeError, OSError, ValueError):
                pass  # there is no input

        entered, end = threading.Event(), time.monotonic() + self.hold
        threading.Thread(target=look_for_enter, daemon=True).start()
        while not entered.is_set() and (left := end - time.monotonic()) > 0:
            self.wait(time.sleep, min(left, 0.1))

    def _read(self) -> None:
        """Wait for the memory, and for the first character of a text; look; and with --watch, look again and again."""
        if self.struct and (self.size or 0) % self.struct.size:
            self.wrong(f"--size {self.size} is not a multiple of the {self.struct.size} bytes of --struct")
        self._ends_by_interrupt = self.watch is not None
        is_text = not (self.hex or self.raw or self.struct)
        seen: list[Any] = []
        end = time.monotonic() + self.timeout
        while True:
            pause, is_over = 0.02, time.monotonic() >= end
            try:
                # Not held open during the pause: a publisher that starts again could not make it anew.
                with NamedMap.open(self.name, access="r") as memory:
                    began, looked = time.perf_counter(), self._chunks(memory)
                    if is_text:
                        looked = [self._text(looked) + "\n"]
                    if is_over or seen or looked != ["\n"]:
                        if self.watch is None:
                            self._show(looked)
                            if is_text and not _STRANGE.isdisjoint(*looked):
                                self.complain(f"namedmap: this is hardly text in {self.encoding}: "
                                              "--hex shows the bytes\n")
                            return
                        # Piece by piece, so that there is only one copy of what does not change.
                        now = [old if old == new else new for old, new in zip_longest(seen, looked) if new is not None]
                        # So, memory of any size takes less than a tenth of a processor while it stays as it is.
                        pause = max(self.watch, 0.01) if self.watch else max(10 * (time.perf_counter() - began), 0.1)
                        if now != seen:
                            self._show(now, seen)
                            seen = now
                        end = time.monotonic() + pause + self.timeout
            except FileNotFoundError:
                if is_over:
                    raise
            self.wait(time.sleep, pause)

    def _chunks(self, memory: NamedMap) -> Any:
        """The bytes to look at, up to the end of the memory, in pieces of whole rows and records."""
        room, unit = memory.size - self.offset, self.struct.size if self.struct else 1
        size = min(self.size or (unit if self.struct else room), room)
        end = self.offset + max(size // unit, 1) * unit  # at least one unit, so that view() refuses what is not inside
        step = max(_CHUNK // unit, 1) * unit
        for position in range(self.offset, end, step):
            with memory.view(position, min(step, end - position)) as view:
                yield self.wait(view.read)

    def _text(self, chunks: Iterable[bytes]) -> str:
        """The text up to its first NUL; what is not text becomes U+FFFD, and ends of lines "\n", as for print()."""
        text = ""
        for piece in codecs.iterdecode(chunks, self.encoding, "replace"):
            text += piece
            if "\0" in piece:
                break
        return text.partition("\0")[0].replace("\r\n", "\n").replace("\r", "\n")

    def _show(self, looked: Iterable[Any], before: Sequence[Any] = ()) -> None:
        """Print what there is, or what has changed since `before`."""
        if before and [*map(len, before)] != [*map(len, looked)]:
            before = ()  # the memory has another size
        pieces = looked
        if self.struct:
            pieces = self.struct.lines(looked)
            if before and [*self.struct.lines(before)] == [*self.struct.lines(looked)]:
                return  # what records do not show may change, too
        elif self.hex:
            pieces = self._hex_dump(looked, before)
            if before:
                from datetime import datetime
                self.print(f"{datetime.now():%H:%M:%S.%f}"[:-3] + "\n")
        for piece in pieces:
            self.print(piece)

    def _hex_dump(self, chunks: Iterable[bytes], before: Sequence[bytes]) -> Iterator[str]:
        """Rows with offsets and an ASCII column, `*` for those that repeat the one above; or what is not as before."""
        offset, above, folded = self.offset, b"", False
        for number, chunk in enumerate(chunks):
            old, rows = before[number] if before else None, []
            for start in range(0, 0 if chunk == old else len(chunk), _ROW):
                row = chunk[start:start + _ROW]
                if row != (above if old is None else old[start:start + _ROW]):
                    shown = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in row)
                    rows.append(f"{offset + start:08x}  {row.hex(' '):<47}  |{shown}|\n")
                elif old is None and not folded:
                    rows.append("*\n")
                folded, above = row == above, row
            yield "".join(rows)
            offset += len(chunk)
        if not before:
            yield f"{offset:08x}\n"

    def _facts(self, name: str) -> tuple[int, int | None, str]:
        """The size of memory, its SEC_ attributes, and the widest access that this process gets."""
        try:
            return (*_layer.section_facts(name, "rw"), "rw")
        except PermissionError:
            return (*_layer.section_facts(name, "r"), "r")

    def _info(self) -> None:
        kind = _layer.kind_of_name(self.name) or "Section"  # if nothing has the name, opening it says so
        facts = {"name": self.name.translate(_CONTROLS), "kind": _KINDS[kind]}
        try:
            if kind == "Section":
                size, attributes, access = self._facts(self.name)
                facts.update(size=f"{size} bytes", pages="of a file", access=access)
                if attributes is None:
                    facts["pages"] = "unknown: the security descriptor does not let one ask"
                elif not attributes & SEC_FILE:
                    facts["size"] += "; the system rounds sizes up to whole pages"
                    facts["pages"] = "only reserved, until they are mapped" if attributes & SEC_RESERVE else "committed"
            facts["open"] = _layer.holders(self.name, kind)
        except PermissionError as error:
            facts["access"] = f"none: {error.strerror}"
        for key, value in facts.items():
            self.print(f"{key + ':':<7} {value}\n")

    def _list(self) -> None:
        from fnmatch import fnmatchcase
        pattern = self.pattern if "\\" in self.pattern else "*\\" + self.pattern  # without one, of any prefix
        for name, kind in _layer.named_objects():
            if not fnmatchcase(name, pattern) or not (self.all or kind == "Section"):
                continue
            try:
                size = str(self._facts(name)[0]) if kind == "Section" else "-"
            except FileNotFoundError:
                continue  # it has gone meanwhile
            except OSError:
                size = "-"  # this process may not read it
            shown_kind = f"{_KINDS[kind]:<19}  " if self.all else ""
            self.print(f"{shown_kind}{size:>12}  {name.translate(_CONTROLS)}\n")


_ARGUMENTS: dict[str, dict[str, Any]] = {
    "NAME": _option("NAME", lambda text: _check_name(text, opening=True), "may have the prefix Local\\ or Global\\"),
    "TEXT": _option("TEXT", str, "what to write, with a NUL behind it", nargs="?"),
    "PATTERN": _option("PATTERN", lambda text: (__import__("fnmatch").fnmatchcase("", text), text)[1],  # if it is one
                       "of names, with * ? [...]; with a backslash, of names with prefixes", nargs="?", default="*"),
    "--all": dict(action="store_true", help="list mutexes, events, semaphores, timers and jobs, too"),
    "--encoding": _option("E", _encoding, "of the text; default %(default)s: wchar_t of Windows", default="utf-16-le"),
    "--exist-ok": dict(action="store_true", help="attach to the memory if the name is taken"),
    "--file": _option("PATH", str, "a file to map; --size makes it, or makes it larger"),
    "--from-hex": _option("HEX", bytes.fromhex, "bytes to write, such as 0aff"),
    "--hex": dict(action="store_true", help="print a hexadecimal dump instead of text"),
    "--hold": _option("SECONDS", _seconds, "how long to hold the memory, if nothing ends that before", default=inf),
    "--input": _option("PATH", str, "a file to write instead of TEXT, - for standard input"),
    "--offset": _option("N", _bytes, "bytes to skip (4096, 0x1000, 64K, 16M, 2G); default 0", default=0),
    "--raw": dict(action="store_true", help="write the bytes themselves, for a pipe or a file"),
    "--sddl": _option("S", str, "on Windows: security descriptor, D:(A;;GA;;;OW)(A;;GR;;;WD) to let others read"),
    "--size": _option("N", lambda text: _check_size(_bytes(text)),
                      f"bytes (4096, 0x1000, 64K, 16M, 2G). create: default {_DEFAULT_SIZE}, or what the contents "
                      "need, or the whole file. read: at most; default all, or one record of --struct"),
    "--struct": _option("FORMAT", _Record, 'print records in a format of the module struct, such as "<4sId32W"; 32W is '
                        "wchar_t[32], and text ends at its first NUL"),
    "--timeout": _option("SECONDS", _seconds, "how long to wait for the name, and for the first character of a text; "
                         "default 0. With --watch, a publisher that ends has as long to start again", default=0.0),
    "--watch": _option("SECONDS", _seconds, "print again what changes (with --hex the time of day and the rows), until "
                       "Ctrl+C or until it is gone; look every SECONDS, by default every 0.1, or less often if that "
                       "takes a tenth of a processor", nargs="?", const=0.0),
}
# Of each command its summary, an example, and its arguments; those with a bar in between exclude each other.
_COMMANDS = {
    "create": ("Create memory, write to it, and hold it.", 'demo "Message from first process."',
               "NAME TEXT --encoding|--from-hex|--input --size --file --exist-ok --sddl --hold"),
    "read": ("Print what is in memory, as text up to its first NUL, or otherwise.", "demo --timeout 10 --watch",
             "NAME --offset --size --encoding|--hex|--raw|--struct --timeout --watch"),
    "write": ("Write to memory that exists.", 'demo "New message."',
              "NAME TEXT --encoding|--from-hex|--input --offset"),
    "info": ("Show what has a name, what has it open, and what this process may do with it.", "demo", "NAME"),
    "list": ("List the memory of this session and of Global\\ with its size in bytes; - stands for one that is not "
             "known.", '"*demo*" --all', "PATTERN --all"),
}


def _parser(command: _Command) -> ArgumentParser:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter
    # How this program was started: `namedmap`, `python -m namedmap`, `_namedmap.py`.
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = spec.name.replace(".__main__", "") if spec else "__main__"
    program = os.path.basename(sys.argv[0]) if module == "__main__" else f"python -m {module}"

    class Parser(ArgumentParser):  # which needs no standard streams
        def _print_message(self, message: str, file: object = None) -> None:
            (command.print if file is sys.stdout else command.complain)(message)

    parser = Parser(
        prog=program, description="Look at named shared memory, write to it, and make some.",
        epilog='example: %(prog)s create demo "Message from first process."\n\n'
               "exit status: 0, 1 after an error, 2 for a wrong command line\n"
               r"In sh and PowerShell, names with $ need single quotes: 'Local\$name'",
        formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"namedmap {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, (summary, example, arguments) in _COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary, epilog=f"example: %(prog)s {example}")
        sub.set_defaults(wrong=sub.error)
        for alternatives in arguments.split(" "):
            group = sub.add_mutually_exclusive_group() if "|" in alternatives else sub
            for key in alternatives.split("|"):
                group.add_argument(key.lower(), **_ARGUMENTS[key])
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 1 after an error, which standard error reports.

    `argv` are the arguments without the name of the program; None takes those of this process.  Raises SystemExit for
    ``--help`` and ``--version`` (0) and for a wrong command line (2).
    """
    import signal
    from contextlib import ExitStack
    command = _Command()
    try:
        with ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():  # only there can handlers be set
                for number in signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM):
                    # Not where the program that calls main() handles it, or its parent wants it to be ignored.
                    if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                        stack.callback(signal.signal, number, signal.signal(number, command.interrupt))
            return command.run(argv)
    except KeyboardInterrupt:  # before Ctrl+C was taken over, or after it was given back
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
