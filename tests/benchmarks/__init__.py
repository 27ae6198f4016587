"""Measurements of this provider beside other tools; see docs/explanation/performance.md."""
