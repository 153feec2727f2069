"""The scripted evolver: distils skills and tools from episodes, without a model."""
