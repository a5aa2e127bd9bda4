r"""Moves frames from one process to another without a copy: numpy arrays in the shared memory. Needs numpy.

In one terminal:      python examples/numpy_frames.py produce
in another, then:     python examples/numpy_frames.py consume

The consumer prints number and brightness of ten frames as they come, and the producer ends when all are shown.  There
are two frames in the memory, of which one is shown while the other is drawn.  Two semaphores count those that are free
to be drawn, and those that are ready to be shown.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

try:
    import numpy
except ImportError:
    raise SystemExit("This example needs numpy: python -m pip install numpy")

SHAPE = (2, 480, 640, 3)  # frames, rows, columns, colours


def acquire(semaphore):
    if not semaphore.acquire(timeout=60):
        raise SystemExit("The other side does not answer.")


def produce(frames, free, ready):
    for number in range(10):
        acquire(free)
        frames[number % 2] = 10 * number  # drawn in place
        ready.release()
    for _ in range(len(frames)):
        acquire(free)  # all are shown


def consume(frames, free, ready):
    for number in range(10):
        acquire(ready)
        print(f"frame {number}: brightness {int(frames[number % 2].max())}", flush=True)
        free.release()


def main(role, name=r"Local\namedmap_frames"):
    size = int(numpy.prod(SHAPE))
    if role == "produce":
        free, ready = (namedmap.Semaphore.create(name + each, value) for each, value in ((".free", 2), (".ready", 0)))
        memory = namedmap.NamedMap.create(name, size)  # last: the consumer waits for it
        print(f"{name} is ready", flush=True)
    else:
        memory = namedmap.NamedMap.open(name, size, timeout=60)
        free, ready = (namedmap.Semaphore.open(name + each) for each in (".free", ".ready"))
    with memory:
        frames = numpy.ndarray(SHAPE, numpy.uint8, memory.buf)
        {"produce": produce, "consume": consume}[role](frames, free, ready)


if __name__ == "__main__":
    if sys.argv[1:2] not in (["produce"], ["consume"]):
        raise SystemExit(__doc__)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        raise SystemExit(f"Could not share the frames: {error}")
