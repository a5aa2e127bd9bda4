r"""The second of two processes: opens the memory that first_process.py made, and prints the message in it.

Start examples/first_process.py in another terminal, then:    python examples/second_process.py

It prints "Message from first process.", or why it found none.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

NAME = sys.argv[1] if len(sys.argv) > 1 else r"Local\MyFileMappingObject"


def main():
    try:
        memory = namedmap.NamedMap.open(NAME, access="r")
    except OSError as error:
        raise SystemExit(f"Could not open the memory: {error}")
    with memory:
        print(memory.read_text())


if __name__ == "__main__":
    main()
