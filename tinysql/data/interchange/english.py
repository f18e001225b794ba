"""Measures of English text: how easy, how dense, how rare its words are.

- Flesch reading ease, 206.835 - 1.015 words / sentences - 84.6 syllables / words: Flesch 1948,
  "A new readability yardstick". 100 is very easy, below 30 very hard. Syllables are estimated by
  groups of vowels, silent ends left out.
- Lexical density: the share of content words among all words (Ure 1971). Without a tagger, a
  content word is whatever is not a function word of the closed classes below, nor a number.
- Rarity: the share of content words that are not among the most frequent ones of a set (lexical
  sophistication, Linnarud 1986, where the frequent words are those of the language).

Words are letters and digits; a name such as hire_date counts as two. None of this depends on a
trained model, so the values are exactly repeatable, and not those that taggers give.
"""

import re
from collections.abc import Container, Sequence
from functools import lru_cache

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:[.,:-]\d+)*", re.ASCII)
_SENTENCE_END = re.compile(r"[.?!;:](?=\s|$)")
_VOWELS = re.compile(r"[aeiouy]+")
_SILENT_END = re.compile(r"(?:[^laeiouy]e|[^laeiouytd]ed|[^laeiouyscxzg]es)$")

_ARTICLES = "a an the"
_DETERMINERS = "this that these those each every either neither some any no all both half such what"
_PRONOUNS = (
    "i you he she it we they me him her us them my your his its our their mine yours hers ours "
    "theirs myself yourself itself ourselves themselves who whom whose which one ones someone "
    "something anyone anything everyone everything nobody nothing none there"
)
_PREPOSITIONS = (
    "about above across after against along among around as at before behind below beneath beside "
    "between beyond but by despite down during except for from in inside into like near of off on "
    "onto out outside over per since than through throughout till to toward under until up upon "
    "via with within without"
)
_CONJUNCTIONS = (
    "and or nor so yet if unless because while whereas although though when where how why"
)
_AUXILIARIES = (
    "am is are was were be been being do does did have has had having can could may might must "
    "shall should will would not"
)
_FUNCTION_WORDS = frozenset(
    word
    for group in (
        _ARTICLES, _DETERMINERS, _PRONOUNS, _PREPOSITIONS, _CONJUNCTIONS, _AUXILIARIES
    )
    for word in group.split()
)  # fmt: skip


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, numbers included."""
    return _WORD.findall(text.lower())


def content_words(words: Sequence[str]) -> list[str]:
    """The words that are neither function words nor numbers."""
    return [word for word in words if word not in _FUNCTION_WORDS and not word[0].isdigit()]


def num_sentences(text: str) -> int:
    """Sentences of a text, at least one."""
    body = text.strip()
    ends = len(_SENTENCE_END.findall(body))
    return max(1, ends + (not body.endswith((".", "?", "!", ";", ":"))))


@lru_cache(100_000)
def num_syllables(word: str) -> int:
    """Syllables of a word in lower case, at least one; a number counts as one, as Flesch does."""
    groups = len(_VOWELS.findall(word))
    return max(1, groups - (_SILENT_END.search(word) is not None))


def reading_ease(words: Sequence[str], sentences: int) -> float:
    """Flesch reading ease of a text with these words; 206.835 for one without any."""
    if not words:
        return 206.835
    syllables = sum(map(num_syllables, words))
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)


def lexical_density(words: Sequence[str]) -> float:
    """Share of content words, from 0 to 1."""
    return len(content_words(words)) / len(words) if words else 0.0


def rarity(words: Sequence[str], common: Container[str]) -> float:
    """Share of content words that are not `common`, from 0 to 1."""
    content = content_words(words)
    return sum(word not in common for word in content) / len(content) if content else 0.0
