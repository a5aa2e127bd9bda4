r"""A service publishes its state for the programs of all users, who may read it and not write (Windows only).

As administrator:                     python examples/service_and_user.py serve
as any user, in another terminal:     python examples/service_and_user.py use

The user's program prints the state and each change of it, until Enter is pressed in the first terminal, or the service
dies.  (A real service has no terminal, and waits for the order to stop instead of Enter.)

Names in Global\ are seen in all sessions.  To create memory there needs the privilege SeCreateGlobalPrivilege; to open
it needs only what the security descriptor (SDDL) grants.
"""
import itertools
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))  # as in a checkout
import namedmap  # noqa: E402

# D: who may do what.  The owner (OW) and the system (SY): all (GA).  Who is logged on (AU): read the memory (GR), or
# wait for the mutex (SYNCHRONIZE, 0x100000).
MAY_READ = "D:(A;;GA;;;OW)(A;;GA;;;SY)(A;;GR;;;AU)"
MAY_WAIT = "D:(A;;GA;;;OW)(A;;GA;;;SY)(A;;0x100000;;;AU)"
STATES = ("starting", "running", "stopping")


def serve(name):
    with namedmap.Mutex.create(name + ".alive", sddl=MAY_WAIT), \
            namedmap.NamedMap.create(name, 256, sddl=MAY_READ) as memory:
        enter = threading.Thread(target=sys.stdin.readline, daemon=True)
        enter.start()
        print(f"{name} holds the state; Enter ends this process.", flush=True)
        for state in itertools.cycle(STATES):
            memory.write_text(state)  # a reader may see half of it now, and the rest the next time
            enter.join(1)
            if not enter.is_alive():
                break


def use(name):
    shown = ""
    print("waiting for the service", flush=True)
    with namedmap.NamedMap.open(name, access="r", timeout=60) as memory:
        alive = namedmap.Mutex.open(name + ".alive")
        while not alive.acquire(timeout=0.2):  # the service holds it as long as it lives
            state = memory.read_text()
            if state != shown:
                print(state, flush=True)
            shown = state
        alive.release()
        print("the service has ended")


if __name__ == "__main__":
    if sys.argv[1:2] not in (["serve"], ["use"]):
        raise SystemExit(__doc__)
    try:
        {"serve": serve, "use": use}[sys.argv[1]](*sys.argv[2:] or [r"Global\namedmap_service"])
    except (OSError, NotImplementedError) as error:
        raise SystemExit(f"Could not share the state: {error}")
