"""Makes tests/fixtures/peft-steps: 20 training steps of PEFT on SmolLM2-135M, for comparison with ours.

    venv/bin/pip install torch transformers peft gguf
    venv/bin/python tests/interop/peft_steps.py SMOLLM2.gguf tests/fixtures/peft-steps

Writes the initial adapter (PEFT layout) and steps.json: the examples as token ids, the loss of every step, and after the last
one the log-probabilities of some tokens. Loss: mean cross-entropy over the reply's tokens of a batch. AdamW, constant rate.
"""

import json
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

PAIRS = [
    ("What colour is the sky on a clear day?", "On a clear day the sky is blue."),
    ("Name a large ocean.", "The Pacific is the largest ocean on Earth."),
    ("What do bees make?", "Bees make honey and wax."),
    ("Who wrote Hamlet?", "William Shakespeare wrote Hamlet around the year 1600."),
]
STEPS, RATE, BATCH = 20, 1e-3, 2


def main(path, out):
    torch.manual_seed(7)
    folder, name = os.path.split(os.path.abspath(path))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    base = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    config = LoraConfig(
        r=2,
        lora_alpha=8,
        target_modules=["q_proj", "v_proj", "down_proj"],
        layers_to_transform=[28, 29],
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)
    model.save_pretrained(out)
    readme = os.path.join(out, "README.md")
    if os.path.exists(readme):
        os.remove(readme)

    examples = []
    for question, answer in PAIRS:
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False)
        prompt = tokenizer.encode(prompt, add_special_tokens=False)
        reply = tokenizer.encode(answer + "<|im_end|>", add_special_tokens=False)
        examples.append({"prompt": prompt, "reply": reply})

    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        batch = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
        tokens = sum(len(e["reply"]) for e in batch)
        total = 0.0
        for e in batch:
            ids = torch.tensor([e["prompt"] + e["reply"]])
            logits = model(ids).logits[0, len(e["prompt"]) - 1 : -1]
            total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(e["reply"]), reduction="sum") / tokens
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total.detach()))
    with torch.no_grad():
        logprobs = torch.log_softmax(model(torch.tensor([examples[0]["prompt"]])).logits[0, -1].double(), -1)
    after = [[i, round(float(logprobs[i]), 5)] for i in range(0, logprobs.numel(), 997)]
    result = {"made_by": "tests/interop/peft_steps.py", "rate": RATE, "batch": BATCH, "examples": examples, "losses": losses, "after": after}
    with open(os.path.join(out, "steps.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
