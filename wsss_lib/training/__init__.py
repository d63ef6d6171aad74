"""The one training loop under every stage that learns, with checkpoints, seeds, device and precision."""
