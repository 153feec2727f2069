"""What a phone shows: nodes with bounds, widgets that become nodes, and the ways to tell of them."""
