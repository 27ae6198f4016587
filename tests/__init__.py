"""Tests, sorted into folders by what they need."""
