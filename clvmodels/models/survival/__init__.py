"""Models of how long contracts last."""
