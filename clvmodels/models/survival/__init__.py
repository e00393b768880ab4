"""Models of how long customers stay."""
