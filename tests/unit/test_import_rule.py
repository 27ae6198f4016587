"""Imports point one way, and Airflow stays at the edge."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_provider_clever"

# Each may import itself and what stands in the lines before it. "__init__" carries the version alone.
LAYERS = (
    ("__init__", "exceptions"),
    ("dates",),
    ("attendance",),
    ("models", "windows"),
    ("memory", "settings", "syncs"),
    ("storage",),
    ("api",),
    ("pull", "lake"),
    ("table",),
    ("forget",),
    ("transfer",),
    ("ledger",),
    ("alerts",),
    ("ui",),
    ("compat", "assets"),
    ("hooks",),
    ("plugins",),
    ("triggers",),
    ("sensors", "operators"),
    ("dags",),
    ("cli",),
)
ALONE = ("sandbox", "get_provider_info")
MAY_IMPORT_AIRFLOW = {"assets", "compat", "hooks", "triggers", "sensors", "operators", "plugins", "dags"}
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


class Import(NamedTuple):
    """One import: of what, where in the file, and whether it happens when the module is imported."""

    name: str
    line: int
    at_import: bool
    for_types: bool


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[Import]:
    yield from _imports(ast.parse(file.read_text()), at_import=True, for_types=False)


def _imports(node: ast.AST, *, at_import: bool, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_import, for_types) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:  # relative ones stay in a part; ruff sees to it
            yield Import(child.module or "", child.lineno, at_import, for_types)
        else:
            typing_block = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            inside_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, at_import=at_import and not inside_function, for_types=for_types or typing_block)


def ours(found: Import) -> str | None:
    """The part of the package that an import reaches for, if it does."""
    root, _, rest = found.name.partition(".")
    return (rest.split(".")[0] or "__init__") if root == PACKAGE.name else None


def may_import(part: str, target: str) -> bool:
    if target == part:
        return True
    if part in ALONE or target in ALONE:
        # The command line starts the sandbox; otherwise neither side may know of the other. The metadata describes the
        # connection's form, which Airflow 3.1 asks the hook for.
        return (part, target) in {("cli", "sandbox"), ("hooks", "get_provider_info")}
    return RANK[target] < RANK[part]


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.py")), ids=lambda file: file.name)
def test_modules_at_the_top_name_what_they_import_in_full(file: Path) -> None:
    assert [
        node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom) and node.level
    ] == []


def forbidden(file: Path) -> Iterator[str]:
    part = part_of(file)
    for found in imports(file):
        target = ours(found)
        if target is not None and not may_import(part, target):
            yield f"line {found.line}: {part} imports {found.name}"
        if found.name.split(".")[0] == "airflow" and part not in MAY_IMPORT_AIRFLOW and not found.for_types:
            if part == "cli" and not found.at_import:
                continue
            yield f"line {found.line}: {part} imports {found.name}"


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way_and_airflow_stays_at_the_edge(file: Path) -> None:
    assert part_of(file) in RANK or part_of(file) in ALONE, "a new part: say in LAYERS where it belongs"
    assert list(forbidden(file)) == []


@pytest.mark.parametrize(
    ("part", "target", "allowed"),
    [
        ("api", "models", True),
        ("api", "hooks", False),
        ("lake", "pull", False),
        ("sensors", "operators", False),
        ("sandbox", "models", False),
        ("operators", "sandbox", False),
        ("cli", "sandbox", True),
        ("hooks", "get_provider_info", True),
        ("operators", "get_provider_info", False),
    ],
)
def test_the_rule_itself(part: str, target: str, allowed: bool) -> None:
    assert may_import(part, target) is allowed


# --- modules ----------------------------------------------------------------------------------------------------------

LONGEST_LINES = 250
"""Lines of code: without docstrings, comments and blank lines."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)


def lines_of_code(file: Path) -> int:
    source = file.read_text()
    texts: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            texts.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    blank = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - texts)


def imported_modules(file: Path) -> set[str]:
    """Our own modules that a module imports, wherever in it: lazily and for types, too."""
    here = name_of(file).split(".")
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = here[: -node.level] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            names = [
                f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source for alias in node.names
            ]
        else:
            continue
        found.update(name for name in names if name in MODULES)
    return found


MODULES = {name_of(file): file for file in FILES}


def circles(imported: dict[str, set[str]]) -> set[frozenset[str]]:
    """The groups of modules of which each imports each, by way of the others."""

    def reached_from(start: str) -> set[str]:
        reached: set[str] = set()
        todo = [start]
        while todo:
            new = imported.get(todo.pop(), set()) - reached
            reached |= new
            todo.extend(new)
        return reached

    reach = {module: reached_from(module) for module in imported}
    return {frozenset(other for other in reach[module] if module in reach.get(other, ())) for module in imported} - {
        frozenset()
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles({name: imported_modules(file) for name, file in MODULES.items()}) == set()


def test_the_rule_finds_circles() -> None:
    imported = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}
    assert circles(imported) == {frozenset("bc"), frozenset("d")}
    assert imported_modules(MODULES[f"{PACKAGE.name}.storage.local_store"]) == {
        f"{PACKAGE.name}.storage.{name}" for name in ("local_files", "local_probe", "versions")
    }


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    assert {name for name, file in MODULES.items() if lines_of_code(file) > LONGEST_LINES} == set()
