"""Does PEFT load an adapter that freehold trained, and give the same answers?

    venv/bin/python tests/interop/peft_loads.py MODEL.gguf ADAPTER path/to/freehold

Runs `freehold complete` with the adapter and continues the same prompts with transformers + PEFT on the same file,
dequantised; compares the greedy tokens and the sum of their log-probabilities. Exit code 1 on a difference.
"""

import json
import os
import subprocess
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = ["The Universal Declaration of Human Rights was adopted in", "1989年6月4日，", "def add(a, b):"]
NEW = 16


def main(path, adapter, freehold):
    folder, name = os.path.split(os.path.abspath(path))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    base = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter).eval()
    worst, failed = 0.0, 0
    for prompt in PROMPTS:
        command = [freehold, "complete", path, "--adapter", adapter, "--prompt", prompt, "--max-tokens", str(NEW), "--json"]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        full = torch.tensor([ids + ours["tokens"]])
        with torch.no_grad():
            logprobs = torch.log_softmax(model(full).logits[0].double(), -1)
        total = 0.0
        for i, token in enumerate(ours["tokens"]):
            row = logprobs[len(ids) - 1 + i]
            total += float(row[token])
            if float(row.max() - row[token]) > 1e-2:
                print(f"{prompt!r}: token {i} is {token}, PEFT would say {int(row.argmax())}")
                failed += 1
        if ours["finish"] == "stop":
            row = logprobs[-1]
            total += float(row.max())
        worst = max(worst, abs(total - ours["logprob"]))
        print(f"{prompt!r}: log-probability {ours['logprob']:.4f}, PEFT {total:.4f}")
    print(f"largest difference {worst:.5f} nats over {NEW} tokens")
    sys.exit(1 if failed or worst > 0.05 else 0)


if __name__ == "__main__":
    main(*sys.argv[1:4])
