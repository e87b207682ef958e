"""Writes tests/fixtures/iq-blocks.json: random blocks of the IQ types and what `gguf` for Python makes of them.

    pip install gguf numpy
    python tests/interop/iq_blocks.py
"""

import json
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

SCALE = np.float16(0.003)
BITS = int(SCALE.view(np.uint16))

out = {}
rng = np.random.default_rng(7)
for name in ("IQ4_NL", "IQ4_XS", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"):
    ty = T[name]
    weights, size = GGML_QUANT_SIZES[ty]
    blocks = 16 if weights == 32 else 4
    data = rng.integers(0, 256, (blocks, size), dtype=np.uint8)
    if name == "IQ1_M":  # four bits of the scale in each word of scales
        for i in range(4):
            data[:, 49 + 2 * i] = data[:, 49 + 2 * i] & 15 | (BITS >> 4 * i & 15) << 4
    else:
        data[:, :2] = np.frombuffer(np.full(blocks, SCALE).tobytes(), np.uint8).reshape(blocks, 2)
    values = dequantize(data.reshape(2, -1), ty).flatten()
    out[name] = {"bytes": data.flatten().tolist(), "values": [float(v) for v in values]}
path = pathlib.Path(__file__).parents[1] / "fixtures" / "iq-blocks.json"
path.write_text(json.dumps(out) + "\n")
