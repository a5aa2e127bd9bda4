r"""Messages of any length from one or more processes to one: a ring of bytes, a mutex and two events.

In one terminal:              python examples/message_queue.py receive
then in one or more others:   python examples/message_queue.py send "Hello." "A longer message."

The receiver prints the messages as they come, until one is "quit", or until Ctrl+C.  A sender waits while the ring is
full.  What is in the ring when the last process ends is lost.  The environment variable QUEUE names another ring.
"""
import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

SIZE = 4096  # bytes of the ring
LENGTH = 4  # bytes in front of each message: how many it has


class Header(ctypes.Structure):
    _fields_ = [("written", ctypes.c_uint64), ("read", ctypes.c_uint64)]  # bytes, in all


class MessageQueue:
    """The counters change last, so that a process which dies meanwhile leaves whole messages."""

    def __init__(self, name):
        self.memory = namedmap.NamedMap.create(name, ctypes.sizeof(Header) + SIZE, exist_ok=True)
        self.header = self.memory.overlay(Header)
        self.ring = self.memory.buf[ctypes.sizeof(Header):ctypes.sizeof(Header) + SIZE]
        self.mutex = namedmap.Mutex.create(name + ".mutex", exist_ok=True)
        self.not_empty = namedmap.Event.create(name + ".not_empty", manual_reset=False, exist_ok=True)
        self.not_full = namedmap.Event.create(name + ".not_full", manual_reset=False, exist_ok=True)

    def send(self, message):
        data = len(message).to_bytes(LENGTH, "little") + message
        if len(data) > SIZE:
            raise ValueError(f"a message may have {SIZE - LENGTH} bytes, and this has {len(message)}")
        while True:
            with self.mutex:
                if self.header.written + len(data) - self.header.read <= SIZE:
                    self._copy_in(data)
                    self.header.written += len(data)
                    self.not_empty.set()
                    self.not_full.set()  # for another sender, whose message may still fit
                    return
            self.not_full.wait()

    def receive(self):
        while True:
            with self.mutex:
                if self.header.written > self.header.read:
                    length = int.from_bytes(self._copy_out(self.header.read, LENGTH), "little")
                    message = self._copy_out(self.header.read + LENGTH, length)
                    self.header.read += LENGTH + length
                    self.not_full.set()
                    return message
            self.not_empty.wait()

    def _copy_in(self, data):
        start = self.header.written % SIZE
        head = data[:SIZE - start]  # up to the end of the ring; the rest is at its beginning
        self.ring[start:start + len(head)] = head
        self.ring[:len(data) - len(head)] = data[len(head):]

    def _copy_out(self, position, length):
        start = position % SIZE
        head = bytes(self.ring[start:min(start + length, SIZE)])
        return head + bytes(self.ring[:length - len(head)])


def main(role, messages, name):
    queue = MessageQueue(name)
    if role == "send":
        for message in messages:
            queue.send(message.encode())
    else:
        print(f"{name} is open", flush=True)
        for message in iter(queue.receive, b"quit"):
            print(message.decode(), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] not in (["receive"], ["send"]):
        raise SystemExit(__doc__)
    try:
        main(sys.argv[1], sys.argv[2:], os.environ.get("QUEUE", r"Local\namedmap_queue"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"Could not use the queue: {error}")
    except KeyboardInterrupt:
        pass
