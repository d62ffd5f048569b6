"""How upstreams differ: one YAML file each, read into a Profile."""
