"""An agent without a model: it tries things out, and follows the procedures of the skills that it is shown."""
