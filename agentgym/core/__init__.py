"""The ground floor: data types and Protocols. Imports nothing else of agentgym, no torch, and does no I/O."""
