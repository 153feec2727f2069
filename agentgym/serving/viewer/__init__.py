"""The viewer: pages over the runs of a folder, for the browser of this machine. Nothing here writes."""
