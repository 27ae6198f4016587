"""What was run where, written down by the commands themselves, and the page that is made of it."""
