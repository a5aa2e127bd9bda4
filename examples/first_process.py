r"""The first of two processes: makes named memory and writes a message to it.

In one terminal:      python examples/first_process.py
in another, then:     python examples/second_process.py

The second prints the message, until Enter is pressed in the first.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

NAME = sys.argv[1] if len(sys.argv) > 1 else r"Local\MyFileMappingObject"
SIZE = 256  # bytes
MESSAGE = "Message from first process."


def main():
    try:
        memory = namedmap.NamedMap.create(NAME, SIZE)
    except OSError as error:
        raise SystemExit(f"Could not create the memory: {error}")
    with memory:
        memory.write_text(MESSAGE)  # as a C program would store a wide string
        print(f"{NAME} holds the message; Enter ends this process.", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
