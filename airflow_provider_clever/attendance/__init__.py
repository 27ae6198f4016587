"""What a row of attendance is: its columns, and how rows of an older schema become today's. No I/O."""
