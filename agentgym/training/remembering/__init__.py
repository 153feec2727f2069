"""Memory as training state: what is shown by lottery while a policy learns, saved and restored with the weights."""
