"""What memory items are worth: randomised exposure, the lift that it shows, and what follows from it."""
