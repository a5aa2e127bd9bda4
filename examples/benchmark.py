"""Compare namedmap with multiprocessing (SharedMemory, Event, Lock) and mmap:  python examples/benchmark.py [ROUNDS]

A figure behind the time is the time that namedmap takes divided by that of the other; below 1, namedmap is faster.
Times are medians of many rounds (25), in which the rivals take turns, so that whatever else the machine does meets all.
It takes half a minute, and then prints the table that is in README.rst.
"""
import contextlib
import ctypes
import gc
import mmap
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import timeit
from multiprocessing.shared_memory import SharedMemory
from statistics import median
from struct import Struct

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import namedmap  # noqa: E402
from namedmap import Event, Mutex, NamedMap, Semaphore  # noqa: E402

ROUNDS = int(sys.argv[1]) if sys.argv[1:] and __name__ == "__main__" else 25
LEAST = 0.002  # seconds that a round takes
KIB, MIB, GIB = 2 ** 10, 2 ** 20, 2 ** 30
SIZES = ("4 KiB", 4 * KIB), ("1 GiB", GIB) if sys.maxsize > 2 ** 32 else ("128 MiB", 128 * MIB)
NAME = f"namedmap benchmark {os.getpid()}"
SHM_NAME = NAME + " SharedMemory"  # on Windows all have the same names


class Record(ctypes.Structure):
    _fields_ = [("tick", ctypes.c_uint64), ("speed", ctypes.c_double)]


if sys.platform == "win32":
    def map_named(size):
        """What `mmap` offers in place of names that are opened: it creates what it does not find."""
        return mmap.mmap(-1, size, tagname=NAME + " mmap")

    held_for_mmap = map_named
    MMAP_CREATE = "m = map_named(size); m[0] = 1; m.close()"
else:
    PATH = os.path.join(tempfile.gettempdir(), NAME)

    def map_named(size):
        """`mmap` has no names here, so that it maps a file."""
        with open(PATH, "r+b") as file:
            return mmap.mmap(file.fileno(), size)

    @contextlib.contextmanager
    def held_for_mmap(size):
        with open(PATH, "xb") as file:
            file.truncate(size)
        try:
            yield
        finally:
            os.unlink(PATH)

    def create_file(size):
        with held_for_mmap(size):
            mm = map_named(size)
            mm[0] = 1
            mm.close()

    MMAP_CREATE = "create_file(size)"

CREATE = ("m = NamedMap.create(NAME, size); m[0] = 1; m.close()",
          "s = SharedMemory(SHM_NAME, True, size); s.buf[0] = 1; s.close(); s.unlink()", MMAP_CREATE)
RESERVE = ("m = NamedMap.create(NAME, size, reserve=True); m.view(0, 1)[0] = 1; m.close()",) + CREATE[1:]
ATTACH = ("m = NamedMap.open(NAME); m[0]; m[-1]; m.close()",
          "s = SharedMemory(SHM_NAME); s.buf[0]; s.buf[size - 1]; s.close()",
          "m = map_named(size); m[0]; m[-1]; m.close()")
ATTACH_SIZE = ("m = NamedMap.open(NAME, size); m[0]; m[-1]; m.close()",) + ATTACH[1:]
READ, WRITE = "bytes(shm.buf[64:80])", "shm.buf[64:80] = data"

# What is done: by namedmap, SharedMemory, mmap and, for bulk data, memmove().
ACCESSES = [
    ("read 16 bytes: m.read(16, 64)", "m.read(16, 64)", READ, "mm.seek(64); mm.read(16)"),
    ("read 16 bytes: m[64:80]", "m[64:80]", READ, "mm[64:80]"),
    ("read 16 bytes: bytes(m.buf[64:80])", "bytes(m.buf[64:80])", READ, None),
    ("read 16 bytes: unpack_from(m.buf, 64)", "record.unpack_from(m.buf, 64)", "record.unpack_from(shm.buf, 64)",
     "record.unpack_from(mm, 64)"),
    ("read 1 byte: m[64]", "m[64]", "shm.buf[64]", "mm[64]"),
    ("write 16 bytes: m.write(data, 64)", "m.write(data, 64)", WRITE, "mm.seek(64); mm.write(data)"),
    ("write 16 bytes: m[64:80] = data", "m[64:80] = data", WRITE, "mm[64:80] = data"),
    ("write 16 bytes: m.buf[64:80] = data", "m.buf[64:80] = data", WRITE, None),
    ("write 16 bytes: pack_into(m.buf, 64, ...)", "record.pack_into(m.buf, 64, 7, 0.5)",
     "record.pack_into(shm.buf, 64, 7, 0.5)", "record.pack_into(mm, 64, 7, 0.5)"),
    ("write 1 byte: m[64] = 7", "m[64] = 7", "shm.buf[64] = 7", "mm[64] = 7"),
    ("read a field of an overlay", "overlay.tick", "theirs.tick", None),
    ("store a field of an overlay", "overlay.tick = 7", "theirs.tick = 7", None),
    ("copy 64 MiB in: m.write(bulk)", "m.write(bulk)", "shm.buf[:64 * MIB] = bulk", "mm.seek(0); mm.write(bulk)",
     "ctypes.memmove(address, bulk, 64 * MIB)"),
    ("copy 64 MiB in: m[:] = bulk", "m[:] = bulk", "shm.buf[:64 * MIB] = bulk", "mm[:] = bulk",
     "ctypes.memmove(address, bulk, 64 * MIB)"),
    ("copy 64 MiB out: m.read()", "m.read()", "bytes(shm.buf[:64 * MIB])", "mm.seek(0); mm.read(64 * MIB)",
     "ctypes.string_at(address, 64 * MIB)"),
    ("copy 64 MiB out: m[:]", "m[:]", "bytes(shm.buf[:64 * MIB])", "mm[:]", "ctypes.string_at(address, 64 * MIB)"),
]


def compare(what, rivals):
    """Print a line: the rivals are functions that return the seconds which something took, or None."""
    times = [[] for _ in rivals]
    for _ in range(ROUNDS):
        for rival, found in zip(rivals, times):
            if rival:
                found.append(rival())
    medians = [found and median(found) for found in times]
    unit, factor = next(each for each in (("ns", 1e9), ("us", 1e6), ("ms", 1e3), ("s", 1))
                        if medians[0] * each[1] < 1000 or each[0] == "s")
    ratios = [f"{medians[0] / other:16.2f}" if other else 16 * " " for other in medians[1:]]
    print(f"{what:44}{medians[0] * factor:7.1f} {unit:2}", *ratios, flush=True)


def statement(code, variables):
    """A function that runs some code often enough to be measured, and returns the seconds that one run takes."""
    if code is None:
        return None
    timer, number = timeit.Timer(code, globals={**globals(), **variables}), 1
    timer.timeit(1)  # the first time may be about to map memory, or to wait until another process has started
    while timer.timeit(number) < LEAST:
        number *= 2
    return lambda: timer.timeit(number) / number


def compare_statements(what, codes, **variables):
    compare(what, [statement(code, variables) for code in codes])


def compare_imports():
    def importing(module):
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        command = [sys.executable, "-c", code]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # else the file would be compiled each time
        return lambda: float(subprocess.run(command, cwd=os.path.dirname(namedmap.__file__), env=environment,
                                            check=True, stdout=subprocess.PIPE).stdout)
    compare("import", [importing(module) for module in ("namedmap", "multiprocessing.shared_memory", "mmap")])


def compare_lifetimes():
    for label, size in SIZES:
        compare_statements(f"create, first byte, close: {label}, reserve", RESERVE, size=size)
        compare_statements(f"create, first byte, close: {label}", CREATE, size=size)
        shm = SharedMemory(SHM_NAME, True, size)
        with NamedMap.create(NAME, size), held_for_mmap(size):
            compare_statements(f"attach, first and last byte, close: {label}", ATTACH, size=size)
            compare_statements(f"the same with size=: {label}", ATTACH_SIZE, size=size)
        shm.close()
        shm.unlink()


def compare_accesses():
    shm = SharedMemory(create=True, size=64 * MIB)
    m, mm = NamedMap.create(None, 64 * MIB), mmap.mmap(-1, 64 * MIB)
    overlay, theirs = m.overlay(Record), Record.from_buffer(shm.buf)
    bulk = bytes(range(256)) * (64 * MIB // 256)
    for what, *codes in ACCESSES:
        compare_statements(what, codes, m=m, shm=shm, mm=mm, data=bytes(16), bulk=bulk, record=Struct("<Qd"),
                           overlay=overlay, theirs=theirs, address=m.address)
    del theirs
    gc.collect()  # a free-threaded Python frees the functions that use it only so, and else close() fails
    shm.close()
    shm.unlink()
    m.close()


def answer(ping, pong, clear):
    while ping.wait():
        if clear:
            ping.clear()
        pong.set()


def compare_waits():
    context = multiprocessing.get_context("spawn")
    with Event.create(NAME + " ping") as ping, Event.create(NAME + " pong") as pong, \
            Event.create(NAME + " A", manual_reset=False) as auto_ping, \
            Event.create(NAME + " B", manual_reset=False) as auto_pong:
        pairs = [(ping, pong, True), (context.Event(), context.Event(), True), (auto_ping, auto_pong, False)]
        processes = [context.Process(target=answer, args=pair, daemon=True) for pair in pairs]
        rivals = []
        for process, (there, back, clear) in zip(processes, pairs):
            process.start()
            code = "there.set(); back.wait()" + clear * "; back.clear()"
            rivals.append(statement(code, {"there": there, "back": back}))
        compare("Event: there and back between two processes", rivals[:2])
        compare("the same with events that reset themselves", [rivals[2], rivals[1]])
        for process in processes:
            process.kill()
            process.join()
    codes, lock = ("lock.acquire(); lock.release()", "theirs.acquire(); theirs.release()"), context.Lock()
    compare_statements("Mutex: acquire(), release()", codes, lock=Mutex.create(NAME + " mutex"), theirs=lock)
    compare_statements("Semaphore: the same", codes, lock=Semaphore.create(NAME + " semaphore"), theirs=lock)


def main():
    print(f"namedmap {namedmap.__version__}, Python {platform.python_version()}, {platform.platform()}; "
          f"medians of {ROUNDS} rounds")
    print(f"{'':54}", *(f"{rival:>16}" for rival in ("multiprocessing", "mmap", "memmove")))
    compare_imports()
    compare_lifetimes()
    compare_accesses()
    compare_waits()


if __name__ == "__main__":
    main()
