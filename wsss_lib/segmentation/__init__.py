"""Pixels from regions: a segmentation network trained on the clustered labels (paper 3.3)."""
