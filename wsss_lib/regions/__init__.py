"""What belongs together: superpixels, and one feature vector per superpixel (paper 3.1, 3.2)."""
