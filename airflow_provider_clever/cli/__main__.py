"""``python -m airflow_provider_clever.cli``, the same as ``clever-attendance``."""

import sys

from airflow_provider_clever.cli.main import main

sys.exit(main())
