r"""A program to freeze: it holds a message in named memory, and works the same with and without Python on the machine.

In one terminal:      python examples/frozen/publisher.py
in another, then:     python -m namedmap read "Local\namedmap_frozen"

The second prints "Message from Python.", until Enter is pressed in the first.  When freeze.py, beside this file, has
made publisher.exe of it, start that in the first terminal: the second prints "Message from an executable."
"""
import os
import sys

FROZEN = hasattr(sys, "frozen")  # PyInstaller sets it, and has put namedmap into the executable
if not FROZEN:
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir))
import namedmap  # noqa: E402

NAME = sys.argv[1] if len(sys.argv) > 1 else r"Local\namedmap_frozen"
SIZE = 256  # bytes
MESSAGE = "Message from an executable." if FROZEN else "Message from Python."


def main():
    try:
        memory = namedmap.NamedMap.create(NAME, SIZE)
    except OSError as error:
        raise SystemExit(f"Could not create the memory: {error}")
    with memory:
        memory.write_text(MESSAGE)
        print(f"{NAME} holds the message; Enter ends this process.", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
