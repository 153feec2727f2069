"""The applications, one file each, and how they are found."""
