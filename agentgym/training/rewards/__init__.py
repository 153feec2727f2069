"""Rewards: what is added to or taken from them before advantages are computed."""
