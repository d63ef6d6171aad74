"""Numbers in, a table or a figure out; the only floor that draws."""
