r"""Memory without a name, for a child process only: it inherits the handle.

Run, on Windows:    python examples/inherit_handle.py

The parent writes a question, the child reads it through the inherited handle and writes the answer, and the parent
prints "the child answers: 42". No other process can find memory that has no name.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402


def parent():
    try:
        memory = namedmap.NamedMap.create(None, 4096, inheritable=True)
    except NotImplementedError as error:
        raise SystemExit(f"Could not create the memory: {error}")
    with memory:
        memory.write(b"6*7\0")
        # Only this handle, although other parts of a program may have inheritable handles open as well.
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [memory.handle]})
        subprocess.run([sys.executable, os.path.abspath(__file__), str(memory.handle)], startupinfo=startup, check=True)
        print("the child answers:", memory.read().split(b"\0")[0].decode())


def child(handle):
    with namedmap.NamedMap.from_handle(handle) as memory:
        left, right = memory.read().split(b"\0")[0].split(b"*")
        memory.write(b"%d\0" % (int(left) * int(right)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(int(sys.argv[1]))
    else:
        parent()
