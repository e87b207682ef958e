"""An audit of a real llama.cpp server, which is killed in the middle: nothing lost, nothing asked twice.

    pip install 'llama-cpp-python[server]'
    cargo build --release
    python tests/interop/endpoint_llama.py FILE.gguf [--limit 1]

Starts the server, begins an audit against it, kills the server while the audit runs, starts it again, and lets the audit end. Then checks
the run: every question has one answer. How many answers begin as this program's own engine begins them on the same file is told too: both are greedy,
but the last bits of their arithmetic differ.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FREEHOLD = os.environ.get("FREEHOLD", str(ROOT / "target/release/freehold"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(file, port):
    command = [sys.executable, "-m", "llama_cpp.server", "--model", file, "--port", str(port), "--n_ctx", "2048", "--logits_all", "true"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1).read()
            return server
        except OSError:
            if server.poll() is not None:
                raise SystemExit(f"the server ended with {server.returncode}")
            time.sleep(0.5)
    raise SystemExit("the server does not start")


def answers(folder):
    path = folder / "answers.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--limit", default="1")
    p.add_argument("--languages", default="en")
    a = p.parse_args()
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with tempfile.TemporaryDirectory() as tmp:
        run, own = pathlib.Path(tmp) / "run", pathlib.Path(tmp) / "own"
        limits = ["--limit", a.limit, "--languages", a.languages, "--no-open-book"]
        server = serve(a.file, port)
        audit = subprocess.Popen([FREEHOLD, "audit", url, "--out", str(run), "--concurrency", "2", *limits])
        while len(answers(run)) < 5 and audit.poll() is None:
            time.sleep(0.2)
        server.kill()
        server.wait()
        print(f"server killed after {len(answers(run))} answers", flush=True)
        time.sleep(2)
        server = serve(a.file, port)
        code = audit.wait(timeout=1800)
        reply = subprocess.run([FREEHOLD, "complete", url, "--prompt", "The capital of France is", "--max-tokens", "5"], capture_output=True, text=True)
        server.kill()
        subprocess.run([FREEHOLD, "audit", a.file, "--out", str(own), "--no-leaning", *limits], check=True, stdout=subprocess.DEVNULL)
        theirs, ours = answers(run), answers(own)
        key = lambda x: (x["id"], x["lang"])
        alike = {key(x): x["text"].strip() for x in ours}
        same = sum(alike[key(x)][:16] == x["text"].strip()[:16] for x in theirs)
        leaning = sum(1 for _ in (run / "leaning.jsonl").open()) if (run / "leaning.jsonl").exists() else 0
        record = json.loads((run / "run.json").read_text())
        print(f"exit {code}; {len(theirs)} answers, {len({key(x) for x in theirs})} questions, {len(ours)} due; {same} begin as this program's own engine does; "
              f"{leaning} scored; verifiable: {record['verifiable']}; complete says {reply.stdout.strip()!r}")
        good = code == 0 and len(theirs) == len({key(x) for x in theirs}) == len(ours) and "Paris" in reply.stdout and not record["verifiable"]
        for x in [x for x in theirs if alike[key(x)][:16] != x['text'].strip()[:16]][:3]:
            print(f"  {x['prompt']!r}\n    server {x['text'][:80]!r}\n    own    {alike[key(x)][:80]!r}")
        raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
