r"""Freehold beside llama.cpp: the same GGUF file, the same numbers of tokens, the same threads, in turn.

    pip install cmake ninja llama-cpp-python        # compiles llama.cpp for this machine, about ten minutes
    cargo build --release
    python benches/peers/vs_llama.py NAME FILE.gguf [--rounds 5] [--threads 2] [--only-llama]

NAME is what Freehold calls the model. Prints a table and one JSON line with every round's figures (tokens a second) for RESULTS.md.

GCC 12.2, and others of its time, compile llama.cpp into a library that dies of a segmentation fault at its first prompt on a processor
with AMX: they believe that `ldtilecfg` reads 8 bytes instead of 64 (GCC bug 114098) and leave out the rest of the tiles' configuration.
With such a compiler, put the three lines below into /tmp/amx.h and install with
`CXXFLAGS="-include /tmp/amx.h" pip install --no-cache-dir --no-binary llama-cpp-python llama-cpp-python`, or compile llama.cpp so and
name the folder of its libraries in LLAMA_CPP_LIB_PATH.

    #include <immintrin.h>
    static inline void amx_load(const void *p) { __asm__ volatile("ldtilecfg\t%X0" ::"m"(*(const char(*)[64])p)); }
    #define _tile_loadconfig amx_load

The script tries a short prompt in a process of its own first. If that dies, it says so and measures llama.cpp without AMX, which is
not llama.cpp at its best.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import llama_cpp as L
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPT, BEGINNING, NEW = 512, 16, 32
MANY, MANY_NEW, PARALLEL = 64, 64, (8, 16, 32)
KEYS = {"prefill_512": 0, "decode_1": 1, "decode_16": 16, "decode_32": 32}
FLASH = {"auto": L.LLAMA_FLASH_ATTN_TYPE_AUTO, "on": L.LLAMA_FLASH_ATTN_TYPE_ENABLED, "off": L.LLAMA_FLASH_ATTN_TYPE_DISABLED}
ERROR = 4  # GGML_LOG_LEVEL_ERROR


@L.llama_log_callback
def log(level, text, _):
    """llama.cpp's errors alone. A global, since llama.cpp calls it as long as the process lives."""
    if level == ERROR:
        sys.stderr.write(text.decode(errors="replace"))


def load(a, repack):
    L.llama_log_set(log, None)
    L.llama_backend_init()
    p = L.llama_model_default_params()
    p.load_mode = L.LLAMA_LOAD_MODE_MMAP if a.mmap else L.LLAMA_LOAD_MODE_NONE
    p.use_extra_bufts = repack  # weights in the layouts that AMX and the other wide kernels want
    model = L.llama_model_load_from_file(str(a.file).encode(), p)
    if not model:
        raise SystemExit(f"llama.cpp can't load {a.file}")
    return model


def ids(n, seed, vocab):
    """Freehold's own bench takes the same."""
    return [(i * 7919 + seed * 104729 + 1000) % vocab for i in range(n)]


class Batch:
    """A llama_batch of (token, position, sequence, whether its logits are wanted)."""

    def __init__(self, entries):
        self.raw = L.llama_batch_init(len(entries), 0, 1)
        self.raw.n_tokens = len(entries)
        for i, entry in enumerate(entries):
            self.set(i, *entry)

    def set(self, i, token, position, sequence, wanted):
        b = self.raw
        b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0], b.logits[i] = token, position, 1, sequence, wanted

    def decode(self, context):
        code = L.llama_decode(context, self.raw)
        if code != 0:
            raise SystemExit(f"llama_decode failed: {code}")
        L.llama_synchronize(context)


def context(model, a, sequences, positions, batch, unified):
    """Room for so many sequences with so many positions in all, and so many tokens a step."""
    p = L.llama_context_default_params()
    p.kv_unified = unified
    p.n_ctx = positions
    p.n_batch = p.n_ubatch = batch
    p.n_seq_max = p.n_outputs_max = sequences
    p.n_threads = p.n_threads_batch = a.threads
    p.flash_attn_type = FLASH[a.flash]
    p.no_perf = True
    made = L.llama_init_from_model(model, p)
    if not made:
        raise SystemExit("llama.cpp can't make a context")
    return made


class Peer:
    """One of the four measurements. Context and batches live through all rounds, so that only the first allocates."""

    def __init__(self, model, a, sequences):
        self.sequences = sequences  # 0: the prompt
        self.vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
        n = max(sequences, 1)
        # llama.cpp rounds a sequence's room up to 256 positions when each has its own.
        room = PROMPT + NEW if sequences == 0 else BEGINNING + NEW
        positions = n * (room if a.kv_unified else -(-room // 256) * 256)
        self.context = context(model, a, n, positions, PROMPT, a.kv_unified)
        if sequences == 0:
            self.start = Batch([(t, i, 0, i == PROMPT - 1) for i, t in enumerate(ids(PROMPT, 0, self.vocab))])
        else:
            self.start = Batch(
                [(t, i, s, i == BEGINNING - 1) for s in range(n) for i, t in enumerate(ids(BEGINNING, s, self.vocab))]
            )
            self.step = Batch([(0, 0, s, True) for s in range(n)])

    def measure(self):
        """Tokens a second."""
        L.llama_memory_clear(L.llama_get_memory(self.context), False)
        clock = time.perf_counter()
        self.start.decode(self.context)
        if self.sequences == 0:
            return PROMPT / (time.perf_counter() - clock)
        n = self.sequences
        tokens = ids(n, 1, self.vocab)
        clock = time.perf_counter()
        for step in range(NEW):
            for s, token in enumerate(tokens):
                self.step.set(s, token, BEGINNING + step, s, True)
            self.step.decode(self.context)
            # The rows of logits lie one after another, in the batch's order.
            tokens = np.ctypeslib.as_array(L.llama_get_logits(self.context), (n, self.vocab)).argmax(axis=1).tolist()
        return n * NEW / (time.perf_counter() - clock)


class Many:
    """64 prompts of mixed length, 64 new tokens each, so many at once; a sequence that is done makes room for the next.

    `unified`: one cache for all sequences. `mixed`: prompts are read beside the others' next tokens, and not in steps of their own.
    """

    def __init__(self, model, a, parallel, unified, mixed):
        self.parallel, self.mixed = parallel, mixed
        self.vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
        self.context = context(model, a, parallel, parallel * (192 if unified else 256), 1024, unified)
        self.prompts = [ids(16 + i * 37 % 113, i, self.vocab) for i in range(MANY)]
        self.raw = Batch([(0, 0, 0, False)] * 1024)

    def measure(self):
        """New tokens a second, prompts read meanwhile."""
        memory = L.llama_get_memory(self.context)
        L.llama_memory_clear(memory, False)
        waiting, running, free = list(range(MANY)), [], list(range(self.parallel))
        clock = time.perf_counter()
        while waiting or running:
            entries, asked = [], []
            if self.mixed or not (waiting and free):
                asked = list(running)
                entries = [(r["next"], r["position"], r["slot"], True) for r in running]
            while waiting and free and len(entries) + len(self.prompts[waiting[0]]) <= 512 + self.parallel:
                prompt, slot = self.prompts[waiting.pop(0)], free.pop()
                entries += [(t, i, slot, i == len(prompt) - 1) for i, t in enumerate(prompt)]
                running.append({"slot": slot, "position": len(prompt) - 1, "made": 0})
                asked.append(running[-1])
            for i, entry in enumerate(entries):
                self.raw.set(i, *entry)
            self.raw.raw.n_tokens = len(entries)
            self.raw.decode(self.context)
            logits = np.ctypeslib.as_array(L.llama_get_logits(self.context), (len(asked), self.vocab))
            for r, token in zip(asked, logits.argmax(axis=1).tolist()):
                r["next"], r["position"], r["made"] = token, r["position"] + 1, r["made"] + 1
                if r["made"] == MANY_NEW:
                    L.llama_memory_seq_rm(memory, r["slot"], -1, -1)
                    free.append(r["slot"])
            running = [r for r in running if r["made"] < MANY_NEW]
        return MANY * MANY_NEW / (time.perf_counter() - clock)


def works(a):
    """Whether llama.cpp survives a prompt with its weights repacked."""
    command = [sys.executable, __file__, a.name, a.file, "--probe", "--threads", str(a.threads)]
    code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    if code == 0:
        return True
    if code > 0:
        raise SystemExit("llama.cpp doesn't run")
    print(
        f"llama.cpp died of signal {-code} at a short prompt with repacked weights: measured WITHOUT AMX, not at its best.\n"
        "This script's head says how to compile it right.",
        file=sys.stderr,
    )
    return False


def ours(a):
    env = dict(os.environ, RAYON_NUM_THREADS=str(a.threads))
    command = [str(ROOT / "target/release/freehold"), "bench", a.name, "--rounds", "1", "--json"]
    if a.many:
        command.append("--many")
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("name")
    p.add_argument("file")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--only-llama", action="store_true", help="measure llama.cpp alone")
    yes_or_no = argparse.BooleanOptionalAction
    p.add_argument("--flash", choices=FLASH, default="on", help="llama.cpp's flash attention")
    p.add_argument("--mmap", action=yes_or_no, default=True, help="let llama.cpp map the file")
    p.add_argument("--kv-unified", action=yes_or_no, default=False, help="one cache for all of llama.cpp's sequences")
    p.add_argument("--repack", action=yes_or_no, default=None, help="llama.cpp's AMX and other repacked weights; tried if not given")
    p.add_argument("--many", action="store_true", help="64 prompts of mixed length, 64 new tokens each, and nothing else")
    p.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.probe:
        Peer(load(a, True), a, 1).measure()
        return
    repack = works(a) if a.repack is None else a.repack
    model = load(a, repack)
    if a.many:
        # Which way suits llama.cpp best is found once.
        rates = {}
        for way in itertools.product(PARALLEL, (False, True), (False, True)):
            rates[way] = Many(model, a, *way).measure()
            print("llama.cpp, {} at once, unified {}, mixed {}: {:.0f} new tokens/s".format(*way, rates[way]), file=sys.stderr)
        best = max(rates, key=rates.get)
        theirs = {"batch_64": Many(model, a, *best)}
    else:
        theirs = {k: Peer(model, a, n) for k, n in KEYS.items()}
    keys = list(theirs)
    rounds = {"llama.cpp": {k: [] for k in keys}}
    if not a.only_llama:
        rounds["freehold"] = {k: [] for k in keys}
    instructions = ""
    for _ in range(a.rounds):
        # Once to warm up and once that counts, as `freehold bench --rounds 1` does.
        for peer in theirs.values():
            peer.measure()
        for k, peer in theirs.items():
            rounds["llama.cpp"][k].append(peer.measure())
        if not a.only_llama:
            mine = ours(a)
            instructions = f", {mine['instruction_set']}"
            for k in keys:
                rounds["freehold"][k].append(mine[k])
    print(f"{a.name}, {a.threads} threads{instructions}, tokens a second, medians of {a.rounds}")
    for k in keys:
        m = {e: statistics.median(r[k]) for e, r in rounds.items()}
        line = f"{k:12} llama.cpp {m['llama.cpp']:8.1f}"
        if not a.only_llama:
            line += f"   freehold {m['freehold']:8.1f}   ratio {m['freehold'] / m['llama.cpp']:.2f}"
        print(line)
    settings = {"flash": a.flash, "mmap": a.mmap, "kv_unified": a.kv_unified, "repack": repack}
    if a.many:
        settings |= dict(zip(("parallel", "kv_unified", "mixed"), best))
    info = L.llama_print_system_info().decode()
    print(json.dumps({"model": a.name, "threads": a.threads, "llama.cpp": info, "settings": settings, "rounds": rounds}))


if __name__ == "__main__":
    main()
