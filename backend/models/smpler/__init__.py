"""SMPLer (Xu et al., PAMI 2024): network, layers, adapter."""
