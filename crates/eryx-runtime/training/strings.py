"""Text and bytes."""

import io
import string
import textwrap

TEXT = """It was a bright cold day in April, and the clocks were striking thirteen. Every clock of the town,
café or naïve façade alike, told the same; nobody minded — not even the clockmaker's cat."""


def words():
    counts = {}
    for _ in range(60):
        for word in TEXT.lower().split():
            word = word.strip(string.punctuation)
            if word and word.isalpha():
                counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def formats():
    lines = []
    for number in range(1500):
        lines.append(f"{number:>6} {number / 3:.2f} {number!r} {'even' if number % 2 == 0 else 'odd'}")
        lines.append("%s-%d-%05.1f" % ("x", number, number * 0.5))
        lines.append("{} and {name}".format(number, name="n"))
        lines.append(str(number) + ":" + "ab" * 3)
    return "\n".join(lines)


def searches(text):
    found = 0
    for part in ("clock", "nothing", "é", "of the", "t"):
        found += text.find(part) + text.count(part) + text.rfind(part)
        found += part in text
        text.replace(part, "<>")
        text.partition(part)
        text.split(part)
    return found


def characters():
    vowels = 0
    for character in TEXT * 20:
        if character in "aeiou":
            vowels += 1
        elif character.isspace() or character.isdigit():
            continue
        else:
            vowels += ord(character) > 127
    return vowels, "".join(reversed(TEXT)), TEXT[::-1], [chr(code) for code in range(32, 400)], TEXT[3:9] + TEXT[-4:]


def caesar(text, shift):
    out = []
    for character in text:
        if "a" <= character <= "z":
            out.append(chr((ord(character) - 97 + shift) % 26 + 97))
        else:
            out.append(character)
    return "".join(out)


def cases():
    for line in TEXT.splitlines() * 40:
        line.upper(), line.title(), line.capitalize(), line.swapcase(), line.casefold(), line.center(120), line.ljust(120, ".")
        line.startswith("It"), line.endswith("."), line.zfill(130), line.expandtabs(), line.isupper(), line.translate({97: "A", 101: None})
    textwrap.fill(TEXT, 40), textwrap.dedent("  a\n  b\n"), textwrap.shorten(TEXT, 50)
    string.Template("$who likes $what").substitute(who="a", what="b")


def encodings():
    for _ in range(200):
        data = TEXT.encode()
        data.decode()
        TEXT.encode("utf-16").decode("utf-16")
        TEXT.encode("latin-1", "replace").decode("latin-1")
        ascii(TEXT)
        repr(TEXT)
        data.hex()
        bytes.fromhex("00ff10")
        data.split(b" ")
        data.find(b"clock")
    buffer = bytearray()
    for number in range(2000):
        buffer.append(number & 255)
        buffer += b"ab"
    view = memoryview(buffer)
    return bytes(view[10:2000]), buffer.count(b"a"), sum(buffer), int.from_bytes(buffer[:8], "big")


def building():
    out = io.StringIO()
    text = ""
    for number in range(3000):
        out.write(f"{number},")
        text += "x"
        if text == "y" or text != out:
            out.write("\n")
    print("a line", 1, 2.5, None, sep=" ", file=out)
    return out.getvalue(), text


words(), formats(), characters(), cases(), encodings(), building()
for repeat in range(60):
    searches(TEXT)
    searches(TEXT[:100])
    caesar(TEXT, repeat)
