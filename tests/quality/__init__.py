"""How speech sounds at the end of the line."""
