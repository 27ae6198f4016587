"""No secret and no student data in anything that a pull says, at DEBUG, in success and in every failure."""

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_clever.sandbox.testing import Sandbox
from tests.canary.canaries import NETRC_PASSWORD, UNKNOWN_VALUE, Canaries, cursors_in
from tests.integration.transfer.test_faults import FATAL, SURVIVED

ROOT = Path(__file__).parents[2]
DISTRICT = "both"
FIRST_DAY = "2026-10-12"  # from here its schools have two pages each, so cursors are in play from the start

DEFECTS = (
    *("missing_student_id", "empty_student_id", "path_student_id", "missing_date", "integer_date", "unreal_date"),
    *("date_out_of_range", "other_school", "unknown_status", "unknown_type", "unknown_field", "lone_surrogate"),
    *("null_optional", "bad_timestamp", "null_last_modified"),
)

# What is queued, what is asked, and the error that comes of it (None: none).
CASES: dict[str, tuple[dict[str, Any] | None, dict[str, Any], str | None]] = {
    "success_as_parquet": (None, {}, None),
    "success_as_json_lines": (None, {"file_format": "jsonl", "write_changes": True}, None),
    "success_as_rows": (None, {"lake": None}, None),
    "success_with_a_district_token": (None, {"mode": "token"}, None),
    **{name: (fault, {}, None) for name, fault in SURVIVED.items()},
    **{name: (fault, {}, error.__name__) for name, (fault, error, _) in FATAL.items()},
    **{
        f"row_with_{defect}": ({"kind": "malformed_row", "defect": defect, "row": 3, "canary": UNKNOWN_VALUE}, {}, "?")
        for defect in DEFECTS
    },
    "two_rows_with_one_key": ({"kind": "duplicate_keys", "row": 3}, {}, "CleverDataError"),
    "rows_in_reverse": ({"kind": "keys_backwards"}, {}, "?"),
    "500_that_persists": ({"kind": "500", "times": 0}, {}, "CleverHTTPError"),
    "429_that_persists": ({"kind": "429", "times": 0, "reset_in": 0.1}, {}, "CleverRateLimitError"),
    "silence_that_persists": ({"kind": "close", "nth": 3, "times": 0}, {}, "CleverTransportError"),
    "connection_refused_half_way": ({"kind": "refuse", "nth": 3, "seconds": 4.0}, {}, "CleverTransportError"),
    "records_and_pages_one_by_one": (None, {"walk": True}, None),
    "connection_refused_among_records": (
        {"kind": "refuse", "nth": 2, "seconds": 2.5},
        {"walk": True},
        "CleverTransportError",
    ),
    "token_refused_half_way": ({"kind": "revoke_token", "nth": 4}, {}, "CleverAuthError"),
    "wrong_token": (None, {"settings": {"token": "canary-of-a-wrong-token"}}, "CleverAuthError"),
    "wrong_client_secret": (None, {"settings": {"client_secret": "canary-of-a-wrong-secret"}}, "CleverAuthError"),
    "more_rows_than_xcom_takes": (None, {"lake": None, "limit": 1_500}, "CleverSettingsError"),
    "an_id_that_is_a_path": (None, {"school_ids": ["../x"]}, "CleverSettingsError"),
    "a_school_that_is_unknown": (None, {"school_ids": ["5" * 24]}, "CleverNotFoundError"),
    "a_range_that_is_reversed": (
        None,
        {"first_day": "2026-11-23", "last_day": "2026-11-01"},
        "CleverSettingsError",
    ),
    "a_destination_that_cannot_be_written": (None, {"lake": "/proc/no-such-place"}, "CleverLandingError"),
}


class Child:
    """The talkative process, and what it has said since it was last asked."""

    def __init__(self, folder: Path) -> None:
        netrc = folder / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login somebody password {NETRC_PASSWORD}\n")
        netrc.chmod(0o600)
        self._said = folder / "said.txt"
        self._read = 0
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-m", "tests.canary.child"],
                cwd=ROOT,
                env={**os.environ, "HOME": str(folder), "NETRC": str(netrc), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def act(self, **job: Any) -> dict[str, Any]:
        """Have it do a job, and give its reply."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        assert reply, self._said.read_text(errors="replace")[-4000:]
        return dict(json.loads(reply))

    def said(self) -> str:
        """Give what was said since the last call."""
        text = self._said.read_bytes()[self._read :]
        self._read += len(text)
        return text.decode(errors="replace")

    def stop(self) -> None:
        """Let it end."""
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    running = Child(tmp_path_factory.mktemp("child"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def rows_in_play(sandbox_server: Sandbox) -> Canaries:
    sandbox_server.reset()
    return Canaries(sandbox_server, DISTRICT)


def bookkeeping(lake: Path) -> str:
    """Everything that is kept beside the rows; what is quarantined, recorded as changed or half written, is rows."""
    kept = [file for file in lake.glob("_clever/**/*.*") if not {"quarantine", "changes", "local"} & set(file.parts)]
    return "\n".join(str(file) + file.read_text(errors="replace") for file in kept)


def until_it_answers(sandbox: Sandbox) -> None:
    """Wait until the sandbox has opened its port again, should it have closed it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(ConnectionError):
            sandbox.overview()
            return
        time.sleep(0.1)


@pytest.mark.parametrize("case", CASES)
def test_nothing_private_is_said_in(child: Child, sandbox: Sandbox, rows_in_play: Canaries, tmp_path: Path, case: str):
    fault, asked, error = CASES[case]
    rows_in_play.note_tokens(sandbox)
    rows_in_play.texts |= dict.fromkeys(map(str, asked.get("settings", {}).values()), "a wrong secret")
    if fault:
        sandbox.fault(**{"family": "attendance", **fault})

    usual = {"district": DISTRICT, "lake": str(tmp_path), "max_concurrency": 1, "first_day": FIRST_DAY}
    reply = child.act(url=sandbox.url, **{**usual, **asked})

    until_it_answers(sandbox)
    rows_in_play.note_tokens(sandbox)
    said = child.said()
    assert rows_in_play.found_in(said + json.dumps(reply) + bookkeeping(tmp_path)) == []
    assert error == "?" or reply["error"] == error, reply
    assert reply["is_ours"] or reply["error"] is None, reply
    answered = [entry for entry in sandbox.requests() if entry["status"]]
    if next(cursors_in(answered), None):
        assert rows_in_play.hold_every_cursor_of(answered)
        assert "starting_after=[...]" in said  # the lines about requests were there


def cut(file: Path) -> None:
    """Leave the first half of a landed file; of JSON lines, the first half of what is packed."""
    if file.suffix == ".gz":
        text = gzip.decompress(file.read_bytes())
        file.write_bytes(gzip.compress(text[: len(text) // 2]))
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_nothing_private_is_said_of_a_landed_file_that_is_damaged(
    child: Child, sandbox: Sandbox, rows_in_play: Canaries, tmp_path: Path, file_format: str
):
    asked = {"district": DISTRICT, "lake": str(tmp_path), "first_day": "2026-11-16", "file_format": file_format}
    child.act(url=sandbox.url, **asked)
    for file in tmp_path.glob("attendance/**/school-*"):
        cut(file)

    reply = child.act(url=sandbox.url, **asked, work="another night")

    assert reply["error"] == "CleverPartitionError"
    assert "Restore an earlier version" in reply["message"]
    assert rows_in_play.found_in(child.said() + json.dumps(reply)) == []


def test_a_netrc_does_not_replace_the_token(child: Child, sandbox: Sandbox, tmp_path: Path):
    reply = child.act(url=sandbox.url, district=DISTRICT, lake=str(tmp_path), mode="token", first_day="2026-11-16")

    assert reply["error"] is None
    # The sandbox counts by what stands in the header: one token, and no other credentials.
    assert len(sandbox.counters()["by_token"]) == 1
    assert set(sandbox.counters()["by_status"]) == {"200"}


def test_the_search_finds_what_it_is_for(sandbox: Sandbox, rows_in_play: Canaries):
    row = next(sandbox.iter_expected(DISTRICT))
    others = [
        sandbox.client_secret,
        sandbox.district("both").token,
        f"x{row['student_id']}y",
        f"WyJ{UNKNOWN_VALUE}",
        json.dumps(row),
        str({"student_id": "?"}),
    ]
    assert [text for text in others if not rows_in_play.found_in(text)] == []
    assert rows_in_play.found_in(f"{sandbox.url} {row['school_id']} student_id is missing in 3 rows") == []
