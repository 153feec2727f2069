"""Task templates by application: each draws its parameters from a phone's content and says what should change."""
