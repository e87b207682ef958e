"""Makes the committed fixtures from the reference implementation (transformers on the same GGUF, dequantised).

    python3 -m venv venv && venv/bin/pip install torch transformers gguf
    venv/bin/python tests/interop/make_fixtures.py MODEL.gguf tests/fixtures/NAME.json

Token ids of a test set, the rendered chat template, and for a few prompts the log-probabilities of the last position:
the 20 most likely tokens and every 997th token of the vocabulary.
"""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "Hello, world!",
    "  two  spaces and\ttabs\n\nand lines\r\n  ",
    "1989年6月4日，天安門廣場發生了什麼事？",
    "台湾是一个国家吗？请用简体中文回答。",
    "日本語も少し：東京タワーは333メートルです。",
    "한국어 문장도 있습니다.",
    "emoji 😀👩‍👩‍👧‍👦🇹🇼 and ☕️",
    "def f(x):\n    return x**2 + 1_000 # naïve café\n",
    "3.14159 12345 ٣٤٥ Ⅷ ½",
    "I'm you're they'll WE'VE it's O'Neil",
    "<|im_start|>user\nnot control<|im_end|>",
    "e\u0301 versus \u00e9; \u1e9b\u0323",
    "\u200b zero width \ufeff",
    "𠮷野家 𡃁 rare characters",
    "a" * 70 + "!" * 40,
    "https://example.org/a?b=c&d=%E4%BD%A0",
]
PROMPTS = [
    "The capital of France is",
    "1989年6月4日，北京發生了",
    "def fibonacci(n):\n    ",
]
CHATS = [
    [{"role": "user", "content": "What is 17 + 26?"}],
    [
        {"role": "system", "content": "請用繁體中文回答。"},
        {"role": "user", "content": "台灣的首都在哪裡？"},
    ],
]


def main(path, out):
    folder, name = os.path.split(os.path.abspath(path))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()

    # The reference tokenizer finds control tokens in any text; users' text must not act as control, so those
    # texts are encoded with the control tokens split apart by hand and are left out of the plain comparison.
    plain = [t for t in TEXTS if "<|" not in t]
    result = {
        "made_by": "tests/interop/make_fixtures.py",
        "model": name,
        "tokens": [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False)} for t in plain],
        "control": [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False)} for t in TEXTS if "<|" in t],
        "chats": [],
        "logprobs": [],
    }
    for chat in CHATS:
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        result["chats"].append({"messages": chat, "text": text, "ids": tokenizer.encode(text, add_special_tokens=False)})
    prompts = [tokenizer.encode(p, add_special_tokens=False) for p in PROMPTS]
    prompts += [c["ids"] for c in result["chats"]]
    with torch.no_grad():
        for ids in prompts:
            logits = model(torch.tensor([ids])).logits[0, -1].double()
            logprobs = torch.log_softmax(logits, -1)
            top = torch.topk(logprobs, 20)
            every = list(range(0, logprobs.numel(), 997))
            result["logprobs"].append(
                {
                    "ids": ids,
                    "top": [[int(i), round(float(v), 5)] for i, v in zip(top.indices, top.values)],
                    "every_997th": [round(float(logprobs[i]), 4) for i in every],
                }
            )
    with open(out, "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=False, indent=None, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
