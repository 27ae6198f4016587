"""What a page frees is there for the next one."""

import subprocess
import sys

PAGES = 50
PROGRAM = """
import resource, sys
from airflow_provider_clever.memory import keep_freed_memory

used = resource.getrusage(resource.RUSAGE_SELF)
if sys.argv[1] == "kept":
    keep_freed_memory()
peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used.ru_maxrss
for page in range(int(sys.argv[2])):
    blocks = [bytes([page]) * 400_000 for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - used.ru_minflt, peak_kilobytes)
"""


def faults_and_kilobytes(how: str) -> tuple[int, int]:
    """How often a program that works on pages had to take memory from the system; and what keeping took at once."""
    command = [sys.executable, "-c", PROGRAM, how, str(PAGES)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    faults, kilobytes = map(int, told.split())
    return faults, kilobytes


def test_pages_take_their_memory_once_and_not_each_anew() -> None:
    assert faults_and_kilobytes("kept")[0] < faults_and_kilobytes("as it is")[0] / 10


def test_keeping_what_is_freed_takes_no_memory_itself() -> None:
    assert faults_and_kilobytes("kept")[1] < 1024
