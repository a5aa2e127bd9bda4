r"""Publishes a structure, as games and sensor programs do for their readers.

In one terminal:      python examples/struct_publisher.py
in another, then:     python examples/struct_reader.py

The reader prints the values, until Enter is pressed in the first. In C the structure is:

    #pragma pack(push, 4)
    typedef struct {
        unsigned char version;   // offset  0
        unsigned int  packet;    //         4
        float         speed;     //         8, km/h
        double        time;      //        12, seconds
        int           gear;      //        20
        wchar_t       track[32]; //        24
    } Telemetry;                 // 88 bytes
    #pragma pack(pop)
"""
import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

NAME = r"Local\namedmap_telemetry"


class Telemetry(ctypes.Structure):
    _layout_ = "ms"  # that of Microsoft's compiler: _pack_ asks for it from Python 3.14 on
    _pack_ = 4
    _fields_ = [
        ("version", ctypes.c_uint8),
        ("packet", ctypes.c_uint32),
        ("speed", ctypes.c_float),
        ("time", ctypes.c_double),
        ("gear", ctypes.c_int32),
        ("track", ctypes.c_uint16 * 32),  # not c_wchar, which has 4 bytes on other systems
    ]


def main(name=NAME):
    try:
        memory = namedmap.NamedMap.create(name, ctypes.sizeof(Telemetry))
    except OSError as error:
        raise SystemExit(f"Could not create the memory: {error}")
    with memory:
        telemetry = memory.overlay(Telemetry)  # storing to its fields stores to the memory
        telemetry.version, telemetry.speed, telemetry.time, telemetry.gear = 1, 187.25, 12.5, 4
        memory.write_text("N\u00fcrburgring", Telemetry.track.offset, Telemetry.track.size)
        telemetry.packet = 1  # last: readers wait for it
        print(f"{name} holds the telemetry; Enter ends this process.", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
