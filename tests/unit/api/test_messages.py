"""What an answer says about when it was made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_clever.api.messages import Response

DATE = "Thu, 26 Nov 2026 10:00:00 GMT"
AT_TEN = datetime(2026, 11, 26, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "sent_at", "instant"),
    [
        (DATE, AT_TEN.timestamp() + 5, AT_TEN),
        (DATE, AT_TEN.timestamp() - 5, datetime(2026, 11, 26, 9, 59, 55, tzinfo=UTC)),
        (DATE, None, AT_TEN),
        ("no date", AT_TEN.timestamp(), AT_TEN),
        ("", None, None),
        ("Thu, 26 Nov 99999999 10:00:00 GMT", None, None),
    ],
)
def test_an_answer_is_dated_by_whichever_clock_is_behind(
    date: str, sent_at: float | None, instant: datetime | None
) -> None:
    assert Response(200, {"date": date} if date else {}, b"", sent_at).instant == instant
