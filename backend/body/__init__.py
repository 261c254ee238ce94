"""Body models: files, skinning, mesh levels, fits."""
