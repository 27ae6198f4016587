"""Tests of the sandbox itself: it must be right, because everything else is measured against it."""
