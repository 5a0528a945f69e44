"""The command line for people and operators. It imports the layer, never the other way round."""
