"""Models of how long a contract lasts."""
