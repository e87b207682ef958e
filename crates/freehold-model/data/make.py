"""Writes iq-codebooks.bin: the vectors that GGML's IQ1, IQ2 and IQ3 block types choose from, a signed byte a number, in the order of NAMES.

    pip install gguf==0.19.0 numpy
    python crates/freehold-model/data/make.py
"""

import pathlib

import numpy as np
from gguf import quants

NAMES = ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"]

out = b""
for name in NAMES:
    kind = getattr(quants, name)
    kind.init_grid()
    grid = kind.grid.reshape(kind.grid_shape)
    assert (grid == grid.astype(np.int8)).all()
    out += grid.astype(np.int8).tobytes()
    print(name, kind.grid_shape)
(pathlib.Path(__file__).parent / "iq-codebooks.bin").write_bytes(out)
