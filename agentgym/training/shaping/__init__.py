"""Shaping: from each turn's advantage to each token's, and weights that favour some tokens over others."""
