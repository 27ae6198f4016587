"""A destination is an input like any other: what does not name one place is refused, at once and for good."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_clever.cli.main import main
from airflow_provider_clever.dags import attendance_dags
from airflow_provider_clever.exceptions import CleverSettingsError
from airflow_provider_clever.hooks.destinations import open_destination
from airflow_provider_clever.lake.store import Destination
from airflow_provider_clever.sandbox.testing import Sandbox
from airflow_provider_clever.storage.destination_url import KINDS, destination_url
from tests.lake.builders import DISTRICT, SCHOOL, context, day, row
from tests.lake.emulators import Store
from tests.support.airflow import AirflowHome, DagOutcome

SECRET = "made-up-secret"
REFUSED = {
    "": "empty",
    "   ": "empty",
    "None": "came out empty",
    "null": "came out empty",
    "lake": "without a scheme",
    "data/lake": "without a scheme",
    "./lake": "without a scheme",
    "../lake": "without a scheme",
    "~/lake": "write the folder in full",
    "/data/lake": "is written file:///data/lake",
    "//data/lake": "no scheme",
    "C:\\lake": "backslash",
    "file:lake": "not followed by ://",
    "file:/data/lake": "not followed by ://",
    "file://": "names no folder",
    "file:///": "names no folder",
    "file:////": "doubled slash",
    "file:////data/lake": "doubled slash",
    "file://data/lake": "host or a connection",
    "file://localhost/data/lake": "host or a connection",
    "file://typo@/data/lake": "host or a connection",
    "file:///data//lake": "doubled slash",
    "file:///data/lake//": "doubled slash",
    "file:///data/../lake": "in full",
    "file:///data/./lake": "in full",
    "file:///data/lake/..": "in full",
    "file:///data/None/lake": "called None",
    "file:///data/none/lake": "called none",
    "file:///data/NaN": "called NaN",
    "file:///data/cafe\u0301": "a letter and its accent apart",
    "file:///data/lake ": "blank",
    " file:///data/lake": "blank",
    "file:///data/ lake": "blank",
    "file:///data/lake\n": "invisible",
    "file:///data/la\x00ke": "invisible",
    "file:///data/la\u200bke": "invisible",
    "file:///data/la\u00a0ke": "unusual blank",
    "file:///data/my%20lake": "nothing is decoded",
    "file:///data/lake?versionId=1": "query",
    "file:///data/lake#x": "fragment",
    "file:///data/*/lake": "wildcard",
    "file:///data/[ab]/lake": "wildcard",
    "file:///data/${LAKE}": "not filled in",
    "file:///data/$LAKE": "not filled in",
    "file:///data/{lake}": "not filled in",
    "file:///data/<lake>": "not filled in",
    "file:///data/lake\\x": "backslash",
    f"file:///data/attendance/district={DISTRICT}/date=2026-04-01": "another destination's|destination itself holds",
    f"file:///data/_clever/district={DISTRICT}": "destination itself holds",
    "file:///" + "a" * 256: "longer than 255 bytes",
    "file:///" + "a/" * 400: "longer than 700 bytes",
    "s3://": "names no bucket",
    "s3:///lake": "names no bucket",
    "s3://aws_default@/lake": "names no bucket",
    "s3://@bucket/lake": "no connection's id",
    "s3://two@three@bucket/lake": "no connection's id",
    "s3://None/lake": "called None",
    "s3://bucket/NULL/lake": "called NULL",
    "s3://undefined/lake": "called undefined",
    "s3://None@bucket/lake": "called None",
    "s3://bucket//lake": "doubled slash",
    "s3://bucket//": "doubled slash",
    "s3://bucket/lake/../x": "in full",
    "s3://-bucket/lake": "no bucket or container",
    "s3://my bucket/lake": "no bucket or container",
    f"s3://key:{SECRET}@bucket/lake": "colon",
    f"s3://key:se/{SECRET}@bucket/lake": "colon",
    f"s3://bucket/lake?signature={SECRET}": "query",
    "s3://localhost:9000/bucket/lake": "colon",
    "abfs://container@account.dfs.core.windows.net/lake": "names an account",
    "https://account.blob.core.windows.net/container/lake": "web address",
    "memory://lake": "forgotten",
    "local:///data/lake": "file:///data/clever",
    "az://container/lake": "abfs://",
    "dbfs:/data/lake": "not followed by ://",
    "hdfs://host/lake": "no kind of store",
    "s4://bucket/lake": "no kind of store",
}
REFUSED_KINDS = (
    "",
    "None",
    "lake",
    "{{ '{{ not rendered }}' }}",
    "file:///data//lake",
    "memory://lake",
    "s4://bucket/x",
)
MISSPELT = "s3://tpyo@lake/clever"


# --- the rule itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "words"), REFUSED.items(), ids=repr)
def test_a_text_that_does_not_name_one_place_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(CleverSettingsError, match=words) as told:
        open_destination(text)
    assert told.value.permanent
    assert SECRET not in str(told.value)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("value", [None, True, 0, 3.5, b"s3://bucket/lake", ["s3://bucket/lake"], Path("/data/lake")])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(CleverSettingsError, match=r"destination is .*not text"):
        open_destination(value)


@pytest.mark.parametrize(
    ("text", "conn_id", "root"),
    [
        ("file:///data/lake", None, "/data/lake"),
        ("file:///data/lake/", None, "/data/lake"),
        ("file:///data/O'Brien's lake/é=1,2", None, "/data/O'Brien's lake/é=1,2"),
        ("s3://bucket", None, "bucket"),
        ("s3://bucket/", None, "bucket"),
        ("s3://aws_default@bucket/a/b/", "aws_default", "bucket/a/b"),
        ("S3A://team-a.lake@my.bucket-1/x", "team-a.lake", "my.bucket-1/x"),
        ("gs://google@bucket/x", "google", "bucket/x"),
        ("abfss://azure@container/x", "azure", "container/x"),
        (f"file:///data/district={DISTRICT}/attendance", None, f"/data/district={DISTRICT}/attendance"),
    ],
)
def test_what_names_one_place_is_read_as_written(text: str, conn_id: str | None, root: str) -> None:
    url = destination_url(text)
    assert (url.conn_id, url.root) == (conn_id, root)
    assert destination_url(str(url)) == url


def _texts() -> st.SearchStrategy[str]:
    """Destinations as they come out of templates, shells and slips: parts, each right or wrong, and any text at all."""
    scheme = st.sampled_from(
        ["", "file://", "file:///", "file:", "s3://", "S3://", "gs://", "abfs://", "memory://", "x:"]
    )
    authority = st.sampled_from(["", "bucket", "conn@bucket", "@bucket", "a:b@bucket", "None", "conn@", "b b", ".."])
    good = st.sampled_from(["lake", "clever", "a b", "é", "x=1", "district=1", "attendance", "..x", "a@b", "~"])
    empty = st.sampled_from(["", ".", "..", "None", " ", "{{ x }}", "$HOME"])
    odd = st.sampled_from(["a\n", "\\", "%2e%2e", "*", "\x00", "\ud800", "?", "#"])
    names = st.lists(good | empty | odd | st.text(max_size=5), max_size=4).map("/".join)
    built = st.builds(lambda *parts: "".join(parts), scheme, authority, st.sampled_from(["", "/", "//"]), names)
    usable = st.lists(good, min_size=1).map(lambda some: "/".join(("file://", *some)))
    return st.one_of(built, names, st.text(max_size=20), usable)


@settings(deadline=None)  # nothing here depends on how fast the machine is
@example("file:///a/../../../b")
@example("file:///..")
@given(text=_texts())
def test_any_text_at_all_is_refused_or_names_the_very_place_that_it_says(text: str) -> None:
    try:
        url = destination_url(text)
    except CleverSettingsError:  # any other error fails the test
        return
    assert url.scheme in KINDS
    scheme, _, rest = text.partition("://")
    named = rest.removeprefix(f"{url.conn_id}@")
    assert (url.scheme, url.root) == (scheme.lower(), named.removesuffix("/"))
    assert os.path.normpath(url.root) == url.root
    assert url.root.startswith("/") == (url.scheme == "file")


@settings(deadline=None)  # as above; it writes to the disk
@given(names=st.lists(st.text(max_size=6) | st.sampled_from(["..", ".", "a", "district=1", "~", "None"]), max_size=4))
def test_files_stand_below_the_place_that_was_named_or_nowhere(
    tmp_path_factory: pytest.TempPathFactory, names: Sequence[str]
) -> None:
    base = tmp_path_factory.mktemp("base")
    before = set(Path().iterdir())
    text = "/".join((f"file://{base}", *names))
    try:
        place = open_destination(text)
    except CleverSettingsError:
        assert not list(base.iterdir())
        return
    place.objects.update(f"_clever/district={DISTRICT}/x", lambda _: b"x")
    place.objects.update(f"attendance/district={DISTRICT}/x", lambda _: b"x")
    files = [str(file) for file in base.rglob("*") if file.is_file()]
    assert len(files) >= 2
    named = text.removeprefix("file://").removesuffix("/")
    assert all(file.startswith((f"{named}/_clever/", f"{named}/attendance/")) for file in files)
    assert set(Path().iterdir()) == before


# --- what each of them does with it -----------------------------------------------------------------------------------

DAG = """
import os
import sys
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_clever.operators.clever import CleverAttendanceCoverageOperator, CleverAttendanceOperator
from airflow_provider_clever.operators.clever import CleverAttendancePlanOperator
from airflow_provider_clever.sensors.clever import CleverAttendanceSyncSensor

os.chdir({here!r})
os.environ |= {{"AWS_ACCESS_KEY_ID": "ambient", "AWS_SECRET_ACCESS_KEY": "ambient"}}
sys.modules |= {{"gcsfs": None, "adlfs": None}}  # neither can be imported
refused = {refused!r}

with DAG("destinations", schedule=None, default_args={{"retries": 3, "retry_delay": timedelta(seconds=1)}}):
    dates = {{"date_range_start": "2026-11-16", "date_range_end": "2026-11-17"}}
    which = {{"district_id": "{district_id}"}}
    CleverAttendanceOperator.partial(task_id="pull", **dates, **which).expand(destination=refused)
    CleverAttendancePlanOperator.partial(task_id="plan", **which).expand(destination=refused)
    CleverAttendanceCoverageOperator.partial(task_id="record", **which).expand(destination=refused)
    CleverAttendanceSyncSensor.partial(task_id="wait", **which).expand(destination=refused)
    CleverAttendanceOperator(
        task_id="land", destination="file://{lake}/district={district_id}/clever", **dates, **which
    )
    CleverAttendanceOperator(task_id="gs", destination="gs://lake/clever", **dates, **which)
    CleverAttendanceOperator(task_id="abfs", destination="abfs://lake/clever", **dates, **which)
"""


class Run:
    """What came of one run of all of them."""

    def __init__(self, outcome: DagOutcome, asked: int, here: Path, lake: Path, district_id: str) -> None:
        self.outcome, self.asked, self.here, self.lake, self.district_id = outcome, asked, here, lake, district_id


@pytest.fixture(scope="module")
def run(sandbox_server: Sandbox, migrated_home: AirflowHome, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of everything that takes a destination; what reaches Google's and Azure's stores is not installed."""
    sandbox_server.reset()
    folder = tmp_path_factory.mktemp("destinations")
    here, lake = folder / "here", folder / "lake"
    here.mkdir()
    home = migrated_home.copy(folder / "home")
    district_id = sandbox_server.district("small").id
    source = dedent(DAG).format(here=str(here), refused=[*REFUSED_KINDS, MISSPELT], district_id=district_id, lake=lake)
    outcome = home.run_dag(
        source,
        connections={"clever_default": sandbox_server.connection_json("small")},
        timeout_seconds=400,
    )
    return Run(outcome, sandbox_server.counters()["total"], here, lake, district_id)


@pytest.mark.parametrize("task_id", ["pull", "plan", "record", "wait"])
def test_a_destination_that_is_none_fails_the_task_on_its_first_try(run: Run, task_id: str) -> None:
    mapped = range(len(REFUSED_KINDS) + 1)
    assert {run.outcome.tasks[task_id, index] for index in mapped} == {"failed"}
    assert {run.outcome.tries[task_id, index] for index in mapped} == {1}
    assert "AirflowFailException: destination" in run.outcome.log


def test_nothing_lands_in_the_workers_current_directory(run: Run) -> None:
    assert list(run.here.iterdir()) == []


def test_a_misspelt_connection_is_not_replaced_by_what_the_machine_may_do(run: Run) -> None:
    assert "there is no Airflow connection tpyo" in run.outcome.log


@pytest.mark.parametrize(("task_id", "extra"), [("gs", "gcs"), ("abfs", "azure")])
def test_what_is_not_installed_is_named_with_its_pip_line_at_once(run: Run, task_id: str, extra: str) -> None:
    assert (run.outcome.tasks[task_id, -1], run.outcome.tries[task_id, -1]) == ("failed", 1)
    assert f"pip install 'airflow-provider-clever[{extra}]'" in run.outcome.log


def test_the_log_names_district_and_destination(run: Run) -> None:
    where = f"file://{run.lake}/district={run.district_id}/clever"
    assert f"Landing attendance of district {run.district_id} at {where}" in run.outcome.log


def test_a_destination_below_a_folder_of_the_districts_name_keeps_everything_to_itself(run: Run) -> None:
    assert run.outcome.tasks["land", -1] == "success"
    destination = run.lake / f"district={run.district_id}" / "clever"
    files = [file for file in run.lake.rglob("*") if file.is_file()]
    assert [file for file in files if destination not in file.parents] == []
    assert {file.relative_to(destination).parts[0] for file in files} == {"attendance", "_clever"}


def test_clever_is_asked_nothing_for_a_destination_that_is_none(run: Run) -> None:
    assert run.asked == run.outcome.xcom("land", "summary")["requests"]


@pytest.mark.parametrize("verb", ["plan", "status", "verify"])
def test_the_command_line_refuses_what_the_operators_refuse(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # It takes an absolute path, and reads from stores that need a single writer.
    others = [text for text in REFUSED if not text.startswith(("/", "s4:", "hdfs:"))]
    for text in [*others, MISSPELT]:
        assert main([verb, text]) == 2, text
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith("clever-attendance: destination ")
        assert SECRET not in told.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_takes_an_absolute_path_for_its_url(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = Destination(Store("file", "").filesystem(), str(tmp_path / "lake"), district_id=DISTRICT)
    lake.check()
    lake.land(day([row()]), context=context())
    told = []
    for text in (str(tmp_path / "lake"), f"file://{tmp_path}/lake", f"{tmp_path}/lake/"):
        main(["verify", text, "--json"])
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1] == told[2]
    assert told[0]["partitions"] == 1


@pytest.mark.parametrize("text", [text for text in REFUSED if "{" not in text])
def test_the_factory_refuses_it_where_the_dag_is_made(text: str) -> None:
    with pytest.raises(CleverSettingsError, match="district 1: destination"):
        attendance_dags([{"district_id": DISTRICT, "destination": text}])


@pytest.mark.parametrize("text", ["{{ var.value.lake }}/clever", "s3://{{ conn.x.host }}/{% if true %}a{% endif %}"])
def test_the_factory_lets_a_template_through_until_it_is_rendered(text: str) -> None:
    assert len(attendance_dags([{"district_id": DISTRICT, "destination": text}])) == 1


# --- connections and libraries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "fields", "words"),
    [
        ("s3", {"conn_type": "clever"}, "of type clever, which does not reach Amazon S3"),
        ("s3", {"conn_type": "google_cloud_platform"}, "does not reach Amazon S3"),
        ("gs", {"conn_type": "aws"}, "does not reach Google Cloud Storage"),
        ("abfs", {"conn_type": "aws"}, "does not reach Azure Blob Storage"),
    ],
)
def test_a_connection_to_something_else_is_refused(
    scheme: str, fields: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(fields))
    with pytest.raises(CleverSettingsError, match=words):
        open_destination(f"{scheme}://wrong@lake/clever")


def test_a_connection_that_fits_reaches_the_store(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"conn_type": "aws", "login": "made-up", "password": "made-up", "extra": {"endpoint_url": s3.url}}
    monkeypatch.setenv("AIRFLOW_CONN_MY_LAKE", json.dumps(fields))
    place = open_destination("s3://my_lake@lake/named")
    lake = Destination(place.objects.fs, place.objects.root, district_id=DISTRICT)
    lake.check()
    landed = lake.land(day([row()]), context=context())
    assert s3.filesystem().exists(f"lake/named/{landed.path}")


@pytest.mark.parametrize(
    ("store", "name"),
    [("s3", "_call_s3"), ("gcs", "_call"), ("gcs", "_location"), ("azure", "service_client"), ("azure", "split_path")],
)
def test_a_library_that_lost_what_we_call_is_named_before_anything_is_asked(
    store: str, name: str, request: pytest.FixtureRequest
) -> None:
    found: Store = request.getfixturevalue(store)
    fs = found.filesystem()

    class WithoutIt:
        """The file system of another release."""

        protocol = fs.protocol
        _strip_protocol = staticmethod(fs._strip_protocol)

        def __getattr__(self, asked: str) -> Any:
            if asked == name:
                raise AttributeError(asked)
            return getattr(fs, asked)

    WithoutIt.__module__ = type(fs).__module__
    library = type(fs).__module__.partition(".")[0]
    with pytest.raises(CleverSettingsError, match=rf"{library} .*it has no {name}.*single_writer"):
        Destination(WithoutIt(), found.below("lost").root, district_id=DISTRICT).check()


def test_a_store_that_ignores_one_of_the_two_conditions_is_refused(s3: Store) -> None:
    """The half of the promise that a store keeps must not speak for the other half."""
    for ignored in ("If-Match", "If-None-Match"):
        store = s3.below(f"ignores-{ignored}")
        lake = Destination(store.filesystem(), store.root, district_id=DISTRICT)
        lake.check()
        s3.ignore_header(ignored)
        try:
            with pytest.raises(CleverSettingsError, match="overwrites an object although it was told not to"):
                lake.check()
        finally:
            s3.ignore_header("")
        lake.check()


def test_opening_a_local_destination_loads_no_airflow() -> None:
    code = (
        "import sys; from airflow_provider_clever.hooks.destinations import open_destination as o;"
        "o('file:///data/lake'); sys.exit('airflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_names_of_one_school_lie_where_the_destination_says(tmp_path: Path) -> None:
    place = open_destination(f"file://{tmp_path}/district={DISTRICT}/lake")
    lake = Destination(place.objects.fs, place.objects.root, district_id=DISTRICT)
    lake.check()
    lake.land(day([row()]), context=context())
    assert [entry.name for entry in (tmp_path / f"district={DISTRICT}").iterdir()] == ["lake"]
    assert len(list((tmp_path / f"district={DISTRICT}" / "lake").rglob(f"school-{SCHOOL}.parquet"))) == 1
