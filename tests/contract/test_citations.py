"""Whoever cites the notes on the API finds what was cited."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "docs/reference/clever-api.md"
CITATION = re.compile(r"clever-api\.md[`)\],:]*((?:[ ,]|and|\n|#|\"\"\")*(?:O?\d+(?:\.\d+)?))+")
PLACE = re.compile(r"O\d+|\d+(?:\.\d+)?")
QUESTIONS = [f"O{number}" for number in range(1, 31)]


def places(text: str) -> list[str]:
    """List the sections and questions that a text cites."""
    return [place for match in CITATION.finditer(text) for place in PLACE.findall(match.group().partition(".md")[2])]


def cited() -> dict[str, list[str]]:
    files = [
        path
        for folder in ("airflow_provider_clever", "tests", "docs", "example_dags")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".md", ".json") and path != NOTES and path != Path(__file__)
    ]
    found = {str(path.relative_to(ROOT)): places(path.read_text()) for path in files}
    return {path: list_ for path, list_ in found.items() if list_}


def targets() -> set[str]:
    """List what can be cited: numbered headings, and the rows of the table of open questions."""
    text = NOTES.read_text()
    headings = re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", text, re.MULTILINE)
    return {*headings, *re.findall(r"^\| (O\d+) \|", text, re.MULTILINE)}


def test_every_citation_of_the_notes_leads_to_a_section_or_a_question() -> None:
    known = targets()
    assert {path: [place for place in places_ if place not in known] for path, places_ in cited().items()} == {
        path: [] for path in cited()
    }
    assert sum(map(len, cited().values())) > 80


def test_a_citation_is_read_whole() -> None:
    assert places("(clever-api.md 2.2, 3.1, 5)") == ["2.2", "3.1", "5"]
    assert places("clever-api.md 2.2 and 3.3).") == ["2.2", "3.3"]
    assert places("(clever-api.md 9, O17), so 31 days") == ["9", "O17"]
    assert places("clever-api.md`, O12), so") == ["O12"]


def test_the_open_questions_are_all_there_in_order_and_the_sandbox_knows_no_other() -> None:
    assert re.findall(r"^\| (O\d+) \|", NOTES.read_text(), re.MULTILINE) == QUESTIONS
    sandbox = ROOT.joinpath("docs/reference/sandbox.md").read_text()
    assert set(re.findall(r"\bO\d+\b", sandbox)) <= set(QUESTIONS)
