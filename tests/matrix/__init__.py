"""What each cell of ``make matrix`` shows first: what can be imported, and which rows land."""
