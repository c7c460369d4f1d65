"""Image bytes: whether they are whole, plain JPEG, and how they become so; mask PNGs."""
