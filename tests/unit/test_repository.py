"""The repository's own rules: pins, links, the README's commands, and what a wheel carries."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
SANDBOX = ROOT / "airflow_provider_clever/sandbox"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PINNED = sorted(ROOT.glob("requirements/**/*.txt"))
# Whose floors `make wheel` shows. The providers of Google and Azure bring 200 packages, which the matrix leaves out.
SHOWN_BY_THE_WHEEL = {
    *("apache-airflow-providers-google", "apache-airflow-providers-microsoft-azure"),
    *("s3fs", "gcsfs", "adlfs"),  # the test above
}
PIN = re.compile(r"^[A-Za-z0-9._-]+(\[[A-Za-z0-9,_-]+\])?==[^ ]+( ; .+)?$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be reached, formed as the usual renderers do."""
    headings = re.findall(r"^#+ +(.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_dead(page: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    file = (page.parent / target) if target else page
    if not file.exists():
        return True
    return bool(anchor) and file.suffix == ".md" and anchor not in anchors(file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    links = LINK.findall(FENCED.sub("", page.read_text()))
    assert [link for link in links if "://" not in link and is_dead(page, link)] == []


def test_every_page_that_code_names_is_there() -> None:
    named = {
        (str(file.relative_to(ROOT)), page)
        for folder in ("airflow_provider_clever", "example_dags", "tests")
        for file in (ROOT / folder).rglob("*.py")
        for page in re.findall(r"\bdocs/[\w/-]+\.(?:md|json|sql)\b", file.read_text())
    }
    assert {(file, page) for file, page in named if not (ROOT / page).exists()} == set()


MODULE = re.compile(r"`([a-z_]+(?:/[a-z_]+)*/[a-z_]+\.py)`")
DOTTED = re.compile(r"`((?:attendance|storage|api|pull|lake|transfer|ledger)\.(?!clever)[a-z_]+)\.[a-z_.]+`")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name != "decisions"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_module_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    named = [*MODULE.findall(text), *(f"{name.replace('.', '/')}.py" for name in DOTTED.findall(text))]
    roots = (ROOT, ROOT / "airflow_provider_clever")
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


def test_the_map_of_the_architecture_leads_to_what_it_names() -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    roots = (ROOT, ROOT / "airflow_provider_clever")
    paths = set(re.findall(r"(?<![\w./])(?:[a-z_]+/)*[a-z_]+(?:\.py|/)(?![\w(])", re.sub(r"\]\([^)]*\)", "]", text)))
    assert sorted(path for path in paths if not any((root / path).exists() for root in roots)) == []
    for path, name in re.findall(r"`([a-z_/]+\.py)` \(`(\w+)`\)", text):
        (file,) = [root / path for root in roots if (root / path).exists()]
        assert re.search(rf"^(?:def|class|async def)? ?{name}\b", file.read_text(), re.MULTILINE), f"{name} in {path}"


def test_the_index_of_the_documentation_leads_to_every_page() -> None:
    index = ROOT / "docs/index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text())}
    pages = {page.resolve() for page in ROOT.glob("docs/**/*.md") if page.parent.name != "decisions"}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - linked - {index}) == []


def test_every_decision_has_its_number_and_its_status_in_the_list() -> None:
    folder = ROOT / "docs/explanation/decisions"
    listed = re.findall(
        r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+?) \| (?:holds|(?:partly )?replaced by)",
        (folder / "README.md").read_text(),
        re.MULTILINE,
    )
    written = [(file.name[:4], file.name, file.read_text().splitlines()[0]) for file in sorted(folder.glob("0*.md"))]
    assert [(number, name, f"# {number}: {title}") for number, name, title in listed] == written


GLOSSARY = ROOT / "docs/reference/glossary.md"
PACKAGE = sorted((ROOT / "airflow_provider_clever").rglob("*.py"))


def words_to_avoid() -> re.Pattern[str]:
    section = GLOSSARY.read_text().partition("## Words to avoid")[2]
    rows = re.findall(r"^\| (?!avoid)([a-z][^|]*?) \|", section, re.MULTILINE)
    words = [word for row in rows for word in row.split(", ")]
    assert words
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


def prose_of(file: Path) -> Iterator[str]:
    """What a file says to its readers: the paragraphs of a page; the docstrings and comments of a module."""
    text = file.read_text()
    if file.suffix == ".md":
        yield FENCED.sub("", text)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)


@pytest.mark.parametrize(
    "file",
    [file for file in (*PACKAGE, *PAGES) if file != GLOSSARY and file.parent.name != "decisions"],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_no_prose_has_a_word_that_the_glossary_avoids(file: Path) -> None:
    avoided = words_to_avoid()
    assert [found.group() for text in prose_of(file) for found in avoided.finditer(text)] == []


def patches_of_ours(file: Path) -> Iterator[str]:
    """The calls by which a test would replace a part of our own code."""
    tree = ast.parse(file.read_text())
    ours = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow_provider_clever")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        call, target = ast.unparse(node.func), node.args[0]
        is_ours = ast.unparse(target).strip("'\"").startswith("airflow_provider_clever") or ast.unparse(target) in ours
        if is_ours and call in {"monkeypatch.setattr", "mocker.patch", "mocker.patch.object", "patch", "patch.object"}:
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("file", sorted(ROOT.glob("tests/**/test_*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_test_patches_our_own_code(file: Path) -> None:
    assert list(patches_of_ours(file)) == []


def pins(file: Path) -> list[str]:
    lines = [line.split("#")[0].strip() for line in file.read_text().splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("file", PINNED, ids=lambda file: file.stem)
def test_every_requirement_is_pinned_and_names_no_index(file: Path) -> None:
    assert [pin for pin in pins(file) if not PIN.match(pin)] == []


OURS = {"airflow-provider-clever", "clever-sandbox"}


def of(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text())


def test_every_dependency_that_pyproject_names_is_pinned() -> None:
    project, sandbox = of(ROOT), of(SANDBOX)
    named = [
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
        *(line for group in project["dependency-groups"].values() for line in group if isinstance(line, str)),
        *sandbox["project"]["dependencies"],
    ]
    pinned: dict[str, list[str]] = {}
    for file in ("dev", "docs", "wheel"):
        for requirement in map(Requirement, pins(ROOT / f"requirements/{file}.txt")):
            pinned.setdefault(canonicalize_name(requirement.name), []).extend(s.version for s in requirement.specifier)
    for requirement in map(Requirement, named):
        if requirement.name not in OURS:
            versions = pinned[canonicalize_name(requirement.name)]
            assert all(map(requirement.specifier.contains, versions)), f"run `make requirements`: {requirement}"


def test_landing_is_tried_on_the_oldest_store_libraries_that_the_extras_allow() -> None:
    lowest = {pin.name: str(pin.specifier) for pin in map(Requirement, pins(ROOT / "requirements/stores-lowest.in"))}
    extras = of(ROOT)["project"]["optional-dependencies"].values()
    floors = {each.name: each.specifier for extra in extras for each in map(Requirement, extra)}
    for library in ("s3fs", "gcsfs", "adlfs"):
        assert lowest[library] == str(floors[library]).replace(">=", "==")


def test_every_floor_that_pyproject_names_is_what_the_lowest_environment_of_the_matrix_runs_on() -> None:
    project, sandbox = of(ROOT)["project"], of(SANDBOX)["project"]
    extras = (line for extra in project["optional-dependencies"].values() for line in extra)
    named = [Requirement(line) for line in (*project["dependencies"], *extras, *sandbox["dependencies"])]
    floors = {
        canonicalize_name(one.name): Version(floor.version)
        for one in named
        for floor in one.specifier
        if floor.operator == ">=" and one.name not in SHOWN_BY_THE_WHEEL
    }
    run = {
        canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version)
        for pin in map(Requirement, pins(ROOT / "requirements/matrix/lowest.txt"))
    }
    assert {name: run[name] for name in floors} == floors


def test_the_sandbox_is_released_with_the_provider_that_asks_for_it() -> None:
    version = of(SANDBOX)["project"]["version"]
    assert version == of(ROOT)["project"]["version"]
    assert of(ROOT)["project"]["optional-dependencies"]["sandbox"] == [f"clever-sandbox=={version}"]


def test_no_module_of_the_sandbox_hides_one_of_the_standard_library() -> None:
    # Its folder is the root of a project, so a builder may put it first on the path.
    assert sorted({file.stem for file in SANDBOX.glob("*.py")} & sys.stdlib_module_names) == []


def test_the_commands_that_the_readme_gives_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    blocks = re.findall(
        r"^<!-- \.ci/run runs this -->\n```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    commands = [line for block in blocks for line in block.splitlines()]
    assert {"make demo", "make test"} <= set(commands)
    assert {command.removeprefix("make ") for command in commands} <= targets


def built(project: Path, folder: Path) -> tuple[set[str], str]:
    """The names of the files in a project's wheel, and its entry points."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=project, check=True, capture_output=True, timeout=60)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        return names, archive.read(entry_points).decode()


def test_two_wheels_carry_the_package_between_them_each_with_its_licence_and_its_entry_points(tmp_path: Path) -> None:
    provider, provider_declares = built(ROOT, tmp_path / "provider")
    sandbox, sandbox_declares = built(SANDBOX, tmp_path / "sandbox")
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "airflow_provider_clever").rglob("*.py")}
    of_sandbox = {name for name in package if name.startswith("airflow_provider_clever/sandbox/")}
    for names, modules in ((provider, package - of_sandbox), (sandbox, of_sandbox)):
        assert {name for name in names if name.endswith(".py")} == modules
        assert any(name.endswith("licenses/LICENSE") for name in names)
    assert provider & sandbox == set()
    assert "airflow_provider_clever/py.typed" in provider
    assert "airflow_provider_clever/sandbox/openapi.json" in sandbox
    assert "[apache_airflow_provider]" in provider_declares
    assert "clever-attendance" in provider_declares
    assert "clever-sandbox" in sandbox_declares
    assert "clever-sandbox" not in provider_declares
