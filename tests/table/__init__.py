"""Tables that are made of what landed."""
