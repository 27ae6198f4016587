"""What processes are forked from has imported all that they need, whichever test starts the first of them."""

from tests.support.forked import IMPORTED, processes, tell_what_is_missing


def test_a_forked_process_imports_none_of_what_it_runs_anew() -> None:
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=tell_what_is_missing, args=(IMPORTED, there))
    process.start()
    there.close()
    assert here.poll(60)
    assert here.recv() == []
    process.join(10)
