"""Asks one district of Clever one question; rows and landed days are both made from the answer."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_clever.api.client import CleverClient
from airflow_provider_clever.models import District
from airflow_provider_clever.pull.question import Question
from airflow_provider_clever.pull.rejected import SetAside
from airflow_provider_clever.pull.run import Pull


@dataclass(frozen=True, slots=True)
class Asking:
    """A question, and the client that asks it.

    :param client: the API client of the district.
    :param stop: ends everything at once when it is set.
    :param max_concurrency: requests side by side.
    """

    client: CleverClient
    question: Question
    stop: threading.Event
    max_concurrency: int

    @property
    def lists_schools(self) -> bool:
        """Whether the question is about all schools of the district, so that their list has to be fetched."""
        return not (self.question.school_ids or self.question.section_ids)

    def school_names(self) -> dict[str, str]:
        """Give the shared schools by id; nothing is requested if the question names its schools or sections."""
        return self.list_schools() if self.lists_schools else {}

    def list_schools(self) -> dict[str, str]:
        """Fetch the shared schools by id."""
        return {school.id: school.name for school in self.client.iter_schools()}

    def pull(
        self,
        district: District,
        school_ids: Sequence[str],
        set_aside: SetAside,
    ) -> Pull:
        """Make the pull that answers the question, without starting it.

        :param school_ids: the schools, if the question names none.
        :param set_aside: is given the rows that cannot land.
        """
        return Pull(
            self.client,
            self.question.chains(school_ids, max_concurrency=self.max_concurrency),
            district_id=district.id,
            set_aside=set_aside,
            stop=self.stop,
            max_concurrency=self.max_concurrency,
        )
