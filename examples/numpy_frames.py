r"""Moves frames from one process to another without a copy: numpy arrays in the shared memory. Needs numpy.

In one terminal:      python examples/numpy_frames.py produce
in another, then:     python examples/numpy_frames.py consume

The consumer prints number and brightness of ten frames as they come, and the producer ends when all are shown. There
are two frames in the memory, of which one is shown while the other is drawn.
"""
import ctypes
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

try:
    import numpy
except ImportError:
    raise SystemExit("This example needs numpy: python -m pip install numpy")

NAME = r"Local\namedmap_frames"
SHAPE = (480, 640, 3)  # rows, columns, colours
FRAMES = 10


class Header(ctypes.Structure):
    _fields_ = [("drawn", ctypes.c_uint32), ("shown", ctypes.c_uint32)]  # the numbers of the last frames


SIZE = ctypes.sizeof(Header) + 2 * SHAPE[0] * SHAPE[1] * SHAPE[2]


def parts(memory):
    """The header and the two frames, all in the shared memory, where they stay valid after close()."""
    return memory.overlay(Header), numpy.ndarray((2,) + SHAPE, numpy.uint8, memory.buf, ctypes.sizeof(Header))


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("The other side does not answer.")
        time.sleep(0.001)


def produce(name):
    with namedmap.NamedMap.create(name, SIZE) as memory:
        header, frames = parts(memory)
        print(f"{name} is ready", flush=True)
        for number in range(1, FRAMES + 1):
            wait_until(lambda: header.shown >= number - 2)
            frames[number % 2] = 10 * number  # drawn in place
            header.drawn = number
        wait_until(lambda: header.shown == FRAMES)


def consume(name):
    with namedmap.NamedMap.open(name, SIZE, timeout=60) as memory:
        header, frames = parts(memory)
        for number in range(1, FRAMES + 1):
            wait_until(lambda: header.drawn >= number)
            print(f"frame {number}: brightness {int(frames[number % 2].max())}", flush=True)
            header.shown = number


if __name__ == "__main__":
    roles = {"produce": produce, "consume": consume}
    if len(sys.argv) < 2 or sys.argv[1] not in roles:
        raise SystemExit(__doc__)
    try:
        roles[sys.argv[1]](*sys.argv[2:] or [NAME])
    except (OSError, ValueError) as error:
        raise SystemExit(f"Could not share the frames: {error}")
