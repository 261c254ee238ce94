"""Body models: format, skinning, hierarchy, fits."""
