"""Defines attendance rows: their columns, and the upgrade of rows of an older schema. No I/O."""
