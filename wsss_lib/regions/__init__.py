"""What belongs together: superpixels, one feature vector per superpixel (paper 3.1, 3.2), and what moves together."""
