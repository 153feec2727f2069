"""Playing episodes: one (`episode`), many at once (`collect`)."""
