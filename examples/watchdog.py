r"""Notices that another process has ended, and whether it meant to: a mutex that it holds as long as it lives.

In one terminal:      python examples/watchdog.py work
in another, then:     python examples/watchdog.py watch

The watchdog prints "it has finished" after Enter in the first terminal, and "it has died" if that process is killed.
No heartbeat is needed: the system itself gives a mutex whose owner has died to the next waiter, and says so.  The
watchdog has to open the mutex while its owner lives, because nothing else keeps it.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402


def work(name):
    with namedmap.Mutex.create(name):
        print(f"{name} is held; Enter ends this process.", flush=True)
        sys.stdin.readline()


def watch(name):
    alive = namedmap.Mutex.open(name)
    print("watching", flush=True)
    with alive:  # waits as long as that process lives
        print("it has died" if alive.abandoned else "it has finished")


if __name__ == "__main__":
    if sys.argv[1:2] not in (["work"], ["watch"]):
        raise SystemExit(__doc__)
    try:
        {"work": work, "watch": watch}[sys.argv[1]](*sys.argv[2:] or [r"Local\namedmap_alive"])
    except OSError as error:
        raise SystemExit(f"Could not use the mutex: {error}")
