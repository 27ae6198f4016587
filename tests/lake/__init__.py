"""Destinations: local files and emulated object stores."""
