"""Writes tests/fixtures/iq4-blocks.json: random IQ4_NL and IQ4_XS blocks and what `gguf` for Python makes of them.

    pip install gguf numpy
    python tests/interop/iq4_blocks.py
"""

import json
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

out = {}
rng = np.random.default_rng(7)
for name, ty, size, blocks in (("IQ4_NL", T.IQ4_NL, 18, 16), ("IQ4_XS", T.IQ4_XS, 136, 4)):
    data = rng.integers(0, 256, (blocks, size), dtype=np.uint8)
    data[:, :2] = np.frombuffer(np.full(blocks, 0.003, np.float16).tobytes(), np.uint8).reshape(blocks, 2)
    values = dequantize(data.reshape(2, -1), ty).flatten()
    out[name] = {"bytes": data.flatten().tolist(), "values": [float(v) for v in values]}
path = pathlib.Path(__file__).parents[1] / "fixtures" / "iq4-blocks.json"
path.write_text(json.dumps(out) + "\n")
