"""Ways from a log-likelihood to parameters: maximum likelihood, MAP, and draws around the mode."""
