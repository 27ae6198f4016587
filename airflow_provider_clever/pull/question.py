"""The question of a pull: whose attendance, and which days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from airflow_provider_clever.api.endpoints import AttendanceQuery
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.pull.chains import Chain, Scope, plan_chains


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose attendance to ask for, and which days. It is checked when it is made, before anything is sent.

    :param first_day: first attendance date, inclusive.
    :param last_day: last attendance date, inclusive.
    :param school_ids: the schools; default every school that the district shares.
    :param section_ids: sections, instead of schools.
    :param attendance_status: ``present``, ``absent`` or ``tardy``; default all.
    :param expected_requests: how many requests it is expected to take; ranges are not cut into more. Default: unknown.
    :raises CleverSettingsError: it cannot be asked.
    """

    first_day: date
    last_day: date
    school_ids: tuple[str, ...] | None = None
    section_ids: tuple[str, ...] | None = None
    attendance_status: str | None = None
    expected_requests: int | None = None

    def __post_init__(self) -> None:
        if self.school_ids is not None and self.section_ids is not None:
            raise CleverSettingsError("Give school_ids or section_ids, not both.")
        for name in ("school_ids", "section_ids"):
            ids = getattr(self, name)
            if ids is not None and not ids:
                raise CleverSettingsError(f"{name} is empty. Leave it out to ask for every school that is shared.")
            if ids is not None and len(set(ids)) < len(ids):
                object.__setattr__(self, name, tuple(dict.fromkeys(ids)))
        for scope_id in self.section_ids or self.school_ids or ("any",):
            AttendanceQuery(  # checks the id, the dates and the status
                school_id=scope_id,
                date_range_start=self.first_day,
                date_range_end=self.last_day,
                attendance_status=self.attendance_status,
            )

    @property
    def scope(self) -> Scope:
        """Whether the question names sections."""
        return Scope.SCHOOL if self.section_ids is None else Scope.SECTION

    @property
    def named(self) -> str:
        """Describe its scope: one school or section by its id, several by their number; empty: every school."""
        kind, ids = ("section", self.section_ids) if self.section_ids else ("school", self.school_ids or ())
        return f"{kind} {ids[0]}" if len(ids) == 1 else f"{len(ids)} {kind}s" if ids else ""

    def chains(self, shared_school_ids: Sequence[str], *, max_concurrency: int) -> list[Chain]:
        """Give the chains that answer it.

        :param shared_school_ids: the schools to ask for if the question names none.
        :param max_concurrency: walks side by side.
        """
        scope_ids = self.section_ids or self.school_ids or shared_school_ids
        expected = self.expected_requests
        return plan_chains(
            self.scope,
            scope_ids,
            self.first_day,
            self.last_day,
            concurrency=max_concurrency,
            attendance_status=self.attendance_status,
            most_pieces=None if expected is None or not scope_ids else -(-expected // len(scope_ids)),
        )
