"""Why schools failed, counted by cause: in a log, 25 schools with one cause are one statement, not 25."""

from collections.abc import Iterable
from typing import Final

_NAMED_SCHOOLS: Final = 10
_NAMED_CAUSES: Final = 5


def counted_causes(failures: Iterable[tuple[str, str, str]]) -> str:
    """Give each cause with its schools, the most frequent first; the first ten schools of each, and the first five.

    :param failures: of each school its id, how it is shown, and why it failed.
    """
    schools: dict[str, list[str]] = {}
    for school_id, shown, why in failures:
        schools.setdefault(why.replace(school_id, "…").rstrip("."), []).append(shown)
    ordered = sorted(schools.items(), key=lambda cause: -len(cause[1]))
    texts = [_text(cause, shown) for cause, shown in ordered[:_NAMED_CAUSES]]
    if rest := sum(len(shown) for _, shown in ordered[_NAMED_CAUSES:]):
        texts.append(f"{rest} more schools for other reasons")
    return "; ".join(texts)


def _text(cause: str, shown: list[str]) -> str:
    if len(shown) == 1:
        return f"{shown[0]}: {cause}"
    more = f" and {len(shown) - _NAMED_SCHOOLS} more" if len(shown) > _NAMED_SCHOOLS else ""
    return f"{len(shown)} schools: {cause} ({', '.join(shown[:_NAMED_SCHOOLS])}{more})"
