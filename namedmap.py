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
r"""Named shared memory of Windows: file mapping objects, from Python.

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
the size that was asked for, so who opens without ``size=`` sees the rounded one.

Lifetime.  An object and its name live as long as somebody has it open: when the
last process closes it, or dies, both are gone, and nothing is left behind.
Closing never pulls memory from under a reader: ``close()`` gives up the handle
at once, while buffers, slices, numpy arrays and ctypes overlays that were
borrowed stay valid, and the memory is unmapped after the last of them.

Coordination.  Nothing here locks.  Processes that write the same bytes must
agree on who writes when.

On the command line, ``python -m namedmap create NAME TEXT`` and
``python -m namedmap read NAME`` show whether two processes see the same memory.
"""
from __future__ import annotations

import codecs
import ctypes
import sys
import threading
import time
import weakref
from ctypes import wintypes
from operator import index

TYPE_CHECKING = False  # typing is not imported at run time
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple, Type, TypeVar, Union, overload

    Buffer = Any  # whatever memoryview() accepts: bytes, bytearray, array.array, numpy.ndarray...
    CData = TypeVar("CData")  # a Structure, Union, array or simple type of ctypes
    Memory = TypeVar("Memory", bound="_Memory")

__all__ = ["NamedMap", "View"]
__version__ = "0.1.0"


# ---------------------------------------------------------------- arguments and errors

_MAX_NAME = 259  # UTF-16 units: MAX_PATH without its NUL, which every Windows function accepts
_MAX_SIZE = 2 ** 63 - 1  # bytes: CreateFileMapping takes two DWORDs, and the kernel a signed number

# For each access, what a view may ask of a map that has it.
_NARROWER = {"r": ("r", "c"), "rw": ("rw", "r", "c"), "c": ("c", "r")}


def _check_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, not {type(name).__name__}")
    prefix, backslash, rest = name.rpartition("\\")
    if backslash and prefix not in ("Local", "Global"):
        raise ValueError(f"a backslash may only follow the prefix Local or Global, spelled like that: {name!r}")
    if not rest:
        raise ValueError(f"a name must not be empty: {name!r}")
    if "\0" in name:
        raise ValueError(f"a name must not contain NUL, where Windows would end it: {name!r}")
    units = len(name.encode("utf-16-le", "surrogatepass")) // 2
    if units > _MAX_NAME:
        raise ValueError(f"a name must have at most {_MAX_NAME} UTF-16 units, its prefix included; this has {units}")
    return name


def _check_size(size: int) -> int:
    try:
        size = index(size)
    except TypeError:
        raise TypeError(f"a size must be an int, in bytes, not {type(size).__name__}") from None
    if not 0 < size <= _MAX_SIZE:
        raise ValueError(f"a size must be 1 to 2**63-1 bytes, not {size}")
    return size


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


ERROR_FILE_NOT_FOUND = 2
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_NOT_ENOUGH_MEMORY = 8
ERROR_INVALID_PARAMETER = 87
ERROR_ALREADY_EXISTS = 183
ERROR_NO_SYSTEM_RESOURCES = 1450
ERROR_COMMITMENT_LIMIT = 1455

_NO_MEMORY = "there is not that much memory or free address space; map parts of a large object with view()"
_CAUSES = {
    ERROR_FILE_NOT_FOUND: "nothing has this name now: is the publisher running, and is it in Global\\ or in Local\\?",
    ERROR_ACCESS_DENIED: "access is denied by the security descriptor that its creator gave it",
    ERROR_INVALID_HANDLE: "this is the name of another kind of object (mutex, event, semaphore, timer or job)",
    ERROR_NOT_ENOUGH_MEMORY: _NO_MEMORY,
    ERROR_ALREADY_EXISTS: "the name is taken: somebody still has it open, and a reader counts; "
                          "exist_ok=True (--exist-ok) attaches to it",
    ERROR_NO_SYSTEM_RESOURCES: _NO_MEMORY,
    ERROR_COMMITMENT_LIMIT: "the paging file cannot hold it: ask for less, or enlarge the paging file",
}
_NEEDS_WRITING = '; access="r" may be allowed'
_NEEDS_PRIVILEGE = (
    "creating memory in Global\\ needs the privilege SeCreateGlobalPrivilege (opening does not): "
    "run elevated or as a service, or use Local\\"
)


def _os_error(code: int, name: Optional[str], cause: str) -> OSError:
    """The exception for a Win32 error code: of the subclass, and with the errno, that belong to it."""
    return OSError(0, cause, name, code)


# ---------------------------------------------------------------- Windows

# memoryapi.h
FILE_MAP_COPY = 0x0001
FILE_MAP_WRITE = 0x0002
FILE_MAP_READ = 0x0004
# winnt.h
PAGE_READWRITE = 0x04
SECTION_QUERY = 0x0001
# handleapi.h; a c_void_p, because an int of -1 never equals what ctypes returns for it
INVALID_HANDLE_VALUE = wintypes.HANDLE(-1)
# ntdll: SECTION_INFORMATION_CLASS
SectionBasicInformation = 0

# What is asked of an object when it is opened, and of a view when it is mapped.
_OPEN_RIGHTS = {"r": FILE_MAP_READ, "rw": FILE_MAP_READ | FILE_MAP_WRITE, "c": FILE_MAP_READ}
_VIEW_RIGHTS = {"r": FILE_MAP_READ, "rw": FILE_MAP_READ | FILE_MAP_WRITE, "c": FILE_MAP_COPY}


class MEMORY_BASIC_INFORMATION(ctypes.Structure):
    """What VirtualQuery tells of a run of pages."""

    _fields_ = [
        ("BaseAddress", wintypes.LPVOID),
        ("AllocationBase", wintypes.LPVOID),
        ("AllocationProtect", wintypes.DWORD),
        ("RegionSize", ctypes.c_size_t),
        ("State", wintypes.DWORD),
        ("Protect", wintypes.DWORD),
        ("Type", wintypes.DWORD),
    ]


class SECTION_BASIC_INFORMATION(ctypes.Structure):
    """What NtQuerySection tells of a file mapping object, which the kernel calls a section."""

    _fields_ = [
        ("BaseAddress", wintypes.LPVOID),
        ("Attributes", wintypes.ULONG),
        ("Size", wintypes.LARGE_INTEGER),
    ]


_winctypes: Any = ctypes  # for what only Windows has of it, and type checkers elsewhere do not know


def _win_error(code: int, name: Optional[str] = None) -> OSError:
    return _os_error(code, name, _CAUSES.get(code) or _winctypes.FormatError(code).strip())


# The checks run right after the call in the same thread, while the captured last error is that of the call.

def _nonzero(result: Any, function: Any, arguments: Tuple[Any, ...]) -> Any:
    if not result:
        raise _win_error(_winctypes.get_last_error())
    return result


def _opened(handle: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> int:
    if not handle:  # None, not 0: ctypes turns a NULL pointer into None
        raise _win_error(_winctypes.get_last_error(), name=arguments[-1])
    return handle


def _created(handle: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> Tuple[int, bool]:
    return _opened(handle, function, arguments), _winctypes.get_last_error() != ERROR_ALREADY_EXISTS


def _mapped(base: Optional[int], function: Any, arguments: Tuple[Any, ...]) -> int:
    if base:
        return base
    code = _winctypes.get_last_error()
    if arguments[1] & FILE_MAP_WRITE and code in (ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER):
        # The range was checked before, so that it is the protection of the object which forbids the view.
        raise _os_error(ERROR_ACCESS_DENIED, None, "the memory was created read-only" + _NEEDS_WRITING)
    raise _win_error(code)


def _success(status: int, function: Any, arguments: Tuple[Any, ...]) -> int:
    if status < 0:  # an NTSTATUS: ntdll does not set the last error
        raise _win_error(_layer.RtlNtStatusToDosError(status))
    return status


# Every function: its DLL, restype, argtypes and check. Sorted; a test sees to it.
_PROTOTYPES = {
    # No check: it can only fail when somebody else closed the handle, and then close() has nothing left to do.
    "CloseHandle": ("kernel32", wintypes.BOOL, (wintypes.HANDLE,), None),
    "CreateFileMappingW": ("kernel32", wintypes.HANDLE, (
        wintypes.HANDLE,  # hFile
        wintypes.LPVOID,  # lpFileMappingAttributes
        wintypes.DWORD,  # flProtect
        wintypes.DWORD,  # dwMaximumSizeHigh
        wintypes.DWORD,  # dwMaximumSizeLow
        wintypes.LPCWSTR,  # lpName
    ), _created),
    "MapViewOfFile": ("kernel32", wintypes.LPVOID, (
        wintypes.HANDLE,  # hFileMappingObject
        wintypes.DWORD,  # dwDesiredAccess
        wintypes.DWORD,  # dwFileOffsetHigh
        wintypes.DWORD,  # dwFileOffsetLow
        ctypes.c_size_t,  # dwNumberOfBytesToMap
    ), _mapped),
    "NtQuerySection": ("ntdll", ctypes.c_long, (
        wintypes.HANDLE,  # SectionHandle
        ctypes.c_int,  # SectionInformationClass
        wintypes.LPVOID,  # SectionInformation
        ctypes.c_size_t,  # SectionInformationLength
        wintypes.LPVOID,  # ReturnLength
    ), _success),
    "OpenFileMappingW": ("kernel32", wintypes.HANDLE, (
        wintypes.DWORD,  # dwDesiredAccess
        wintypes.BOOL,  # bInheritHandle
        wintypes.LPCWSTR,  # lpName
    ), _opened),
    # No check: it translates errors and cannot fail itself.
    "RtlNtStatusToDosError": ("ntdll", wintypes.ULONG, (ctypes.c_long,), None),
    "UnmapViewOfFile": ("kernel32", wintypes.BOOL, (wintypes.LPCVOID,), _nonzero),
    "VirtualQuery": ("kernel32", ctypes.c_size_t, (
        wintypes.LPCVOID,  # lpAddress
        wintypes.LPVOID,  # lpBuffer
        ctypes.c_size_t,  # dwLength
    ), _nonzero),
}


class _Windows:
    """The system calls that everything below stands on, over kernel32 and ntdll."""

    if not TYPE_CHECKING:  # a type checker would take every misspelt method for a function of the table

        def __getattr__(self, name: str) -> Any:
            """Load a DLL, or bind a function of the table, at its first use."""
            if sys.platform != "win32":
                raise NotImplementedError("namedmap needs Windows: this system has no file mapping objects")
            if name in ("kernel32", "ntdll"):
                # A private one: the prototypes of ctypes' own are shared with every other library of the process.
                value = _winctypes.WinDLL(name, use_last_error=True)
            elif name in _PROTOTYPES:
                dll, restype, argtypes, check = _PROTOTYPES[name]
                value = getattr(self, dll)[name]  # [] makes a new function, complete before another thread sees it
                value.restype, value.argtypes = restype, argtypes
                if check:
                    value.errcheck = check
            else:
                raise AttributeError(name)
            setattr(self, name, value)
            return value
    else:
        CloseHandle: Any
        CreateFileMappingW: Any
        MapViewOfFile: Any
        NtQuerySection: Any
        OpenFileMappingW: Any
        RtlNtStatusToDosError: Any
        UnmapViewOfFile: Any
        VirtualQuery: Any

    def create_file_mapping(self, name: Optional[str], size: int) -> Tuple[int, bool]:
        """A handle, and whether the object is new. One that existed keeps its size."""
        pair: Tuple[int, bool] = self.CreateFileMappingW(
            INVALID_HANDLE_VALUE, None, PAGE_READWRITE, size >> 32, size & 0xFFFFFFFF, name)
        return pair

    def open_file_mapping(self, name: str, access: str) -> int:
        rights = _OPEN_RIGHTS[access]
        try:
            handle: int = self.OpenFileMappingW(rights | SECTION_QUERY, False, name)
        except PermissionError:
            handle = self.OpenFileMappingW(rights, False, name)  # a descriptor may grant the memory, but not its size
        return handle

    def section_size(self, handle: int, access: str) -> int:
        """The size in bytes of a file mapping object, whole pages unless it is backed by a file."""
        section = SECTION_BASIC_INFORMATION()
        try:
            self.NtQuerySection(handle, SectionBasicInformation, ctypes.byref(section), ctypes.sizeof(section), None)
        except PermissionError:  # opened without SECTION_QUERY
            return self._view_size(handle, access)
        size: int = section.Size
        return size

    def _view_size(self, handle: int, access: str) -> int:
        """The size of a view of the whole object; a region ends where the protection changes, so they are added."""
        region, size = MEMORY_BASIC_INFORMATION(), 0
        base = self.map_view(handle, access, 0, 0)
        try:
            while True:
                self.VirtualQuery(base + size, ctypes.byref(region), ctypes.sizeof(region))
                if region.AllocationBase != base:
                    return size
                size += region.RegionSize
        finally:
            self.unmap_view(base, size)

    def map_view(self, handle: int, access: str, offset: int, size: int) -> int:
        """The address of a view; size 0 reaches to the end of the object."""
        if size > sys.maxsize:  # ctypes would cut it to the size of a pointer
            raise _win_error(ERROR_NOT_ENOUGH_MEMORY)
        base: int = self.MapViewOfFile(handle, _VIEW_RIGHTS[access], offset >> 32, offset & 0xFFFFFFFF, size)
        return base

    def unmap_view(self, base: int, size: int) -> None:
        self.UnmapViewOfFile(base)

    def close_handle(self, handle: int) -> None:
        self.CloseHandle(handle)


_layer = _Windows()


# ---------------------------------------------------------------- memory and views

_GRANULARITY = 0x10000  # SYSTEM_INFO.dwAllocationGranularity: where a view may begin


class _Unmapper:
    """Unmaps a view after the last object that can reach its memory.

    The array over the memory holds one, and everything borrowed holds the array.  The work is done in two steps,
    because the garbage collector calls all finalizers (__del__ methods and weakref callbacks) of a cycle before it
    breaks the cycle, in no useful order: if the first of them unmapped the view, the __del__ of another object in
    the cycle could still read the memory, and would crash the process.  So the first step only leaves a second
    _Unmapper where it dies together with the array.
    """

    def __init__(self, base: int, size: int, heirs: Optional[List[_Unmapper]] = None) -> None:
        self._base, self._size, self._heirs = base, size, heirs

    # A default argument, because the globals of a module may be gone when the interpreter ends.
    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if is_finalizing():
            return  # the system unmaps what is left, while daemon threads may still read
        if self._heirs is None:
            _layer.unmap_view(self._base, self._size)
        else:
            self._heirs.append(_Unmapper(self._base, self._size))


def _map_array(handle: int, access: str, offset: int, size: int) -> Any:
    """A ctypes array over part of a file mapping object, which unmaps it at the end of its life."""
    skipped = offset % _GRANULARITY
    length = skipped + size
    base = _layer.map_view(handle, access, offset - skipped, length)
    heirs: List[_Unmapper] = []
    unmapper = _Unmapper(base, length, heirs)
    array: Any = (ctypes.c_char * size).from_address(base + skipped)
    array.unmapper = unmapper, heirs
    return array


class _Memory:
    """What views and maps have in common: mapped memory, read and written as bytes."""

    _lock: threading.RLock  # a signal handler or a __del__ may close the object that its thread is just mapping
    _name: Optional[str]
    _size: int
    _access: str
    # These three exist while the memory is mapped. Without them every use comes to __getattr__, which maps the
    # memory or raises, so that no access pays for a check.
    _array: Any  # a ctypes array of c_char, for reading: a slice of it is bytes at once
    _bytes: memoryview  # for writing
    _buf: memoryview  # handed out, and not used here, since who has it may release it

    def __new__(cls, *args: object, **kwargs: object) -> Any:
        raise TypeError(f"{cls.__name__} is not called: NamedMap.create() makes memory, NamedMap.open() opens it, "
                        "and view() of a NamedMap gives a View")

    if not TYPE_CHECKING:  # a type checker would take every misspelt attribute for one of these

        def __getattr__(self, name: str) -> Any:
            if name not in ("_array", "_bytes", "_buf"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            with self._lock:
                if name not in self.__dict__:  # another thread may have mapped it meanwhile
                    self._check_open()
                    self._map()
                return self.__dict__[name]

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

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{type(self).__name__} {self._name!r} is closed")

    def _check_range(self, offset: int, size: int) -> None:
        if not 0 <= offset <= self._size - size:
            raise ValueError(f"{size} bytes at offset {offset} are not inside the memory, which has {self._size} bytes")

    @property
    def size(self) -> int:
        """The number of bytes covered."""
        return self._size

    @property
    def access(self) -> str:
        """``"r"``, ``"rw"`` or ``"c"``."""
        self._check_open()
        return self._access

    @property
    def address(self) -> int:
        """The address of the first byte in this process."""
        return ctypes.addressof(self._array)

    @property
    def buf(self) -> memoryview:
        """A memoryview of all the bytes, read-only when access is ``"r"``; it stays valid after close()."""
        return self._buf

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up the memory; what was borrowed from it stays valid."""
        raise NotImplementedError

    def __enter__(self: Memory) -> Memory:
        self._check_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __len__(self) -> int:
        self._check_open()
        return self._size

    def __bool__(self) -> bool:
        return True

    def __buffer__(self, flags: int) -> memoryview:
        """The buffer protocol, from Python 3.12 on."""
        return self._bytes[:]

    if TYPE_CHECKING:
        @overload
        def __getitem__(self, key: int) -> int: ...

        @overload
        def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: Union[int, slice]) -> Union[int, bytes]:
        if key.__class__ is slice:
            octets: bytes = self._array[key]
            return octets
        return self._bytes[key]

    def __setitem__(self, key: Union[int, slice], value: Any) -> None:
        view = self._bytes
        try:
            view[key] = value
        except (TypeError, ValueError):
            if view.readonly or not isinstance(key, slice):
                raise
            data = _octets(value)  # a memoryview only takes bytes, not the items of an array.array
            if len(data) != len(view[key]):
                raise ValueError(f"{len(data)} bytes do not fit a slice of {len(view[key])}") from None
            view[key] = data

    def read(self, size: Optional[int] = -1, offset: int = 0) -> bytes:
        """Copy up to `size` bytes (all, if negative or None) from `offset` on; like os.pread, stop at the end.

        Raises ValueError for a negative offset and on a closed object.
        """
        if offset < 0:
            raise ValueError(f"an offset must not be negative: {offset}")
        octets: bytes = self._array[offset:None if size is None or size < 0 else offset + size]
        return octets

    def write(self, data: Buffer, offset: int = 0) -> int:
        """Copy a bytes-like object to `offset` (bytes) and return how many bytes it has.

        Raises ValueError, and writes nothing, if it does not fit or the object is closed; TypeError if it is not
        bytes-like or the memory is read-only.
        """
        octets = data if data.__class__ is bytes else _octets(data)
        size = len(octets)
        view = self._bytes
        self._check_range(offset, size)
        view[offset:offset + size] = octets
        return size

    def overlay(self, ctype: Type[CData], offset: int = 0) -> CData:
        """A ctypes object (Structure, array, c_int...) that lives in the memory at `offset` (bytes).

        Reading and storing its fields reads and writes the shared memory; it stays valid after close().  Raises
        ValueError if it is not wholly inside or the object is closed; TypeError if `ctype` is not a ctypes type or
        the memory is read-only (snapshot() copies from it).
        """
        placed = self._place(ctype, offset)
        if self._bytes.readonly:
            raise TypeError("an overlay could be stored to, and this memory is read-only: use snapshot()")
        overlay: CData = placed.from_buffer(self._array, offset)
        return overlay

    def snapshot(self, ctype: Type[CData], offset: int = 0) -> CData:
        """A ctypes object with a private copy, made in one pass, of the memory at `offset` (bytes).

        Raises ValueError if it is not wholly inside or the object is closed; TypeError if `ctype` is not a ctypes
        type.
        """
        copy: CData = self._place(ctype, offset).from_buffer_copy(self._array, offset)
        return copy

    def _place(self, ctype: Any, offset: int) -> Any:
        """The ctypes type itself, once it is sure that it fits at the offset."""
        if not isinstance(ctype, type):
            raise TypeError(f"a ctypes type is required, not {type(ctype).__name__}")
        self._check_range(offset, ctypes.sizeof(ctype))
        return ctype


class View(_Memory):
    """Part of a file mapping object, mapped into this process (MapViewOfFile); made by NamedMap.view().

    Bytes are read and written as in NamedMap: by index and slice, read(), write(), overlay(), snapshot() and `buf`.
    A view keeps the NamedMap it came from alive, but not open.  `with` closes the view.
    """

    _map_object: Optional[NamedMap]

    @classmethod
    def _over(cls, map_object: NamedMap, array: Any, access: str) -> View:
        self: View = object.__new__(cls)
        self._lock = threading.RLock()
        self._map_object = map_object
        self._name, self._size, self._access = map_object.name, len(array), access
        self._use(array)
        return self

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._map_object is None

    def close(self) -> None:
        """Give up the view.  What was borrowed from it stays valid; UnmapViewOfFile follows the last of that."""
        with self._lock:
            self._map_object = None
            self._forget()

    def __repr__(self) -> str:
        if self.closed:
            return f"<View of {self._name!r}, closed>"
        return f"<View of {self._name!r}, size={self._size}, access={self._access!r}>"


# ---------------------------------------------------------------- objects

_ATTEMPTS = 5  # to create or open a name that others keep making and dropping at the same time


def _create_file_mapping(name: Optional[str], size: int, exist_ok: bool) -> Tuple[int, bool]:
    """A handle, and whether the object is new."""
    for _ in range(_ATTEMPTS):
        try:
            handle, created = _layer.create_file_mapping(name, size)
        except PermissionError:
            if name is None:
                raise
            # Either the object exists with a security descriptor that does not grant all that creating asks
            # for, or this process may not create in Global\; opening, which needs no privilege, tells which.
            try:
                handle, created = _open_file_mapping(name, "rw"), False
            except FileNotFoundError:
                continue
            except PermissionError:
                if exist_ok:
                    raise
                raise _os_error(ERROR_ALREADY_EXISTS, name, _CAUSES[ERROR_ALREADY_EXISTS]) from None
        if not created and not exist_ok:
            _layer.close_handle(handle)
            raise _os_error(ERROR_ALREADY_EXISTS, name, _CAUSES[ERROR_ALREADY_EXISTS])
        return handle, created
    in_global = str(name).startswith("Global\\")
    raise _os_error(ERROR_ACCESS_DENIED, name, _NEEDS_PRIVILEGE if in_global else _CAUSES[ERROR_ACCESS_DENIED])


def _open_file_mapping(name: str, access: str) -> int:
    try:
        return _layer.open_file_mapping(name, access)
    except PermissionError:
        hint = _NEEDS_WRITING if access == "rw" else ""
        raise _os_error(ERROR_ACCESS_DENIED, name, _CAUSES[ERROR_ACCESS_DENIED] + hint) from None


def _wait_until_there(call: Callable[[], int], timeout: Optional[float]) -> int:
    """Repeat a call until it no longer raises FileNotFoundError, for at most `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = 0.001
    while True:
        try:
            return call()
        except FileNotFoundError:
            if deadline is not None:
                pause = min(pause, deadline - time.monotonic())
                if pause <= 0:
                    raise
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


class NamedMap(_Memory):
    r"""A file mapping object: memory that processes share by its name.

    NamedMap.create() makes one, NamedMap.open() opens one that exists; `with` closes it.  The bytes are there as
    ``m[i]`` (an int), ``m[a:b]`` (a copy), ``m[a:b] = data``, ``m.read()``, ``m.write(data)``, ``m.buf`` (a
    memoryview), ``m.overlay(Struct)`` and ``m.snapshot(Struct)``.  The memory is mapped at the first of these, so
    that a huge object can be opened and looked at through small views.

    The name lives as long as a process has the object open; on Windows it dies with the last *handle*, even while
    views of the memory live on.
    """

    _handle: int
    _created: bool
    _closer: weakref.finalize

    @classmethod
    def create(cls, name: Optional[str], size: Optional[int] = None, *, exist_ok: bool = False) -> NamedMap:
        r"""Make memory of `size` bytes, 1 to 2**63-1, all zero, in the paging file (CreateFileMappingW).

        `name` is at most 259 UTF-16 units, with the prefix ``Local\`` or ``Global\`` or none; None makes memory
        without a name.  With `exist_ok`, attach to the object if there is one; `created` tells which happened.

        Raises FileExistsError if the name is taken; PermissionError if a security descriptor or a missing privilege
        (for ``Global\``) forbids it; OSError if another kind of object has the name, or there is not enough memory;
        ValueError for a bad name or size, and if the existing object is smaller than `size`; TypeError for a name
        that is not a str or a size that is not an int.
        """
        if name is not None:
            _check_name(name)
        if size is None:
            raise ValueError("create needs a size in bytes")
        size = _check_size(size)
        handle, created = _create_file_mapping(name, size, exist_ok)
        return cls._own(handle, created, name, size, "rw")

    @classmethod
    def open(cls, name: str, size: Optional[int] = None, *, access: str = "rw",
             timeout: Optional[float] = 0) -> NamedMap:
        """Open memory that exists (OpenFileMappingW); this never creates any.

        `size` covers exactly the first `size` bytes, None the whole object: whole pages (4096 bytes), because
        Windows does not keep the exact size.  `access` is ``"r"`` to read, ``"rw"`` to read and write, ``"c"``
        (copy-on-write) to read and write with the changes kept private.  `timeout` is how many seconds to wait for
        the name to appear, None for ever.

        Raises FileNotFoundError if nothing has the name; PermissionError if the object's security descriptor forbids
        the access; OSError if another kind of object has the name; ValueError for a bad argument, and if the object
        is smaller than `size`; TypeError for an argument of the wrong type.
        """
        _check_name(name)
        if size is not None:
            size = _check_size(size)
        _check_access(access)
        handle = _wait_until_there(lambda: _open_file_mapping(name, access), _check_timeout(timeout))
        return cls._own(handle, False, name, size, access)

    @classmethod
    def _own(cls, handle: int, created: bool, name: Optional[str], size: Optional[int], access: str) -> NamedMap:
        """An object that closes the handle; of an object that others made, the size is asked for."""
        self: NamedMap = object.__new__(cls)
        self._closer = weakref.finalize(self, _layer.close_handle, handle)
        self._closer.atexit = False  # the system closes it then, and daemon threads may still use it
        self._lock = threading.RLock()
        self._handle, self._created, self._name, self._access = handle, created, name, access
        try:
            if size is None or not created:
                available = _layer.section_size(handle, access)
                if size is not None and size > available:
                    raise ValueError(f"{name!r} has {available} bytes, and {size} were asked for")
            self._size = available if size is None else size
        except BaseException:
            self.close()
            raise
        return self

    def _map(self) -> None:
        self._use(self._map_part(0, self._size, self._access))

    def _map_part(self, offset: int, size: int, access: str) -> Any:
        try:
            return _map_array(self._handle, access, offset, size)
        except OSError as error:
            error.filename = self._name
            raise

    @property
    def name(self) -> Optional[str]:
        """The name as it was given; None without one."""
        return self._name

    @property
    def handle(self) -> int:
        """The HANDLE of the file mapping object, for other libraries; close() closes it."""
        self._check_open()
        return self._handle

    @property
    def created(self) -> bool:
        """Whether this object was made by create(), and not found."""
        return self._created

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return not self._closer.alive

    def close(self) -> None:
        """Close the handle (CloseHandle), once, and give up the memory; this never fails.

        If no other process has the object open, its name is gone at once.  Views, and what was borrowed from the
        memory, stay valid; UnmapViewOfFile follows the last of them.
        """
        with self._lock:
            self._closer()
            self._forget()

    def view(self, offset: int = 0, size: Optional[int] = None, *, access: Optional[str] = None) -> View:
        """Map a part of the memory: `size` bytes (None: up to the end) from any `offset` on (MapViewOfFile).

        `access` is that of the map, unless it is narrowed: ``"r"``, or ``"c"`` for private changes.

        Raises ValueError if the range is empty or not wholly inside, if `access` is wider than that of the map, or
        the map is closed; OSError if Windows cannot map it.
        """
        offset = index(offset)
        size = max(self._size - offset, 1) if size is None else _check_size(size)
        self._check_range(offset, size)
        access = self._access if access is None else _check_access(access)
        if access not in _NARROWER[self._access]:
            raise ValueError(f'a view with access={access!r} is wider than its map, which has access={self._access!r}')
        with self._lock:  # against close() in another thread
            self._check_open()
            return View._over(self, self._map_part(offset, size, access), access)

    def __repr__(self) -> str:
        if self.closed:
            return f"<NamedMap {self._name!r}, closed>"
        return f"<NamedMap {self._name!r}, size={self._size}, access={self._access!r}, handle={self._handle:#x}>"


# ---------------------------------------------------------------- command line

_CHUNK = 0x100000  # bytes handled at once, so that a large object does not fill the memory of this process


def _argument(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter for argparse that shows the text of a ValueError."""
    def converter(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            from argparse import ArgumentTypeError
            raise ArgumentTypeError(str(error)) from None
    return converter


def _parse_size(text: str) -> int:
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    try:
        number = int(digits, 16 if digits[:2].lower() == "0x" else 10)
    except ValueError:
        raise ValueError(f"not a number of bytes such as 4096, 0x1000, 64K, 16M or 2G: {text!r}") from None
    return _check_size(number << shift)


def _parse_seconds(text: str) -> Optional[float]:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"not a number of seconds: {text!r}") from None
    return _check_timeout(seconds)


def _parse_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"not pairs of hexadecimal digits: {text!r}") from None


def _parse_encoding(text: str) -> str:
    try:
        "".encode(text)
        codecs.getincrementaldecoder(text)
    except (LookupError, ValueError):
        raise ValueError(f"not a text encoding of Python: {text!r}") from None
    return text


def _print(text: str) -> None:
    """Print a line at once; what the encoding of the output lacks is shown as an escape sequence."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _chunks(memory: NamedMap, size: int) -> Iterator[bytes]:
    for offset in range(0, size, _CHUNK):
        with memory.view(offset, min(_CHUNK, size - offset)) as view:
            yield view.read()


def _text(chunks: Iterable[bytes], encoding: str) -> str:
    """The text up to the first NUL; bytes that are no text are shown as escape sequences."""
    decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
    text = ""
    for chunk in chunks:
        text += decoder.decode(chunk)
        if "\0" in text:
            return text[:text.index("\0")]
    return text + decoder.decode(b"", True)


def _hex_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """A dump with offsets and an ASCII column; lines that repeat the one before are folded to one `*`."""
    offset, previous, folded = 0, b"", False
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


class _UsageError(Exception):
    """The command line asks for what cannot be."""


def _content(arguments: Namespace) -> Tuple[bytes, bytes]:
    """What the command line asks to store, without and with the NUL that ends a text."""
    text, octets = arguments.text, arguments.from_hex or b""
    if text is None:
        return octets, octets
    if arguments.from_hex is not None:
        raise _UsageError("TEXT and --from-hex exclude each other")
    try:
        return text.encode(arguments.encoding), (text + "\0").encode(arguments.encoding)
    except UnicodeError as error:
        raise _UsageError(f"TEXT cannot be encoded: {error}") from None


def _create_command(arguments: Namespace) -> None:
    plain, ended = _content(arguments)
    size = arguments.size or max(256, len(ended))
    if len(plain) > size:
        raise _UsageError(f"{len(plain)} bytes to store do not fit a size of {size}")
    with NamedMap.create(arguments.name, size, exist_ok=arguments.exist_ok) as memory:
        memory.write(ended if len(ended) <= size else plain)
        until = "Enter or Ctrl+C" if arguments.hold is None else f"Enter, Ctrl+C or {arguments.hold:g} seconds are over"
        _hold(f"{arguments.name}: {memory.size} bytes, held until {until}", arguments.hold)


def _hold(announcement: str, seconds: Optional[float]) -> None:
    """Print a line, then wait until Enter, Ctrl+C, Ctrl+Break, SIGTERM or for some seconds."""
    import signal
    entered = threading.Event()
    previous = {}
    if threading.current_thread() is threading.main_thread():  # only there can handlers be set
        for name in {"SIGTERM", "SIGBREAK"} & set(dir(signal)):
            number = getattr(signal, name)
            previous[number] = signal.signal(number, signal.default_int_handler)
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        threading.Thread(target=_wait_for_enter, args=(entered,), daemon=True).start()
        _print(announcement)
        # In slices, because on Windows no signal interrupts the wait of a lock.
        while not entered.wait(0.1) and (deadline is None or time.monotonic() < deadline):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait_for_enter(entered: threading.Event) -> None:
    """Set the event at the end of a line, and not at the end of the input."""
    import os
    try:
        # Not sys.stdin.readline(): its lock, still held when the interpreter ends, is a fatal error.
        chunk = os.read(sys.stdin.fileno(), 1)
        while chunk not in (b"", b"\n", b"\r"):
            chunk = os.read(sys.stdin.fileno(), 1)
    except (AttributeError, OSError, ValueError):
        return  # there is no input
    if chunk:
        entered.set()


def _read_command(arguments: Namespace) -> None:
    deadline = time.monotonic() + arguments.timeout
    with NamedMap.open(arguments.name, arguments.size, access="r", timeout=arguments.timeout) as memory:
        if arguments.hex:
            for line in _hex_lines(_chunks(memory, memory.size)):
                _print(line)
            return
        text = _text(_chunks(memory, memory.size), arguments.encoding)
        while not text and time.monotonic() < deadline:
            time.sleep(0.02)
            text = _text(_chunks(memory, memory.size), arguments.encoding)
        _print(text)


def _parser() -> ArgumentParser:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter
    parser = ArgumentParser(prog="python -m namedmap", description="Create and read named shared memory of Windows.")
    parser.add_argument("--version", action="version", version=f"namedmap {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Namespace], None], summary: str, example: str) -> ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, epilog=f"example: {example}",
                                  formatter_class=RawDescriptionHelpFormatter)
        sub.add_argument("name", metavar="NAME", type=_argument(_check_name),
                         help="of the memory, with or without Local\\ or Global\\")
        sub.set_defaults(run=run, usage_error=sub.error)
        return sub

    def encoding(group: Any) -> None:
        group.add_argument("--encoding", metavar="E", type=_argument(_parse_encoding), default="utf-16-le",
                           help="of the text; default %(default)s, the wide characters of Windows")

    create = command("create", _create_command, "Create memory, write to it, and hold it.",
                     'python -m namedmap create Local\\demo "Message from first process."')
    create.add_argument("text", metavar="TEXT", nargs="?", help="what to write")
    content = create.add_mutually_exclusive_group()
    encoding(content)
    content.add_argument("--from-hex", metavar="HEX", type=_argument(_parse_hex),
                         help="bytes to write instead of TEXT, such as 0aff")
    create.add_argument("--size", metavar="N", type=_argument(_parse_size),
                        help="bytes (4096, 0x1000, 64K, 16M, 2G); default 256, or what the text needs")
    create.add_argument("--exist-ok", action="store_true", help="attach to the memory if the name is taken")
    create.add_argument("--hold", metavar="SECONDS", type=_argument(_parse_seconds),
                        help="end after so long; default: at Enter or Ctrl+C")

    read = command("read", _read_command, "Print the text in memory up to its first NUL.",
                   "python -m namedmap read Local\\demo --timeout 10")
    form = read.add_mutually_exclusive_group()
    encoding(form)
    form.add_argument("--hex", action="store_true", help="print a hexadecimal dump instead of text")
    read.add_argument("--size", metavar="N", type=_argument(_parse_size), help="only the first N bytes; default all")
    read.add_argument("--timeout", metavar="SECONDS", type=_argument(_parse_seconds), default=0.0,
                      help="wait so long for the name and the first character; default 0")
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line and return its exit status: 0, or 1 after an error; a usage error exits with 2."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except _UsageError as error:
        arguments.usage_error(str(error))
    except (OSError, ValueError, NotImplementedError) as error:
        print(f"namedmap: {arguments.name}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"namedmap: {arguments.name}: interrupted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
