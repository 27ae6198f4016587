"""How ``make docs`` makes a site of these pages, which are plain Markdown, readable on the repository's host too.

Sphinx's source is the whole checkout, so a link such as ``../README.md`` leads to the same page in both places. Nothing
in the pages is written for Sphinx: what it needs besides is derived from their links when it reads them.
"""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import jinja2
from sphinx.application import Sphinx

ROOT: Final = Path(__file__).parents[1]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE: Final = "airflow_provider_clever"

project = PROJECT["name"]
author = PROJECT["authors"][0]["name"]
project_copyright = author
version = release = PROJECT["version"]

extensions = ["myst_parser", "autoapi.extension"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", PACKAGE, "build", "dist", "example_dags", "requirements", "tests"]
suppress_warnings = [
    "myst.header",  # a page of Keep a Changelog repeats its headings
    "misc.highlighting_failure",  # SQL of engines that the highlighter does not know
]

myst_heading_anchors = 6

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
# The repository has no public address yet: a link to edit a page comes with [project.urls] (docs/how-to/release.md).

# --- the API reference: the modules that docs/reference/api.md names, from their docstrings ---------------------------

API_PAGE: Final = "docs/reference/api"
MODULE_LINK: Final = re.compile(rf"\(\.\./\.\./({PACKAGE}/[\w/]+)\.py\)")


def public_modules() -> list[str]:
    """List the modules that the page of the public API names, in its order."""
    paths = MODULE_LINK.findall((ROOT / f"{API_PAGE}.md").read_text())
    return [path.removesuffix("/__init__").replace("/", ".") for path in paths]


PUBLIC: Final = public_modules()

autoapi_dirs = [str(ROOT / PACKAGE)]
autoapi_root = f"{API_PAGE}/generated"
autoapi_add_toctree_entry = False
autoapi_options = ["members", "undoc-members", "imported-members"]
python_maximum_signature_line_length = 88
autoapi_python_class_content = "both"
suppress_warnings += [
    "autoapi.python_import_resolution"
]  # names that compat.py finds in one Airflow and not in another


def autoapi_prepare_jinja_env(environment: jinja2.Environment) -> None:
    """Write no page for a package that only holds public modules."""
    own = '{% if obj.name in public %}{% include "python/module.rst" %}{% endif %}'
    environment.globals["public"] = PUBLIC
    environment.loader = jinja2.ChoiceLoader([jinja2.DictLoader({"python/package.rst": own}), environment.loader])


def leave_out(_app: Sphinx, what: str, name: str, _object: Any, skip: bool, _options: Any) -> bool:  # noqa: FBT001  # Sphinx's signature
    """Tell whether something is left out: modules that are not public, and names with an underscore."""
    if what in {"module", "package"}:
        return not any(module == name or module.startswith(f"{name}.") for module in PUBLIC)
    return skip or name.rpartition(".")[2].startswith("_")


# --- the navigation ---------------------------------------------------------------------------------------------------

SECTION: Final = re.compile(r"^## (.+?)(?::.*)?$", re.MULTILINE)
LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s:]+)\)")
PAGE_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(((?!\.\./)[^)#\s:]+\.md)(?:#[^)\s]*)?\)")


def toctree(pages: list[str], caption: str = "") -> str:
    """Write a toctree that is not shown in the page."""
    lines = ["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), "", *dict.fromkeys(pages)]
    return "\n\n" + "\n".join([*lines, "```"]) + "\n"


def with_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the links of the pages that list others the site's navigation, so that it is stated once.

    Links to folders, which the repository's host shows and a site has not, become plain words.
    """
    here = Path(app.env.doc2path(docname)).parent
    text = source[0] = LINK.sub(lambda link: link[1] if (here / link[2]).is_dir() else link[0], source[0])
    if docname == root_doc:
        heads = [*SECTION.finditer(text)]
        ends = [*(head.start() for head in heads[1:]), len(text)]
        for head, end in zip(heads, ends, strict=True):
            source[0] += toctree(PAGE_LINK.findall(text[head.end() : end]), head[1])
        source[0] += toctree(["../CHANGELOG.md", "../CONTRIBUTING.md", "../README.md"], "Project")
    elif docname == "docs/explanation/decisions/README":
        source[0] += toctree([link for link in PAGE_LINK.findall(text) if re.match(r"\d{4}-", link)])
    elif docname == API_PAGE:
        source[0] = MODULE_LINK.sub(
            lambda found: f"(api/generated/{found[1].removesuffix('/__init__')}/index.rst)", text
        )
        pages = {module: f"api/generated/{module.replace('.', '/')}/index.rst" for module in PUBLIC}
        source[0] += toctree([f"{module.removeprefix(f'{PACKAGE}.')} <{page}>" for module, page in pages.items()])


def lead_to_the_index(app: Sphinx, failure: Exception | None) -> None:
    """Let the site's root lead to its first page."""
    if failure is None and app.builder.name == "html":
        leads = f'<!doctype html><meta charset="utf-8"><title>{project}</title>'
        leads += (
            f'<meta http-equiv="refresh" content="0; url={root_doc}.html"><a href="{root_doc}.html">{project}</a>\n'
        )
        (Path(app.outdir) / "index.html").write_text(leads)


def setup(app: Sphinx) -> None:
    """Let Sphinx call the above."""
    app.connect("autoapi-skip-member", leave_out)
    app.connect("source-read", with_navigation)
    app.connect("build-finished", lead_to_the_index)
