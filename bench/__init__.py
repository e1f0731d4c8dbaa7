"""What the journal costs, measured. `journal` is the command; README.md tells how to repeat it."""
