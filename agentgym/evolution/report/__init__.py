"""One page about an evolution: growth, success, convergence, what each item is worth."""
