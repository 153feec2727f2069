"""The gate: what a memory item has to pass before it is used."""
