"""What happens to a text before it is spoken. Pure: no engine, no files."""

import re
import unicodedata

BLOCK_CHARACTERS = 400  # handed to the phonemizer at once

# Where a long text may be cut, best first: after a sentence, after a clause, at a space.
CUTS = [
    re.compile(pattern) for pattern in (r"[.!?…。！？][\"'”’»)\]]*\s|[。！？]", r"[,;:—–、，；：]\s|[、，；：]", r"\s")
]


def clean(text):
    """The text without what cannot be said: control characters become spaces, marks of direction go.

    Two opening brackets are set apart, because Piper takes what stands in them as phonemes: text stays text.
    """
    kept = []
    for character in text:
        kind = unicodedata.category(character)
        if character in "\n\u200c\u200d":  # lines; joiners are part of some scripts' spelling
            kept.append(character)
        elif kind in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif kind not in ("Cf", "Cs", "Co"):
            kept.append(character)
    return re.sub(r"\[(?=\[)", "[ ", "".join(kept))


def blocks(text, limit=BLOCK_CHARACTERS):
    """Cuts a text into pieces of at most `limit` characters, at ends of sentences where it can, without blank ones.

    An empty line ends a sentence; a single line feed is a space. In time linear in the text's length.
    """
    for paragraph in re.split(r"\n\s*\n", text):
        paragraph = " ".join(paragraph.split())
        start = 0
        while start < len(paragraph):
            end = start + limit if len(paragraph) - start > limit else len(paragraph)
            if end < len(paragraph):
                for cut in CUTS:
                    ends = [match.end() for match in cut.finditer(paragraph, start, end)]
                    if ends and ends[-1] - start > limit // 4:
                        end = ends[-1]
                        break
            if paragraph[start:end].strip():
                yield paragraph[start:end]
            start = end


def shorten(phonemes, limit):
    """Cuts a sentence's phonemes into lists of at most `limit`, between words where it can."""
    parts, start = [], 0
    while len(phonemes) - start > limit:
        space = max(
            (at for at in range(start + limit // 2, start + limit) if phonemes[at] == " "), default=start + limit - 1
        )
        parts.append(phonemes[start : space + 1])
        start = space + 1
    return parts + [phonemes[start:]]
