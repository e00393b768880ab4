"""Models of what a transaction is worth."""
