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

SHAPE = (2, 480, 640, 3)  # frames, rows, columns, colours


class Header(ctypes.Structure):
    _fields_ = [("drawn", ctypes.c_uint32), ("shown", ctypes.c_uint32)]  # the numbers of the last frames


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("The other side does not answer.")
        time.sleep(0.001)


def produce(header, frames):
    for number in range(1, 11):
        wait_until(lambda: header.shown >= number - 2)
        frames[number % 2] = 10 * number  # drawn in place
        header.drawn = number
    wait_until(lambda: header.shown == 10)


def consume(header, frames):
    for number in range(1, 11):
        wait_until(lambda: header.drawn >= number)
        print(f"frame {number}: brightness {int(frames[number % 2].max())}", flush=True)
        header.shown = number


def main(role, name=r"Local\namedmap_frames"):
    size = ctypes.sizeof(Header) + numpy.prod(SHAPE)
    if role == "produce":
        memory = namedmap.NamedMap.create(name, size)
        print(f"{name} is ready", flush=True)
    else:
        memory = namedmap.NamedMap.open(name, size, timeout=60)
    with memory:  # header and frames are in the shared memory, where they stay valid after close()
        frames = numpy.ndarray(SHAPE, numpy.uint8, memory.buf, ctypes.sizeof(Header))
        {"produce": produce, "consume": consume}[role](memory.overlay(Header), frames)


if __name__ == "__main__":
    if sys.argv[1:2] not in (["produce"], ["consume"]):
        raise SystemExit(__doc__)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        raise SystemExit(f"Could not share the frames: {error}")
