"""What a user can choose: options, the configuration of a conversion, its YAML files."""
