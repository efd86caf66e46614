#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second implementation of remus-page-records(7), to check the golden vectors.

Written from the manual page and as plainly as it can be: byte by byte, with no
thought of speed, and sharing nothing with src/.

  xrle_reference.py          check every vector beside this file; exit 0 or 1
  xrle_reference.py --write  compute the results (delta, payload) anew

A vector is a text file of lines "word argument...":
  old|new fill XX            one value throughout
  old|new lcg SEED           x = x * 6364136223846793005 + 1442695040888963407
                             (mod 2^64), and x >> 56 is the next byte
  new copy                   the old page
  old|new set OFFSET HEX     bytes from OFFSET on
  new xor OFFSET HEX
  new step FIRST STEP XX     XOR XX into the bytes FIRST, FIRST + STEP, ...
  page GFN same|zero|delta|raw   (record vectors) add the page as it now stands
  pages N                        (record vectors) pages of the machine
  result delta|equal, delta HEX, payload HEX     computed
"""

import pathlib
import sys

PAGE = 4096
KINDS = ["same", "zero", "delta", "raw"]


class Malformed(Exception):
    pass


def lcg(seed):
    out = bytearray()
    x = seed
    for _ in range(PAGE):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(x >> 56)
    return out


def varint(n):
    out = bytearray()
    while True:
        if n < 128:
            out.append(n)
            return bytes(out)
        out.append(n % 128 + 128)
        n //= 128


class Source:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise Malformed("cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        value = 0
        for n in range(8):
            b = self.take(1)[0]
            value += (b % 128) * 128**n
            if b < 128:
                if b == 0 and n > 0:
                    raise Malformed("varint not the shortest")
                return value
        raise Malformed("varint too long")

    def end(self):
        return self.at == len(self.data)


def delta_encode(old, new):
    changed = [i for i in range(PAGE) if old[i] != new[i]]
    runs = []
    for i in changed:
        # one or two unchanged bytes between are absorbed
        if runs and i - runs[-1][1] <= 3:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    out = b""
    at = 0
    for first, last in runs:
        out += varint(first - at) + varint(last - first + 1)
        out += bytes(old[i] ^ new[i] for i in range(first, last + 1))
        at = last + 1
    return out


def delta_decode(old, delta):
    page = bytearray(old)
    src = Source(delta)
    at = 0
    first = True
    while first or not src.end():
        unchanged = src.varint()
        changed = src.varint()
        if (unchanged == 0 and not first) or changed == 0:
            raise Malformed("empty run")
        if at + unchanged + changed > PAGE:
            raise Malformed("behind the page's end")
        xor = src.take(changed)
        if xor[0] == 0 or xor[-1] == 0:
            raise Malformed("a run must begin and end with a change")
        at += unchanged
        for x in xor:
            page[at] ^= x
            at += 1
        first = False
    return page


def payload_encode(pages):
    out = b"\x01" + varint(pages[0][0])
    expected = pages[0][0]
    for gfn, kind, old, new in pages:
        gap = gfn - expected
        tag = KINDS.index(kind) * 64
        out += bytes([tag + gap]) if gap < 63 else (
            bytes([tag + 63]) + varint(gap - 63))
        if kind == "delta":
            delta = delta_encode(old, new)
            out += varint(len(delta)) + delta
        elif kind == "raw":
            out += new
        expected = gfn + 1
    return out


def payload_decode(payload, npages, olds):
    """[(gfn, kind, new content)]; olds: gfn -> old content."""
    src = Source(payload)
    if src.take(1) != b"\x01":
        raise Malformed("version")
    expected = src.varint()
    records = []
    while not records or not src.end():
        tag = src.take(1)[0]
        gap = tag % 64
        if gap == 63:
            gap += src.varint()
        if gap and not records:
            raise Malformed("gap in the first record")
        gfn = expected + gap
        if gfn >= npages:
            raise Malformed("gfn")
        kind = KINDS[tag // 64]
        if kind == "same":
            page = olds[gfn]
        elif kind == "zero":
            page = bytes(PAGE)
        elif kind == "delta":
            length = src.varint()
            if not 3 <= length <= 4093:
                raise Malformed("length of a delta")
            page = delta_decode(olds[gfn], src.take(length))
        else:
            page = src.take(PAGE)
        records.append((gfn, kind, bytes(page)))
        expected = gfn + 1
    return records


class Vector:
    def __init__(self, text):
        self.recipe = []
        self.page = {"old": bytearray(PAGE), "new": bytearray(PAGE)}
        self.pages = []
        self.npages = None
        self.result = None
        self.data = {"delta": b"", "payload": b""}
        for line in text.splitlines():
            words = line.split()
            if words and words[0] in ("result", "delta", "payload"):
                if words[0] == "result":
                    self.result = words[1]
                else:
                    self.data[words[0]] += bytes.fromhex(words[1])
                continue
            self.recipe.append(line)
            if words and not words[0].startswith("#"):
                self.step(words)

    def step(self, w):
        if w[0] == "pages":
            self.npages = int(w[1])
            return
        if w[0] == "page":
            self.pages.append((int(w[1]), w[2], bytes(self.page["old"]),
                               bytes(self.page["new"])))
            return
        page = self.page[w[0]]
        if w[1] == "fill":
            page[:] = bytes([int(w[2], 16)]) * PAGE
        elif w[1] == "lcg":
            page[:] = lcg(int(w[2]))
        elif w[1] == "copy":
            page[:] = self.page["old"]
        elif w[1] == "set":
            b = bytes.fromhex(w[3])
            page[int(w[2]):int(w[2]) + len(b)] = b
        elif w[1] == "xor":
            for i, b in enumerate(bytes.fromhex(w[3])):
                page[int(w[2]) + i] ^= b
        elif w[1] == "step":
            for i in range(int(w[2]), PAGE, int(w[3])):
                page[i] ^= int(w[4], 16)
        else:
            raise ValueError(" ".join(w))
        assert len(page) == PAGE

    def compute(self):
        if self.pages:
            return None, "payload", payload_encode(self.pages)
        delta = delta_encode(self.page["old"], self.page["new"])
        return ("delta" if delta else "equal"), "delta", delta

    def check(self):
        result, name, data = self.compute()
        assert result == self.result, "result is " + str(result)
        assert data == self.data[name], name + " differs"
        if self.pages:
            olds = {gfn: old for gfn, _, old, _ in self.pages}
            want = [(gfn, kind, new) for gfn, kind, _, new in self.pages]
            assert payload_decode(data, self.npages, olds) == want
        elif data:
            assert len(data) <= 4099
            new = delta_decode(self.page["old"], data)
            assert new == self.page["new"]

    def text(self):
        result, name, data = self.compute()
        lines = self.recipe + (["result " + result] if result else [])
        h = data.hex()
        lines += [name + " " + h[i:i + 64] for i in range(0, len(h), 64)]
        return "\n".join(lines) + "\n"


def main():
    here = pathlib.Path(__file__).resolve().parent / "golden" / "xrle"
    files = sorted(here.glob("*.txt"))
    failed = 0
    for f in files:
        v = Vector(f.read_text())
        if sys.argv[1:] == ["--write"]:
            f.write_text(v.text())
            continue
        try:
            v.check()
            print("ok", f.name)
        except (AssertionError, Malformed, KeyError) as e:
            failed += 1
            print("FAILED", f.name, e)
    if not files:
        print("FAILED: no vectors in", here)
    sys.exit(1 if failed or not files else 0)


if __name__ == "__main__":
    main()
