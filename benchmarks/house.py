"""The structure of the package, read from its own imports: rooms, floors, arrows between rooms, circles, lines.

    python benchmarks/house.py                    # the tree this file lies in
    python benchmarks/house.py OTHER/specimg      # another one, such as an older checkout
    python benchmarks/house.py --walk specimg/experiments/cross_validation.py   # what a module stands on, floor by floor

Imports count wherever they stand: at the top, inside functions, and for types only. It reads text and runs nothing.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from pathlib import Path

Graph = dict[str, set[str]]


def module_name(path: Path, package: Path) -> str:
    """ "core.values" for specimg/core/values.py, "core" for specimg/core/__init__.py, "" for the package itself."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path, package: Path, known: set[str]) -> set[str]:
    """Modules of the package that a file imports, by whatever way."""
    here = path.relative_to(package).parts[:-1]  # the package that relative imports start from
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
        elif (node.module or "").split(".")[0] == package.name:
            base = node.module.split(".")[1:]
        else:
            continue
        base = ".".join(part for part in base if part)
        for alias in node.names:
            name = f"{base}.{alias.name}".strip(".")
            found.add(name if name in known else base)
    return (found & known) - {"", module_name(path, package)}


def import_graph(package: Path) -> Graph:
    """Module -> modules of the package that it imports."""
    paths = {module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    return {name: imported_modules(path, package, set(paths)) for name, path in paths.items() if name}


def room_graph(graph: Graph) -> Graph:
    """The same between rooms, the folders and files directly below the package."""
    rooms: Graph = {name.split(".")[0]: set() for name in graph}
    for name, others in graph.items():
        room = name.split(".")[0]
        rooms[room] |= {other.split(".")[0] for other in others} - {room}
    return rooms


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan's strongly connected components of more than one node)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def floors(rooms: Graph) -> dict[str, int]:
    """The lowest floor that each room can have: one above the highest room it imports from. Rooms in a circle share theirs."""
    level = dict.fromkeys(rooms, 1)
    for _ in rooms:
        for room, others in rooms.items():
            level[room] = max([level[room], *(level[other] + 1 for other in others)])
        if max(level.values()) > len(rooms):
            break  # a circle would rise for ever
    return level


def count_lines(package: Path) -> tuple[int, int]:
    """(all lines, lines of code: neither blank nor comment nor docstring)."""
    total = code = 0
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        total += len(lines)
        docs = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
                first = node.body[0]
                if (
                    isinstance(first, ast.Expr)
                    and isinstance(first.value, ast.Constant)
                    and isinstance(first.value.value, str)
                ):
                    docs |= set(range(first.lineno, first.end_lineno + 1))
        code += sum(
            bool(line.strip()) and not line.strip().startswith("#") and number not in docs
            for number, line in enumerate(lines, start=1)
        )
    return total, code


def walk(graph: Graph, start: str) -> list[list[str]]:
    """Modules reached from `start`, by the number of imports on the shortest way."""
    seen, steps = {start}, [[start]]
    while steps[-1]:
        steps.append(sorted({other for name in steps[-1] for other in graph.get(name, ())} - seen))
        seen |= set(steps[-1])
    return steps[:-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parents[1] / "specimg"
    parser.add_argument("package", type=Path, nargs="?", default=here, help="folder of the package")
    parser.add_argument("--walk", type=Path, help="a module: what it stands on, step by step")
    args = parser.parse_args()
    package = args.package.resolve()
    graph = import_graph(package)
    if args.walk:
        steps = walk(graph, module_name(args.walk.resolve(), package))
        for number, names in enumerate(steps):
            print(f"{number}: {', '.join(names)}")
        print(f"{sum(map(len, steps)) - 1} modules below it, {len(steps) - 1} steps")
        return
    rooms = room_graph(graph)
    level = floors(rooms)
    by_floor = defaultdict(list)
    for room, number in level.items():
        by_floor[number].append(room)
    for number in sorted(by_floor, reverse=True):
        print(f"{number:3}  {'  '.join(sorted(by_floor[number]))}")
    total, code = count_lines(package)
    print(
        f"{len(rooms)} rooms on {len(by_floor)} floors, {len(graph)} modules, {sum(map(len, rooms.values()))} arrows between rooms, "
        f"{sum(map(len, graph.values()))} between files"
    )
    print(f"circles between rooms: {circles(rooms) or 'none'}\ncircles between files: {circles(graph) or 'none'}")
    print(f"{total} lines, {code} of them code")


if __name__ == "__main__":
    main()
