"""Real Airflow runs say where they are in time, and their facts are found where we look for them."""

from datetime import UTC, date, datetime
from textwrap import dedent

import pytest

from tests.support.airflow import AirflowHome

# Each DAG's one task returns its window, and what the run has said about itself.
TASK = """
    from airflow.sdk import task

    @task
    def window(**context):
        from airflow_provider_clever.operators.run_facts import facts_from_context
        from airflow_provider_clever.windows import run_window

        facts = facts_from_context(context)
        found = run_window(facts, lookback_days=LOOKBACK_DAYS, district_id="d1")
        return {
            "window": [str(found.start), str(found.end), str(found.source)],
            "run_type": facts.run_type,
            "zone": str(facts.timezone),
            "zone_has_hash": bool(hash(facts.timezone)),
        }

    LOOKBACK_DAYS = 0
"""


def dag_file(schedule: str, options: str = "", task: str = TASK) -> str:
    return dedent(task) + dedent(
        f"""
        import pendulum
        from airflow.sdk import DAG, Asset

        from tests.support.features import found

        def timetable(name, module):
            return found(name, "airflow.sdk", f"airflow.timetables.{{module}}")

        AssetOrTimeSchedule = timetable("AssetOrTimeSchedule", "assets")
        CronDataIntervalTimetable = timetable("CronDataIntervalTimetable", "interval")
        CronTriggerTimetable = timetable("CronTriggerTimetable", "trigger")
        MultipleCronTriggerTimetable = timetable("MultipleCronTriggerTimetable", "trigger")

        with DAG("windows", schedule={schedule}, catchup=False, {options}):
            window()
        """
    )


DENVER_EVENING = 'CronTriggerTimetable("0 20 * * *", timezone="America/Denver")'
DENVER_START = 'start_date=pendulum.datetime(2026, 1, 1, tz="America/Denver")'


@pytest.mark.parametrize(
    ("schedule", "options", "logical_date", "conf", "window", "zone"),
    [
        # 20:00 in Denver on the 5th is the 6th in UTC.
        (
            '"0 20 * * *"',
            DENVER_START,
            "2026-01-06T03:00:00+00:00",
            None,
            ["2026-01-05", "2026-01-05", "data interval"],
            "America/Denver",
        ),
        # A run started by hand at 22:00 is about the last whole interval, which ended at Denver's midnight.
        (
            'CronDataIntervalTimetable("0 0 * * *", timezone="America/Denver")',
            "",
            "2026-01-07T05:00:00+00:00",
            None,
            ["2026-01-05", "2026-01-05", "data interval"],
            "America/Denver",
        ),
        # A run started by hand at 20:30 on the 5th: the instant itself, which is the 6th in UTC.
        (
            'MultipleCronTriggerTimetable("0 4 * * *", "0 20 * * *", timezone="America/Denver")',
            "",
            "2026-01-06T03:30:00+00:00",
            None,
            ["2026-01-05", "2026-01-05", "data interval"],
            "America/Denver",
        ),
        (
            f'AssetOrTimeSchedule(timetable={DENVER_EVENING}, assets=[Asset("synced")])',
            "",
            "2026-01-06T03:30:00+00:00",
            None,
            ["2026-01-05", "2026-01-05", "data interval"],
            "America/Denver",
        ),
        # 20:30 on the 5th at a fixed distance from UTC, which has no name.
        (
            '"0 20 * * *"',
            "start_date=pendulum.datetime(2026, 1, 1, tz=pendulum.FixedTimezone(-7 * 3600))",
            "2026-01-06T03:30:00+00:00",
            None,
            ["2026-01-05", "2026-01-05", "data interval"],
            "UTC-07:00",
        ),
        (
            "None",
            "",
            None,
            {"date_range_start": "2026-01-05", "date_range_end": "2026-01-09"},
            ["2026-01-05", "2026-01-09", "params"],
            "UTC",
        ),
    ],
    ids=[
        "plain cron in Denver",
        "data intervals in Denver",
        "crons in Denver",
        "assets or Denver's cron",
        "fixed zone",
        "no logical date, dates in the conf",
    ],
)
def test_the_facts_of_a_run_are_found(airflow_home: AirflowHome, schedule, options, logical_date, conf, window, zone):
    source = dag_file(schedule, options)
    outcome = airflow_home.run_dag(source, logical_date=logical_date, run_conf=conf)
    assert outcome.state == "success"
    assert outcome.xcom("window") == {"window": window, "run_type": "manual", "zone": zone, "zone_has_hash": True}


def test_a_run_without_a_logical_date_is_about_the_day_for_which_it_was_made(airflow_home: AirflowHome):
    before = datetime.now(UTC).date()
    outcome = airflow_home.run_dag(dag_file("None"), logical_date=None)
    assert outcome.state == "success", outcome.log[-3000:]
    first, last, source = outcome.xcom("window")["window"]
    assert first == last
    assert before <= date.fromisoformat(first) <= datetime.now(UTC).date()
    assert source.startswith("moment for which the run was made")
