r"""Several processes add to one counter, with a mutex and without.

Run:    python examples/locked_counter.py

It prints, after some seconds:

    with the mutex:     4 processes x 5000 increments = 20000, lost 0
    without the mutex:  4 processes x 5000 increments = 7322, lost 12678

The second count is another one each time: when two processes read the same value, both add one to it and store the same
result, so that one increment is lost.
"""
import contextlib
import ctypes
import multiprocessing
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

PROCESSES = 4
INCREMENTS = 5000


def work(memory, ready, go, lock, increments):
    counter = memory.overlay(ctypes.c_uint64)
    ready.release()
    go.wait()
    for _ in range(increments):
        with lock:
            value = counter.value
            time.sleep(0)  # another process may run now, as it may at any other moment
            counter.value = value + 1


def count(prefix, locked, increments):
    """What the counter shows in the end."""
    with namedmap.NamedMap.create(prefix + ".memory", 8) as memory, namedmap.Event.create(prefix + ".go") as go, \
            contextlib.closing(namedmap.Semaphore.create(prefix + ".ready", 0)) as ready, \
            contextlib.closing(namedmap.Mutex.create(prefix + ".mutex")) as mutex:
        lock = mutex if locked else contextlib.nullcontext()
        # The objects are pickled for the processes, which open them by their names.
        processes = [multiprocessing.Process(target=work, args=(memory, ready, go, lock, increments))
                     for _ in range(PROCESSES)]
        for process in processes:
            process.start()
        for process in processes:
            if not ready.acquire(timeout=60):
                raise SystemExit("A process does not start.")
        go.set()  # all begin at the same time
        for process in processes:
            process.join()
        return memory.overlay(ctypes.c_uint64).value


def main(prefix=r"Local\namedmap_counter", increments=INCREMENTS):
    expected = PROCESSES * int(increments)
    for locked, words in ((True, "with the mutex:    "), (False, "without the mutex: ")):
        total = count(prefix, locked, int(increments))
        print(f"{words} {PROCESSES} processes x {increments} increments = {total}, lost {expected - total}", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        raise SystemExit(f"Could not create the objects: {error}")
