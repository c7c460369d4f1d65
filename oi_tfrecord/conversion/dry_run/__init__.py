"""What a conversion would cost: counts, sizes and times, measured without writing a record."""
