"""DeFormer (Yoshiyasu, CVPR 2023): network, layers, adapter."""
