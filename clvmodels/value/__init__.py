"""What customers are worth: compositions of models, and the simple formula."""
