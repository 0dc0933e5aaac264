"""Strings: f-strings, join, replace, split, case, encode."""


def slug(text):
    return "-".join(part for part in text.lower().replace("_", " ").split() if part)


def run():
    parts = []
    for index in range(130_000):
        parts.append(f"item {index:06d} = {index * 1.5:.2f};")
    text = "".join(parts)
    total = len(text)
    for piece in text.split(";"):
        total += len(slug(piece.strip().title()))
        if piece.startswith("item 0001") or piece.endswith(".50"):
            total += piece.count("0")
    line = ""
    for index in range(200_000):
        line += chr(97 + index % 26)
    return total, len(line), len(text.encode("utf-8")), text.upper().find("ITEM 129999")
