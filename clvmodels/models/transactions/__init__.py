"""Models of when customers buy, where nobody says that they leave."""
