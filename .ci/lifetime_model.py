"""Checks how names live and die on Linux: every order of the system calls of a few processes, with kills between them.

The class _Linux of namedmap.py makes the same calls.  The kernel here has one path, files (numbers from 1 on) and locks
of open files.  Each process runs a script of "create", "open" and "close"; each of its steps is one system call, before
which it may be killed.  In every state that can be reached,

- the path leads to the file of each holder, so that all holders have the same object;
- no process becomes a holder of an object that had no holders for a moment since it got its path;
- when all have ended without a kill, no file is left, and after a kill only one that has no lock (garbage).

An opener counts as a holder once it has seen the lock of one.  Four flaws, planted one by one, must be found.
"""
from collections import namedtuple

READ, WRITE = "read", "write"
# The file at the path, or 0; how many files there are; locks; objects that are dead.
World = namedtuple("World", "path files locks dead")
Process = namedtuple("Process", "action step file holds")
KILLED = Process(0, "killed", 0, False)


def lock_of_others(world, file, me):
    kinds = {kind for locked, owner, kind in world.locks if locked == file and owner != me}
    return WRITE if WRITE in kinds else READ if READ in kinds else None


def locked(world, file, me, kind):
    """The world with another lock of this process; None if that is impossible."""
    other = lock_of_others(world, file, me)
    if kind == WRITE and other or kind == READ and other == WRITE:
        return None
    rest = frozenset(lock for lock in world.locks if lock[:2] != (file, me))
    return world._replace(locks=rest | {(file, me, kind)} if kind else rest)


def step(world, process, me, script, flaw):
    """The world and the process after its next system call; a str is what is wrong."""
    action, at, file, holds = process
    wanted = script[action]

    def go(new_world, step, new_file=file, new_holds=holds):
        return new_world, Process(action, step, new_file, new_holds)

    def end(new_world, new_file, new_holds):
        return new_world, Process(action + 1, "begin", new_file, new_holds)

    if wanted == "close":
        if not holds and at == "begin":
            return end(world, 0, False)  # there was nothing to open
        if at == "begin" and flaw == "asks before it unlocks":
            return go(world, "only unlock" if lock_of_others(world, file, me) else "close: lock", new_holds=False)
        if at == "begin":
            return go(locked(world, file, me, None), "close: lock", new_holds=False)
        if at == "only unlock":
            return go(locked(world, file, me, None), "close: descriptor")
        if at == "close: lock":
            after = locked(world, file, me, WRITE)
            return go(after or world, "close: look" if after else "close: descriptor")
        if at == "close: look":
            is_there = world.path == file or flaw == "unlinks without a look"
            return go(world, "close: unlink" if is_there else "close: descriptor")
        if at == "close: unlink":
            return go(world._replace(path=0), "close: descriptor")
        return end(locked(world, file, me, None), 0, False)  # close: descriptor
    if at == "begin":
        if world.path:
            return go(world, "ask", world.path)
        return go(world, "make") if wanted == "create" else end(world, 0, False)
    if at == "ask":
        other = None if flaw == "does not ask" else lock_of_others(world, file, me)
        return go(world, "lock" if other == READ or flaw == "does not ask" else "drop" if other else "bury")
    if at == "lock":
        after = locked(world, file, me, READ)
        return go(after or world, "look" if after else "drop")
    if at == "look":
        if world.path != file and flaw != "does not look":
            return go(world, "drop")
        if file in world.dead:
            return "a process has become a holder of an object that was dead"
        return end(world, file, True)
    if at == "drop":
        return go(locked(world, file, me, None), "begin", 0)
    if at == "bury":
        after = locked(world, file, me, WRITE)
        return go(after or world, "bury: look" if after else "drop")
    if at == "bury: look":
        return go(world, "bury: unlink" if world.path == file or flaw == "unlinks without a look" else "drop")
    if at == "bury: unlink":
        return go(world._replace(path=0), "drop")
    if at == "make":  # a file without a path, filled and locked
        new = world.files + 1
        return go(locked(world._replace(files=new), new, me, READ), "link", new)
    return go(world, "drop") if world.path else end(world._replace(path=file), file, True)  # link


def with_deaths(world, processes):
    """Note that the object at the path has no holders."""
    held = any(process.file == world.path and (process.holds or process.step in ("lock", "look"))
               for process in processes)
    return world._replace(dead=world.dead | {world.path}) if world.path and not held else world


def check(scripts, kills, garbage, flaw=None):
    """What is wrong, or the number of states."""
    world = World(1, 1, frozenset(), frozenset({1})) if garbage else World(0, 0, frozenset(), frozenset())
    start = world, (Process(0, "begin", 0, False),) * len(scripts), kills
    seen, left = {start}, [start]
    while left:
        world, processes, kills_left = left.pop()
        if any(process.holds and process.file != world.path for process in processes):
            return "a holder's object has lost its path"
        following = []
        for me, (process, script) in enumerate(zip(processes, scripts)):
            if process is KILLED or process.action == len(script):
                continue
            found = step(world, process, me, script, flaw)
            if isinstance(found, str):
                return found
            following.append((found[0], processes[:me] + (found[1],) + processes[me + 1:], kills_left))
            if kills_left:
                unlocked = world._replace(locks=frozenset(lock for lock in world.locks if lock[1] != me))
                following.append((unlocked, processes[:me] + (KILLED,) + processes[me + 1:], kills_left - 1))
        if not following and not any(process.holds for process in processes):
            if world.path and kills_left == kills and not garbage:
                return "a file is left although nothing was killed"
            if world.path and (world.path not in world.dead or any(lock[0] == world.path for lock in world.locks)):
                return "what is left looks alive"
        for world, processes, kills_left in following:
            state = with_deaths(world, processes), processes, kills_left
            if state not in seen:
                seen.add(state)
                left.append(state)
    return len(seen)


MAKER, OPENER = ("create", "close"), ("open", "close")
SETTINGS = [([MAKER, MAKER], 2), ([MAKER, OPENER], 2), ([OPENER, OPENER, MAKER], 3), ([MAKER, MAKER, OPENER], 1)]
FLAWS = ["does not ask", "does not look", "unlinks without a look", "asks before it unlocks"]


def main():
    states = 0
    for scripts, kills in SETTINGS:
        for garbage in (False, True):
            found = check(scripts, kills, garbage)
            assert isinstance(found, int), (scripts, kills, garbage, found)
            states += found
    for flaw in FLAWS:
        found = [check(scripts, kills, garbage, flaw) for scripts, kills in SETTINGS for garbage in (False, True)]
        assert any(isinstance(each, str) for each in found), f"the flaw {flaw!r} was not found"
    print(f"names live and die as they should in {states} states; {len(FLAWS)} planted flaws were found")


if __name__ == "__main__":
    main()
