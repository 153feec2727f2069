"""Libraries of memory items that grow: what proposes items, what admits them, what they bring."""
