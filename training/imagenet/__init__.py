"""Published ImageNet weights, turned into states of ChestNetwork.features. Pure: bytes and tensors in, tensors out."""
