r"""Memory with a file behind it: what is written stays, and the next start finds it.

Run it several times:    python examples/file_backed.py runs.dat

It prints "start number 1", "start number 2" and so on. While it waits for Enter, other processes see the number, too:

    python -m namedmap read "Local\namedmap_runs" --hex
"""
import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

NAME = r"Local\namedmap_runs"


class Record(ctypes.Structure):
    _fields_ = [("starts", ctypes.c_uint64)]


def main(path, name=NAME):
    try:
        # The file is made when it is missing; on Windows nobody else can open it before close().
        memory = namedmap.NamedMap.create(name, ctypes.sizeof(Record), file=path)
    except OSError as error:
        raise SystemExit(f"Could not map the file: {error}")
    with memory:
        record = memory.overlay(Record)
        record.starts += 1
        memory.flush()  # now it is on the disk, even if the power fails
        print(f"start number {record.starts}; Enter ends this process.", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
