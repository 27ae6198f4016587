"""A question that another thread asks."""

import threading

import pytest

from airflow_provider_clever.exceptions import CleverDataError, CleverStoppedError
from airflow_provider_clever.pull.late_answers import LateAnswer


def test_the_answer_is_there_once_it_was_asked_for() -> None:
    late = LateAnswer(lambda: 7, threading.Event())
    late.ask()
    assert late.wait() == 7


@pytest.mark.parametrize("error", [CleverDataError("no"), TimeoutError("no"), KeyboardInterrupt("no")], ids=repr)
def test_an_error_comes_out_where_the_answer_is_waited_for(error: BaseException) -> None:
    def question() -> None:
        raise error

    late = LateAnswer(question, threading.Event())
    late.ask()
    with pytest.raises(type(error)) as caught:
        late.wait()
    assert caught.value is error


def test_a_stop_ends_the_waiting_but_not_an_answer_that_is_there() -> None:
    stop, go_on = threading.Event(), threading.Event()
    late = LateAnswer(go_on.wait, stop)
    late.ask()
    stop.set()
    with pytest.raises(CleverStoppedError):
        late.wait()
    assert not go_on.is_set(), "the answer has not come"
    go_on.set()
    late = LateAnswer(lambda: True, stop)
    late.ask()
    assert late.wait()
