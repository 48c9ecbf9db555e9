"""What a cluster knows: the model, the image, and the store it lives in."""
