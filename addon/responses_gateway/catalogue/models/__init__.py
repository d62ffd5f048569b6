"""The abilities of models: YAML tables, read into ModelCards."""
