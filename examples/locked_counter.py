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

PROCESSES, INCREMENTS = 4, 5000


def work(memory, ready, go, lock):
    counter = memory.overlay(ctypes.c_uint64)
    ready.release()
    go.wait()
    for _ in range(INCREMENTS):
        with lock:
            value = counter.value
            time.sleep(0)  # another process may run now, as it may at any other moment
            counter.value = value + 1


def count(prefix, lock):
    """What the counter shows in the end."""
    ready = namedmap.Semaphore.create(prefix + ".ready", 0)
    with namedmap.NamedMap.create(prefix + ".memory", 8) as memory, namedmap.Event.create(prefix + ".go") as go:
        # Unless they are forked, the processes get the objects pickled, and open them by their names.
        processes = [multiprocessing.Process(target=work, args=(memory, ready, go, lock), daemon=True)
                     for _ in range(PROCESSES)]
        for process in processes:
            process.start()
        if not all(ready.acquire(timeout=60) for _ in processes):
            raise SystemExit("A process does not start.")
        go.set()  # all begin at the same time
        for process in processes:
            process.join()
        return memory.overlay(ctypes.c_uint64).value


def main(prefix=r"Local\namedmap_counter"):
    mutex = namedmap.Mutex.create(prefix + ".mutex")
    for lock, words in (mutex, "with the mutex:    "), (contextlib.nullcontext(), "without the mutex: "):
        total, expected = count(prefix, lock), PROCESSES * INCREMENTS
        print(f"{words} {PROCESSES} processes x {INCREMENTS} increments = {total}, lost {expected - total}", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        raise SystemExit(f"Could not create the objects: {error}")
