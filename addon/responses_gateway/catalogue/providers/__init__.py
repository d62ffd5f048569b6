"""The differences between upstreams: one YAML file for each, read into a Profile."""
