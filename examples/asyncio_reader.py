r"""Waits for an event of another process in a program with asyncio, which does other things meanwhile.

In one terminal:      python examples/asyncio_reader.py
in another, then:     python -m namedmap write "Local\namedmap_asyncio" "Hello."
                      python -c "import namedmap; namedmap.Event.open(r'Local\namedmap_asyncio.changed').set()"

The first prints "Hello.", and a dot each second until Ctrl+C.
"""
import asyncio
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402


async def until_set(event):
    """Wait in a thread; for half a second after this task is cancelled, that may still consume an auto-reset event."""
    loop = asyncio.get_running_loop()
    while not await loop.run_in_executor(None, event.wait, 0.5):
        pass


async def print_messages(memory, changed):
    while True:
        await until_set(changed)
        print(memory.read_text(), flush=True)


async def print_dots():
    while True:
        await asyncio.sleep(1)
        print(".", flush=True)


async def main(name):
    with namedmap.NamedMap.create(name, 256) as memory, \
            namedmap.Event.create(name + ".changed", manual_reset=False) as changed:
        print(f"{name} is ready", flush=True)
        await asyncio.gather(print_messages(memory, changed), print_dots())


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:] or [r"Local\namedmap_asyncio"]))
    except OSError as error:
        raise SystemExit(f"Could not create the memory: {error}")
    except KeyboardInterrupt:
        pass
