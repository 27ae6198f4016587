"""What a real task process of Airflow's sends to StatsD and to OpenTelemetry, over real sockets."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airflow_provider_clever.ledger.metrics import METRICS
from airflow_provider_clever.sandbox.testing import Sandbox
from tests.canary.canaries import Canaries
from tests.support.airflow import AirflowStack
from tests.support.features import FLUSHES_METRICS

DAG = """
from airflow.sdk import DAG
from airflow_provider_clever.operators.clever import *

which = {{"destination": {lake!r}, "district_id": {district_id!r}}}
with DAG("measured", schedule=None):
    plan = CleverAttendancePlanOperator(task_id="plan", **which)
    pull = CleverAttendanceOperator.partial(task_id="pull", announce=False, **which).expand_kwargs(plan.output)
    pull >> CleverAttendanceCoverageOperator(task_id="record", **which)
"""


@contextmanager
def statsd_server() -> Iterator[tuple[int, list[str]]]:
    """What arrives at a UDP socket, line by line."""
    lines: list[str] = []
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                try:
                    lines.extend(server.recv(65536).decode().splitlines())
                except TimeoutError:
                    continue

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        yield server.getsockname()[1], lines
        over.set()
        reader.join(5)


@contextmanager
def otlp_server() -> Iterator[tuple[int, list[bytes]]]:
    """The bodies that are posted to an OpenTelemetry collector."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, bodies
    server.shutdown()


def points_of(bodies: list[bytes]) -> dict[str, list[tuple[float, dict[str, str]]]]:
    """The values of each metric, with their tags."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    found: dict[str, list[tuple[float, dict[str, str]]]] = {}
    for body in bodies:
        message = ExportMetricsServiceRequest()
        message.ParseFromString(body)
        for metric in (one for of in message.resource_metrics for scope in of.scope_metrics for one in scope.metrics):
            data = getattr(metric, metric.WhichOneof("data") or "gauge")
            for point in data.data_points:
                tags = {one.key: one.value.string_value for one in point.attributes}
                value = point.sum if hasattr(point, "sum") else point.as_double or point.as_int
                found.setdefault(metric.name, []).append((value, tags))
    return found


def ours_of(bodies: list[bytes]) -> dict[str, list[tuple[float, dict[str, str]]]]:
    """The same of the provider's metrics alone."""
    return {name: found for name, found in points_of(bodies).items() if name.startswith("airflow.clever.")}


OTEL = {
    "AIRFLOW__METRICS__OTEL_ON": "True",
    "AIRFLOW__METRICS__OTEL_HOST": "127.0.0.1",
    "AIRFLOW__METRICS__OTEL_SSL_ACTIVE": "False",
    "AIRFLOW__METRICS__OTEL_INTERVAL_MILLISECONDS": "1000",
}
BROKEN = {
    "AIRFLOW__METRICS__STATSD_ON": "True",
    "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
    "AIRFLOW__METRICS__STATSD_CUSTOM_CLIENT_PATH": "tests.support.broken_statsd.BrokenClient",
}


def test_statsd_and_opentelemetry_are_told_of_each_district_and_a_broken_backend_fails_nothing(
    sandbox: Sandbox, stack: AirflowStack, tmp_path: Path
) -> None:
    pytest.importorskip("statsd")
    sandbox.reset(today=datetime.now(UTC).date().isoformat(), districts=["small"])
    district_id, rows = sandbox.district("small").id, sandbox.expected_count("small")["total"]
    (stack.home.dags / "measured.py").write_text(DAG.format(lake=(tmp_path / "lake").as_uri(), district_id=district_id))
    stack.wait_for_dag("measured")
    with statsd_server() as (port, lines), otlp_server() as (otlp_port, bodies):
        plain = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(port),
        }
        for env in (plain, OTEL | {"AIRFLOW__METRICS__OTEL_PORT": str(otlp_port)}, BROKEN):
            sandbox.sync("small")  # or nothing would be due
            stack.kill("scheduler")
            stack.start("scheduler", env)
            assert stack.wait_for_run("measured", stack.trigger("measured")) == "success"
            if "AIRFLOW__METRICS__OTEL_ON" in env and FLUSHES_METRICS:
                # A task's process sends them as it ends, which is after its success has been written down.
                stack.wait_until(lambda: len(ours_of(bodies)) == len(METRICS), "the metrics of all tasks", seconds=60)
        stack.kill("scheduler")
        stack.start("scheduler")  # for the other tests

    sent = dict(re.findall(r"airflow\.(clever\.[^:]+):([^|]+)\|", "\n".join(lines)))
    assert {*sent} == {f"{metric.name}.{district_id}" for metric in METRICS}
    assert float(sent[f"clever.rows.{district_id}"]) == rows
    assert float(sent[f"clever.requests.{district_id}"]) > 0
    assert (sent[f"clever.gaps.{district_id}"], sent[f"clever.refused.{district_id}"]) == ("0", "0")

    if FLUSHES_METRICS:
        points = ours_of(bodies)
        assert {*points} == {f"airflow.{metric.name}" for metric in METRICS}
        assert all(tags == {"district_id": district_id} for found in points.values() for _, tags in found)
        assert points["airflow.clever.gaps"][-1][0] == 0

    assert Canaries(sandbox, "small").found_in("\n".join(lines)) == []
    logged = "".join(file.read_text() for file in (stack.home.logs / "dag_id=measured").rglob("*.log"))
    assert logged.count("Metrics were not sent (RuntimeError)") == 2
