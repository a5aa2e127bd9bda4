"""Checks what the source of namedmap.py promises of itself, and no test of its behaviour shows."""
import ast
import inspect
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import namedmap  # noqa: E402  (of this checkout)

MOST_LINES = 40  # of a function, its docstring apart
BUDGET = 2800  # lines of the file, docstrings included, which people read before they copy it
CHANGING = {"__all__", "_forks", "_received"}  # what the module keeps, and may change


def findings(source):
    tree = ast.parse(source)
    if not source.startswith("# SPDX-License-Identifier: MIT\n") or "The above copyright notice" not in source:
        yield "the licence is not in the file"
    if source.count("\n") > BUDGET:
        yield f"the file has more than {BUDGET} lines"
    for match in re.finditer(r"windll\.|GetLastError\(|WinError\(\)|import \*|threading\.R?Lock\(", source):
        yield f"a library object or last error that others share, or a lock of Python: {match.group()}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > MOST_LINES:
                yield f"{node.name} is too long"
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            yield f"line {node.lineno} changes a variable of an outer scope"
    for key, value in vars(namedmap).items():
        if isinstance(value, (list, set)) and key not in CHANGING:
            yield f"{key} can change"
    if list(namedmap._PROTOTYPES) != sorted(namedmap._PROTOTYPES):
        yield "the table of prototypes is not sorted"
    for function, (dll, _, argtypes, check) in namedmap._PROTOTYPES.items():
        if len(re.findall(rf"\b{function}\b", source)) < 2:
            yield f"{function} is not used"
        if check is None and not re.search(rf'^    "{function}": .* None\),  # it ', source, re.MULTILINE):
            yield f"{function} has no check, and no reason for that"


def undocumented():
    for name in namedmap.__all__ + ["main"]:
        public = getattr(namedmap, name)
        members = inspect.getmembers(public) if inspect.isclass(public) else []
        for label, member in [(name, public)] + [(f"{name}.{key}", member) for key, member in members if key[0] != "_"]:
            text = inspect.getdoc(member)
            if not text:
                yield f"{label} has no docstring"
            elif inspect.isroutine(member):
                for parameter in set(inspect.signature(member).parameters) - {"self"}:
                    if f"`{parameter}`" not in text:
                        yield f"the docstring of {label} says nothing of {parameter}"


if __name__ == "__main__":
    found = [*findings(Path(namedmap.__file__).read_text(encoding="utf-8")), *undocumented()]
    print("\n".join(found) or "the source keeps its rules")
    sys.exit(bool(found))
