"""Keeps the requests to forget in ``forgotten.json.gz``, which every pull reads before it writes.

It names nobody. A student is a keyed hash, and the key is elsewhere: in the Clever connection or the environment. So a
reader of the lake cannot find out who was forgotten, but a pull can recognize the rows that it must not land.
docs/explanation/decisions/0036-forgetting-is-asked-for-never-inferred.md.
"""

import hmac
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from airflow_provider_clever.attendance.values import canonical_json
from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.lake import layout
from airflow_provider_clever.storage.compressed import gzipped_json, read_gzipped_json
from airflow_provider_clever.storage.objects import Objects

SCHEMA_VERSION: Final = 1
KEY_VARIABLE: Final = "CLEVER_FORGET_SECRET"
SHORTEST_KEY: Final = 32
"""In characters: as long as a random key of 16 bytes, written in hex."""

Kind: TypeAlias = Literal["students", "district", "days"]

HOW_TO_GIVE_THE_KEY: Final = (
    "put it into the extra field forget_secret of the Clever connection (commands take it from there with --conn-id), "
    f"or into the environment variable {KEY_VARIABLE}"
)

_TOKEN: Final = re.compile(r"[0-9A-Za-z_-]+")
_PART: Final = re.compile(r"[0-9A-Za-z]+")
_JOINS: Final = frozenset("_-")
"""Characters that an id may contain, and that may also join it to something else."""
_CLEVERS_OWN: Final = re.compile(r"(?=([0-9a-f]{24}))")
"""Finds ids of Clever's own form (clever-api.md 2.1) wherever they begin, also right behind other characters."""
_CLEVERS_OWN_LENGTH: Final = 24
_ESCAPE: Final = re.compile(r"""\\+(?:u(?P<code>[0-9A-Fa-f]{4})|[bfnrt"'/])""")
_INSTEAD: Final = "forgotten"
_STUDENT_DIGITS: Final = 32
_ENTRY_DIGITS: Final = 16


class ForgottenDistrictError(CleverSettingsError):
    """The district was forgotten, so nothing of it is pulled, planned or recorded."""


class Key:
    """The secret that turns an id into a hash that may be in the lake.

    :param secret: at least 32 characters.
    :param district_id: enters every hash, so that two districts' lists cannot be compared.
    :raises CleverSettingsError: the secret is too short to be one.
    """

    def __init__(self, secret: str, district_id: str) -> None:
        if len(secret) < SHORTEST_KEY:
            msg = (
                f"the key of what is forgotten has fewer than {SHORTEST_KEY} characters, so it could be guessed: make "
                f"one with `openssl rand -hex 32`, and {HOW_TO_GIVE_THE_KEY}"
            )
            raise CleverSettingsError(msg)
        self._secret = secret.encode()
        self._district_id = district_id

    def student(self, student_id: str) -> str:
        """The hash of a student."""
        return self._hash("student", student_id)[:_STUDENT_DIGITS]

    def entry(self, school_id: str, sis_id: str) -> str:
        """The hash of an attendance entry's id in a school's own system; schools number them independently."""
        return self._hash("entry", school_id, sis_id)[:_ENTRY_DIGITS]

    def check(self) -> str:
        """A hash that differs for every other key."""
        return self._hash("key")[:_STUDENT_DIGITS]

    def request(self, *identity: str) -> str:
        """The id of a request."""
        return self._hash("request", *identity)[:32]

    def _hash(self, *parts: str) -> str:
        text = "\0".join((self._district_id, *parts))
        return hmac.digest(self._secret, text.encode(errors="surrogatepass"), "sha256").hex()

    def __repr__(self) -> str:
        return "Key(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to forget.

    :param kind: ``students``, a whole ``district``, or the ``days`` before one.
    :param asked_at: when, UTC.
    :param final_after: a sweep after this instant, UTC, is the last one: tasks that were running have ended.
    :param is_final: whether the last sweep has been made.
    :param students: the entries (:meth:`Key.entry`) of each student, by the student's hash.
    :param before: the first day that stays, for ``days``.
    """

    kind: Kind
    asked_at: str
    final_after: str
    is_final: bool = False
    students: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """All requests to forget in a district's lake.

    :param key_check: shows whether a key is the one of the hashes; None: there are no hashes.
    :param requests: by their ids.
    :param lifted: ids of the requests for the whole district that were taken back.
    """

    district_id: str
    key_check: str | None = None
    requests: Mapping[str, Request] = field(default_factory=dict)
    lifted: tuple[str, ...] = ()

    @property
    def tombstone(self) -> Request | None:
        """The request to forget the whole district, if it holds."""
        found = (one for id_, one in self.requests.items() if one.kind == "district" and id_ not in self.lifted)
        return next(found, None)

    @property
    def pending(self) -> dict[str, Request]:
        """The requests whose last sweep is still to come; if all its students were lifted, there is none to come."""
        asked = {id_: one for id_, one in self.requests.items() if one.kind != "students" or one.students}
        return {id_: one for id_, one in asked.items() if not one.is_final and id_ not in self.lifted}

    @property
    def students(self) -> frozenset[str]:
        """The hashes of all forgotten students."""
        return frozenset(hash_ for one in self.requests.values() for hash_ in one.students)

    @property
    def pending_students(self) -> frozenset[str]:
        """The hashes of students of whom rows may still be somewhere: their last sweep is still to come."""
        return frozenset(hash_ for one in self.pending.values() for hash_ in one.students)

    def denied(self, key: Key | None) -> "Denied | None":
        """Give what recognizes the rows that must not land. None: every row may land.

        :raises CleverSettingsError: students are forgotten, and the key is missing or another one.
        """
        if not self.students:
            return None
        if key is None or key.check() != self.key_check:
            found = "no key was given" if key is None else "the key that was given is another one"
            msg = (
                f"students of district {self.district_id} are forgotten here, and {found}, so their rows could not be "
                f"told from others; nothing was written. Take the key that they were forgotten with, and "
                f"{HOW_TO_GIVE_THE_KEY}"
            )
            raise CleverSettingsError(msg)
        entries = frozenset(
            entry for one in self.requests.values() for found in one.students.values() for entry in found
        )
        return Denied(key, self.students, entries)

    def refuse_tombstone(self) -> None:
        """Make sure that the district may be pulled.

        :raises ForgottenDistrictError: it was forgotten.
        """
        if self.tombstone is not None:
            msg = (
                f"district {self.district_id} was forgotten here on {self.tombstone.asked_at[:10]}, because a person "
                "asked for it, so nothing of it is pulled, planned or recorded. If that has changed: "
                f"`clever-attendance forget DESTINATION --district {self.district_id} --lift`"
            )
            raise ForgottenDistrictError(msg)


class Denied:
    """Recognizes students whose rows must not land. It contains no id.

    :param key: makes the hashes.
    :param students: hashes of students.
    :param entries: hashes of their attendance entries.
    """

    _MOST_REMEMBERED: Final = 200_000

    def __init__(self, key: Key, students: frozenset[str], entries: frozenset[str] = frozenset()) -> None:
        self.key, self.students, self.entries = key, students, entries
        self._known: dict[str, bool] = {}

    def is_student(self, text: str) -> bool:
        """Whether this is the id of a forgotten student."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= self._MOST_REMEMBERED:
                self._known.clear()
            found = self._known[text] = self.key.student(text) in self.students
        return found

    def mentions(self, text: str) -> bool:
        """Whether a text contains the id of such a student."""
        return self.redacted(text) != text

    def redacted(self, text: str) -> str:
        """Give the text with each such id replaced; if one is spelled with escapes, the whole text is."""
        shown = _TOKEN.sub(self._shown, text)
        if "\\" in shown:
            plain = unescaped(shown)
            if _TOKEN.sub(self._shown, plain) != plain:
                return _INSTEAD
        return shown

    def redacted_json(self, text: str) -> str:
        """Give a JSON document with each such id replaced in names and values, whatever escapes spell it."""
        if not self.mentions(text):
            return text
        try:
            return canonical_json(self._without(json.loads(text)), is_landed=True)
        except (ValueError, RecursionError):
            return self.redacted(text)

    def _shown(self, found: re.Match[str]) -> str:
        token = found[0]
        if self.is_student(token):
            return _INSTEAD
        if _JOINS.intersection(token):
            return _PART.sub(self._shown, token)
        inside = _CLEVERS_OWN.findall(token) if len(token) > _CLEVERS_OWN_LENGTH else ()
        for own in filter(self.is_student, inside):
            token = token.replace(own, _INSTEAD)
        return token

    def _without(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.redacted(name): self._without(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._without(one) for one in value]
        if isinstance(value, str):
            return self.redacted(value)
        is_number = value is not None and not isinstance(value, bool)
        return _INSTEAD if is_number and self.mentions(str(value)) else value

    def is_rejected(self, row: object, text: str) -> bool:
        """Whether a row that cannot land is about such a student.

        :param row: the row, as JSON gives it.
        :param text: the same as text.
        """
        if self.mentions(text):
            return True
        if not isinstance(row, Mapping) or _is_id(row.get("student_id")):
            return False  # it is about another student
        school_id = row.get("school_id")
        return isinstance(school_id, str) and any(
            self.key.entry(school_id, value) in self.entries for value in values(row)
        )

    def __or__(self, other: "Denied | None") -> "Denied":
        return Denied(self.key, self.students | other.students, self.entries | other.entries) if other else self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Denied) and (self.students, self.entries) == (other.students, other.entries)

    def __hash__(self) -> int:
        return hash((self.students, self.entries))

    def __repr__(self) -> str:
        return f"Denied({len(self.students)} students)"


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(_TOKEN.fullmatch(value)) and len(value) <= 64


def unescaped(text: str) -> str:
    """Give a text with JSON's escapes replaced by what they stand for, however often they were escaped again."""
    return _ESCAPE.sub(lambda found: chr(int(found["code"], 16)) if found["code"] else " ", text)


def values(document: object) -> Iterator[str]:
    """Give every text and number in a JSON document, as text."""
    if isinstance(document, Mapping):
        for one in document.values():
            yield from values(one)
    elif isinstance(document, list):
        for one in document:
            yield from values(one)
    elif isinstance(document, str):
        yield document
    elif document is not None and not isinstance(document, bool):
        yield str(document)


def forgotten_path(district_id: str) -> str:
    """Give the file's path, relative to the destination."""
    return layout.our_path(district_id, "forgotten.json.gz")


def read_forgotten(objects: Objects, district_id: str) -> Forgotten:
    """Read a district's requests to forget.

    :raises CleverLandingError: it cannot be read; then nothing may be written either.
    """
    found = objects.read(forgotten_path(district_id))
    return _parsed(found and found[0], district_id)


def update_forgotten(objects: Objects, district_id: str, change: Callable[[Forgotten], Forgotten]) -> Forgotten:
    """Change the requests to forget, by compare-and-swap.

    :param change: makes the new content from the present one.
    :returns: the new content.
    :raises CleverLandingError: it cannot be read or written.
    """
    result: list[Forgotten] = []

    def next_data(data: bytes | None) -> bytes | None:
        before = _parsed(data, district_id)
        result[:] = [change(before)]
        return None if result[0] == before else gzipped_json({"schema_version": SCHEMA_VERSION, **asdict(result[0])})

    objects.update(forgotten_path(district_id), next_data)
    return result[0]


def refuse_forgotten(objects: Objects, district_id: str) -> None:
    """Make sure that a district may be pulled, planned and recorded.

    :raises CleverSettingsError: it was forgotten.
    :raises CleverLandingError: what is forgotten cannot be read.
    """
    read_forgotten(objects, district_id).refuse_tombstone()


def key_of(secret: str | None, district_id: str) -> Key | None:
    """Give the key from a connection, else from the environment. None: neither has one.

    :param secret: the connection's ``forget_secret``.
    :raises CleverSettingsError: it is too short.
    """
    text = (secret or os.environ.get(KEY_VARIABLE, "")).strip()
    return Key(text, district_id) if text else None


def with_request(forgotten: Forgotten, id_: str, request: Request, key: Key | None) -> Forgotten:
    """Add a request; what is known of an earlier try of the same request stays.

    :raises CleverSettingsError: students were forgotten with another key.
    """
    if key is not None and forgotten.key_check not in (None, key.check()):
        forgotten.denied(key)  # raises
    known = forgotten.requests.get(id_)
    same = known is not None and known.students.keys() == request.students.keys()
    if known is not None:  # some were lifted since; what was learned about the others cannot be learned again
        request = replace(request, students={**request.students, **known.students})
    return replace(
        forgotten,
        key_check=key.check() if key is not None else forgotten.key_check,
        requests={**forgotten.requests, id_: known if known is not None and same else request},
    )


def _parsed(data: bytes | None, district_id: str) -> Forgotten:
    if data is None:
        return Forgotten(district_id=district_id)
    try:
        document = read_gzipped_json(data)
        if document.pop("schema_version") > SCHEMA_VERSION:
            raise _unusable(district_id, "a newer version of airflow-provider-clever wrote it; upgrade this one")
        if document["district_id"] != district_id:
            raise _unusable(district_id, "it is another district's")
        requests = {id_: _request(one) for id_, one in document["requests"].items()}
        return Forgotten(**{**document, "requests": requests, "lifted": tuple(document["lifted"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _unusable(district_id, "it is damaged") from None


def _request(document: Mapping[str, Any]) -> Request:
    students = {str(hash_): tuple(map(str, entries)) for hash_, entries in document["students"].items()}
    return Request(**{**document, "students": students})


def _unusable(district_id: str, why: str) -> CleverLandingError:
    return CleverLandingError(
        f"{forgotten_path(district_id)} cannot be used: {why}. It says whose rows must not land, so nothing is written "
        "without it: restore an earlier version of it"
    )
