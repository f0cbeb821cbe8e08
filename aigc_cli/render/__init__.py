"""Events to a screen, to plain text, or to JSON."""
