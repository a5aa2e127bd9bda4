r"""The latest value of one writer for many readers, consistent without a lock (a seqlock).

In one terminal:             python examples/latest_value.py write
in one or more others:       python examples/latest_value.py read

The writer stores up to a thousand positions in a second until Enter is pressed; each reader prints ten of them and how
often it had to look again.  The writer never waits for readers, and they never see half of a position.

The sequence counter is odd while the writer stores; a reader that finds it odd, or changed after its copy, looks again.
This relies on stores being seen in the order in which they were made, which x86 and x64 processors guarantee.
"""
import ctypes
import itertools
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402


class Latest(ctypes.Structure):
    _fields_ = [("sequence", ctypes.c_uint32), ("x", ctypes.c_double), ("y", ctypes.c_double), ("z", ctypes.c_double)]


def write(name):
    with namedmap.NamedMap.create(name, ctypes.sizeof(Latest)) as memory:
        latest = memory.overlay(Latest)
        enter = threading.Thread(target=sys.stdin.readline, daemon=True)
        enter.start()
        print(f"{name} holds the latest position; Enter ends this process.", flush=True)
        while enter.is_alive():
            latest.sequence += 1
            latest.x, latest.y, latest.z = latest.x + 1, latest.y + 2, latest.z + 3
            latest.sequence += 1
            enter.join(0.001)


def read(name):
    with namedmap.NamedMap.open(name, ctypes.sizeof(Latest), access="r", timeout=10) as memory:
        for _ in range(10):
            for again in itertools.count():
                before = memory.snapshot(ctypes.c_uint32).value
                latest = memory.snapshot(Latest)
                after = memory.snapshot(ctypes.c_uint32).value
                if before % 2 == 0 and before == after:
                    break
            print(f"x={latest.x:.0f} y={latest.y:.0f} z={latest.z:.0f} (looked again {again} times)", flush=True)
            time.sleep(0.1)


if __name__ == "__main__":
    command = {"write": write, "read": read}.get("".join(sys.argv[1:2]))
    if command is None:
        raise SystemExit(__doc__)
    try:
        command(sys.argv[2] if len(sys.argv) > 2 else r"Local\namedmap_latest_value")
    except OSError as error:
        raise SystemExit(f"Could not {sys.argv[1]}: {error}")
