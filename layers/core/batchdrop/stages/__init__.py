"""The six stages, one package for each function. No stage imports another: what two of them need lies on a floor below."""
