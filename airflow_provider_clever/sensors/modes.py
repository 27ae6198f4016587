"""Makes a sensor's options mean the same in poke, reschedule and deferrable mode (decision 0013)."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue

from airflow_provider_clever.compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)


class ModeIndependentSensor(BaseSensorOperator):
    """A sensor whose wait ends alike in all modes; its ``poke`` gives a ``PokeReturnValue``.

    Airflow's own base class lets ``soft_fail``, ``never_fail`` and ``execution_timeout`` mean different things in each.
    """

    def poke(self, context: Context) -> PokeReturnValue:
        """Say whether the wait is over."""
        raise NotImplementedError

    def _poke_quietly(self, context: Context) -> PokeReturnValue:
        """Poke; with ``silent_fail`` an unforeseen error is logged, and counts as "not yet"."""
        try:
            return self.poke(context)
        except (AirflowFailException, AirflowSkipException):
            raise
        except Exception:
            if not self.silent_fail:
                raise
            self.log.exception("The look at the district failed; silent_fail says to look again.")
            return PokeReturnValue(is_done=False)

    @contextmanager
    def _ending_alike(self) -> Iterator[None]:
        """End a wait as the options say."""
        try:
            yield
        except (AirflowRescheduleException, AirflowSkipException):
            raise
        except (AirflowSensorTimeout, AirflowTaskTimeout, AirflowFailException) as end:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped by soft_fail or never_fail: {end}") from end
            if isinstance(end, AirflowSensorTimeout) and self._is_bounded_by_execution_timeout():
                raise AirflowTaskTimeout(str(end)) from None
            raise
        except Exception as trouble:
            if self.never_fail:
                raise AirflowSkipException(f"Skipped by never_fail: {trouble}") from trouble
            raise

    def _is_bounded_by_execution_timeout(self) -> bool:
        limit = self.execution_timeout
        return limit is not None and limit.total_seconds() <= self.timeout

    def _limit_seconds(self) -> float:
        """Give how long the whole wait may take: ``timeout``, or ``execution_timeout`` if that is shorter."""
        if self.execution_timeout is not None and self._is_bounded_by_execution_timeout():
            return self.execution_timeout.total_seconds()
        return self.timeout

    def _timed_out(self) -> AirflowSensorTimeout:
        return AirflowSensorTimeout(f"The district has not synced attendance anew within {self._limit_seconds():g} s.")
