"""The systems that the paper compares with: one file each, one skeleton, only the idea differs (paper 4.3, 4.5)."""
