r"""Reads the structure that struct_publisher.py, or a C program with the same declaration, publishes.

Start either side first; the reader waits ten seconds:    python examples/struct_reader.py

It prints "Nürburgring: gear 4, 187.25 km/h at 12.5 s (packet 1)".
"""
import ctypes
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

NAME = r"Local\namedmap_telemetry"


class Telemetry(ctypes.Structure):  # struct_publisher.py has its declaration in C
    _layout_, _pack_ = "ms", 4
    _fields_ = [
        ("version", ctypes.c_uint8),
        ("packet", ctypes.c_uint32),
        ("speed", ctypes.c_float),
        ("time", ctypes.c_double),
        ("gear", ctypes.c_int32),
        ("track", ctypes.c_uint16 * 32),
    ]


def main(name=NAME):
    deadline = time.monotonic() + 10
    try:
        # The size is checked here, so that an older publisher with a smaller structure is an error and not a crash.
        memory = namedmap.NamedMap.open(name, ctypes.sizeof(Telemetry), access="r", timeout=10)
    except (OSError, ValueError) as error:
        raise SystemExit(f"Could not open the memory: {error}")
    with memory:
        telemetry = memory.snapshot(Telemetry)  # a private copy, while the publisher goes on writing
        while telemetry.packet == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
            telemetry = memory.snapshot(Telemetry)
        track = memory.read_text(Telemetry.track.size, Telemetry.track.offset)
    if telemetry.packet == 0:
        raise SystemExit("Nothing was published.")
    print(f"{track}: gear {telemetry.gear}, {telemetry.speed} km/h at {telemetry.time} s (packet {telemetry.packet})")


if __name__ == "__main__":
    main(*sys.argv[1:])
