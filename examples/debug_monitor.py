r"""Prints what the programs of this session write with OutputDebugString.

Run, on Windows:          python examples/debug_monitor.py
and in another terminal:  python -c "import ctypes; ctypes.windll.kernel32.OutputDebugStringW('hello')"

The monitor prints the number of each process and what it wrote, until Ctrl+C.  Only one monitor can run in a session,
and a program that runs in a debugger writes there.

The protocol has the memory DBWIN_BUFFER (the number of the process, then its text in the ANSI code page, ended by NUL)
and two events that reset themselves: the monitor sets DBWIN_BUFFER_READY; a program waits for it, writes, and sets
DBWIN_DATA_READY.  Programs take turns by a mutex of their own, and wait ten seconds for a monitor that does not answer.
"""
import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402


class DebugBuffer(ctypes.Structure):
    _fields_ = [("process_id", ctypes.c_uint32), ("text", ctypes.c_char * 4092)]


def monitor():
    with namedmap.Event.create("DBWIN_BUFFER_READY", manual_reset=False) as buffer_ready, \
            namedmap.Event.create("DBWIN_DATA_READY", manual_reset=False) as data_ready, \
            namedmap.NamedMap.create("DBWIN_BUFFER", ctypes.sizeof(DebugBuffer)) as memory:
        print("Ctrl+C ends this monitor.", flush=True)
        while True:
            buffer_ready.set()
            data_ready.wait()
            message = memory.snapshot(DebugBuffer)
            text = message.text.decode("mbcs", "replace").rstrip()
            print(f"[{message.process_id}] {text}", flush=True)


if __name__ == "__main__":
    if sys.platform != "win32":
        raise SystemExit("This example needs Windows: other systems have no OutputDebugString.")
    try:
        monitor()
    except FileExistsError as error:
        raise SystemExit(f"Another monitor is running: {error}")
    except OSError as error:
        raise SystemExit(f"Could not monitor: {error}")
    except KeyboardInterrupt:
        pass
