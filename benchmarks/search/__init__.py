"""Ways of searching, replayed on the table of learning curves: without Ray, in virtual time."""
