"""One static page per molt, and the same figures as one JSON object."""
