"""Where a class might be: class activation maps on patches or on the whole picture (paper 3.1)."""
