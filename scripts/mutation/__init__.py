"""Changes one token of the package at a time, and runs the tests that could notice: `scripts/mutate --help`."""
