"""What a rerun of the same conversion writes again, and what it takes over."""
