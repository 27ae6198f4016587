"""The operator that forgets: students, old days, or a whole district."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context

from airflow_provider_clever.exceptions import CleverLandingError, CleverSettingsError
from airflow_provider_clever.hooks import arguments
from airflow_provider_clever.hooks.tables import open_registered
from airflow_provider_clever.operators.district import DistrictOperator
from airflow_provider_clever.plugins.links import LANDING_LINKS

if TYPE_CHECKING:
    from airflow_provider_clever.forget.receipts import ForgetReceipt
    from airflow_provider_clever.forget.requests import Forgetting


class CleverAttendanceForgetOperator(DistrictOperator):
    """Removes students, old days or a whole district from the lake, for good, and leaves a receipt.

    What is forgotten stays so: later pulls drop the rows of forgotten students and refuse a forgotten district. A
    request is *pending* until it is run once more after ``longest_task_hours``, because a task that was running may
    have written rows before it knew of the request. An operator with none of the three choices does that for all
    pending requests: let a daily DAG have one.

    Returned, and under the XCom key ``summary``: for each district what was asked, whether it is pending or final and
    complete or incomplete, counts, what could not be reached, and where the receipt is. No id of a student.

    :param destination: where attendance lands, such as ``s3://aws_default@bucket/prefix``.
    :param students_path: a file with one student id a line; a path on the worker, or a URL that Airflow can open, such
        as ``s3://aws_default@bucket/requests/17.txt``. Never the ids themselves: Airflow would keep and show them.
    :param older_than_years: forget days that are older; at least 1.
    :param whole_district: True: forget the district that ``district_id`` names. Default False.
    :param district_id: where. Default: every district that has landed, except with ``whole_district``.
    :param clever_conn_id: the connection whose extra ``forget_secret`` makes the hashes of students; not read if the
        environment has ``CLEVER_FORGET_SECRET``. Default ``clever_default``.
    :param longest_task_hours: how long a task that is running now may still take. Default 24; 0: none is running.
    :param single_writer: promise that no other task writes to this destination at the same time, which allows stores
        that cannot compare and swap. Default False.
    """

    template_fields: Sequence[str] = ("destination", "students_path", "district_id", "clever_conn_id")
    operator_extra_links = LANDING_LINKS
    lineage_inputs = ()
    lineage_outputs = ("landed",)
    ui_color = "#f5d5d5"
    argument_rules: ClassVar[dict[str, arguments.Rule]] = arguments.WHOSE | {
        "students_path": arguments.optional(arguments.text),
        "older_than_years": arguments.optional(arguments.whole_number(1, 100)),
        "whole_district": arguments.flag,
        "longest_task_hours": arguments.number(0, 24 * 31),
        "single_writer": arguments.flag,
    }

    def __init__(
        self,
        *,
        destination: str,
        students_path: str | None = None,
        older_than_years: int | None = None,
        whole_district: bool = False,
        longest_task_hours: float = 24.0,
        single_writer: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.students_path = students_path
        self.older_than_years = older_than_years
        self.whole_district = whole_district
        self.longest_task_hours = longest_task_hours
        self.single_writer = single_writer

    def _run(self, context: Context) -> list[dict[str, Any]]:
        from airflow_provider_clever.forget.requests import Forgetting
        from airflow_provider_clever.forget.student_lists import student_ids_in
        from airflow_provider_clever.lake.verify import districts_at

        self._check_choice()
        place = self._open_destination()
        districts = [self.district_id] if self.district_id else districts_at(place.objects)
        student_ids = student_ids_in(self._list_of_students()) if self.students_path else []
        is_about_students = not (self.whole_district or self.older_than_years)
        secret = self._forget_secret(self.district_id) if is_about_students else None
        receipts = []
        for district_id in districts:
            self.log.info("Forgetting in district %s at %s", district_id, place.url)
            forgetting = Forgetting(
                place.objects,
                district_id,
                secret=secret,
                longest_task_hours=self.longest_task_hours,
                open_table=partial(open_registered, place),
                command=f"CleverAttendanceForgetOperator {self.dag_id}.{self.task_id} {context['ti'].run_id}",
            )
            receipts += self._forget(forgetting, student_ids)
        summary = [one.summary() for one in receipts]
        context["ti"].xcom_push("summary", summary)
        self.found_receipt = receipts[0].path if len(receipts) == 1 else None
        for one in receipts:
            self.log.info("District %s: %s; receipt %s", one.district_id, one.state, one.path)
        if left := [unreached for one in receipts for unreached in one.unreached]:
            raise CleverLandingError(
                f"Incomplete: {left[0].count} {left[0].what}. Next step: {left[0].next_step}. What could be reached is "
                "forgotten; the receipts name all that is left"
            )
        return summary

    def _check_choice(self) -> None:
        choices = (self.students_path is not None, self.older_than_years is not None, self.whole_district)
        if sum(choices) > 1:
            raise CleverSettingsError("students_path, older_than_years and whole_district: give one of them.")
        if self.students_path in ("None", "null"):
            raise CleverSettingsError("students_path names no file: a template may have come out empty.")
        if self.whole_district and not self.district_id:
            raise CleverSettingsError("whole_district=True needs district_id: nothing is guessed when so much goes.")

    def _forget(self, forgetting: "Forgetting", student_ids: Sequence[str]) -> "list[ForgetReceipt]":
        from airflow_provider_clever.forget.rules import first_kept_day

        if self.students_path:
            return [forgetting.students(student_ids)]
        if self.older_than_years:
            return [forgetting.days(first_kept_day(self.older_than_years, datetime.now(UTC)))]
        return [forgetting.district()] if self.whole_district else forgetting.go_on()

    def _list_of_students(self) -> bytes:
        path = str(self.students_path)
        try:
            if "://" not in path:
                return Path(path).read_bytes()
            from airflow.sdk import ObjectStoragePath

            return bytes(ObjectStoragePath(path).read_bytes())
        except Exception as error:  # noqa: BLE001 - each store's library raises its own kinds, and may quote the file
            raise CleverSettingsError(
                f"the list of students could not be read ({type(error).__name__}): check students_path"
            ) from None
