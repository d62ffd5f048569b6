"""Measures what the gateway costs, side by side with what people would use instead: `scripts/bench --help`."""
