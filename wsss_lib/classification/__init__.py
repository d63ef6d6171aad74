"""What is in a simple picture: backbones, the linear head, its training (paper 3.1)."""
