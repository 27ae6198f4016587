"""What must never be said, looked for in everything that is said."""
