"""What a user can choose: the configuration, YAML files, Beam's flags."""
