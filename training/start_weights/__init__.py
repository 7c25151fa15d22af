"""Published ImageNet weights, turned into states of ChestNetwork.features."""
