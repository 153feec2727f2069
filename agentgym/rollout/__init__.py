"""Playing episodes: one (`episode`), many at once (`collect`), and which (`plan`)."""
