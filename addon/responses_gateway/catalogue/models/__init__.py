"""What models can do: YAML tables, read into ModelCards."""
