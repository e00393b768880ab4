"""Pictures of numbers that others have computed: arrays and tables in, matplotlib Axes out."""
