"""FastMETRO (Cho et al., ECCV 2022): network, layers, adapter."""
