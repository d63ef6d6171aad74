"""The heart of the paper: seeds, region network, centre loss, relabelling, rounds (paper 3.2, equations 1 to 4)."""
