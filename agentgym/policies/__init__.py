"""Who produces tokens: transformers models in this process, and what they need."""
