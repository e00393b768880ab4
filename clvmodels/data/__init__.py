"""From any log of purchases to what the models need: audit, summary, split."""
