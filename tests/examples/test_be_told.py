"""What the page on being told shows, with the notifiers that exist: Slack and e-mail, over real sockets."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
import yaml

from airflow_provider_clever.dags import attendance_dags
from airflow_provider_clever.dags.district_list import DistrictList
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.support.airflow import BASE_URL, AirflowHome

PAGE = Path(__file__).parents[2] / "docs/how-to/be-told.md"
(LIST,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)

DAGS = """
from pathlib import Path
from airflow_provider_clever.dags import attendance_dags
globals().update(attendance_dags(Path(__file__).with_suffix(".yaml")))
"""


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """A server that speaks as much SMTP as a notifier needs, and keeps the messages."""
    received: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(120)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rw", newline="\r\n") as lines:
                _speak(lines, received)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], received
    finally:
        listening.close()


def _speak(lines: Any, received: list[str]) -> None:
    def say(text: str) -> None:
        lines.write(f"{text}\n")
        lines.flush()

    say("220 ready")
    while line := lines.readline().rstrip("\r\n"):
        if line.upper() == "DATA":
            say("354 go on")
            message = []
            while (part := lines.readline().rstrip("\r\n")) != ".":
                message.append(part)
            received.append("\n".join(message))
        say("221 bye" if line.upper() == "QUIT" else "250 ok")


@contextmanager
def slack_server() -> Iterator[tuple[str, list[str]]]:
    """A server that takes messages as Slack does."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(unquote_plus(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            body = b'{"ok": true}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/", received
    finally:
        server.shutdown()
        server.server_close()


def test_the_list_of_the_page_makes_two_dags_for_each_district(tmp_path: Path) -> None:
    listed = tmp_path / "districts.yaml"
    listed.write_text(LIST)
    dags = attendance_dags(listed)
    one, two = (f"clever_attendance_65e00000000000000000000{number}" for number in (1, 2))
    assert list(dags) == [one, f"{one}_expected_by", two, f"{two}_expected_by"]
    kinds = [[type(notifier).__name__ for notifier in district.on_problem] for district in DistrictList(listed).all()]
    assert kinds == [["SlackNotifier", "SmtpNotifier"], ["SmtpNotifier"]]
    listed.write_text(LIST.replace("channel:", "chanel:"))
    with pytest.raises(CleverSettingsError, match=r"SlackNotifier does not take these arguments: .*'chanel'"):
        attendance_dags(listed)


def test_slack_and_e_mail_bring_a_message_about_a_district_of_which_nothing_has_landed(
    sandbox: Sandbox, airflow_home: AirflowHome, tmp_path: Path
) -> None:
    with mail_server() as (port, mails), slack_server() as (slack, posts):
        listed = yaml.safe_load(LIST)
        listed["defaults"] |= {"destination": (tmp_path / "lake").as_uri()}
        listed["defaults"]["notifiers"]["slack"]["kwargs"]["base_url"] = slack
        airflow_home.dags.mkdir(parents=True, exist_ok=True)
        (airflow_home.dags / "dag_of_the_test.yaml").write_text(yaml.safe_dump(listed))
        told_before = tmp_path / "lake/_clever/district=65e000000000000000000001/alerts.json"
        told_before.parent.mkdir(parents=True)
        told_before.write_text(
            '{"schema_version": 1, "district_id": "65e000000000000000000001", "watched_since": "2026-01-05"}'
        )
        extra = '{"disable_ssl": true, "disable_tls": true, "retry_limit": 1}'
        outcome = airflow_home.run_dag(
            DAGS,
            dag_id="clever_attendance_65e000000000000000000001_expected_by",
            connections={
                "smtp_default": f'{{"conn_type": "smtp", "host": "127.0.0.1", "port": {port}, "extra": {extra}}}',
                "slack_default": '{"conn_type": "slack", "password": "xoxb-token"}',
            },
        )
    assert outcome.state == "success", outcome.log[-3000:]
    assert outcome.xcom("tell") == 2
    (mail,), (post,) = map(message_from_string, mails), posts
    assert mail["Subject"] == "Sandbox Small Unified: not in by 09:30"
    (html,) = (part.get_payload(decode=True) for part in mail.walk() if part.get_content_type() == "text/html")
    for text in (post, html.decode()):
        assert "Nothing of this district has landed yet." in text
    assert f"{BASE_URL}clever-attendance/" in post
    assert "#attendance" in post
