"""Groups failed schools by cause, so that 25 schools with one cause are one line of a log, not 25."""

from collections.abc import Iterable
from typing import Final

_NAMED_SCHOOLS: Final = 10
_NAMED_CAUSES: Final = 5


def counted_causes(failures: Iterable[tuple[str, str, str]]) -> str:
    """Give each cause with its schools, the most frequent first; the first ten schools of each, and the first five.

    :param failures: of each school its id, how it is shown, and why it failed.
    """
    causes: dict[str, list[tuple[str, str]]] = {}
    for school_id, shown, why in failures:
        causes.setdefault(why.replace(school_id, "…"), []).append((shown, why.rstrip(".")))
    ordered = sorted(causes.items(), key=lambda cause: -len(cause[1]))
    texts = [_text(cause.rstrip("."), schools) for cause, schools in ordered[:_NAMED_CAUSES]]
    if rest := sum(len(schools) for _, schools in ordered[_NAMED_CAUSES:]):
        texts.append(f"{rest} more schools for other reasons")
    return "; ".join(texts)


def _text(cause: str, schools: list[tuple[str, str]]) -> str:
    if len(schools) == 1:
        return ": ".join(schools[0])
    more = f" and {len(schools) - _NAMED_SCHOOLS} more" if len(schools) > _NAMED_SCHOOLS else ""
    return f"{len(schools)} schools: {cause} ({', '.join(shown for shown, _ in schools[:_NAMED_SCHOOLS])}{more})"
