"""Names as they may be shown: on a terminal, in a log, in a page."""

import unicodedata


def printable(text: str) -> str:
    """Give a text on one line, without anything that steers a terminal or turns the direction of writing around.

    A name of a school is free text: control characters could rewrite what stands above it on a terminal,
    a line break could forge a line of a log, and marks of direction could make one id look like another.
    """
    if text.isascii() and text.isprintable():
        return text
    blanks = "".join(" " if letter.isspace() else letter for letter in text)
    shown = "".join(letter for letter in blanks if unicodedata.category(letter) not in _HIDDEN)
    return " ".join(shown.split())


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Controls, marks of direction and the like, halves of letters, and what no font shows."""
