"""Airflow's own UI in a real browser. It runs when asked for, since it needs Chromium: ``make browser``."""

import os

# A plain ``make test`` leaves them out; CLEVER_BROWSER=1 asks for them.
collect_ignore_glob = [] if os.environ.get("CLEVER_BROWSER") else ["test_*.py"]
