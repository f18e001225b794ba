"""A tokenizer that keeps whole words, and so whole table and column names, as single tokens.

A word is a run of letters, digits and underscores, or a run of punctuation, each with the blank
before it. The vocabulary holds the 256 bytes and the most frequent words of a corpus; a word that
is not in it falls back to its bytes, so any text survives a round trip. Technically it is a
byte-level BPE without merges that looks whole words up first (`ignore_merges`, as in Llama 3).
Single-token names shorten the sequences and give patching one position per name.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

EOS = "<|endoftext|>"

_WORD = Regex(r" ?\w+| ?[^\w\s]+|\s+")


def leading_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer puts before every text, such as Llama's <|begin_of_text|>; often nothing.

    Texts that are put together of parts are tokenized without, and get it in front.
    """
    bare, whole = (tokenizer("a", add_special_tokens=added)["input_ids"] for added in (False, True))
    return whole[: whole.index(bare[0])]


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """The word tokenizer of a corpus, with `<|endoftext|>` as end and padding token.

    `vocab_size` bounds the vocabulary; ties in frequency are broken alphabetically.
    """
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORD, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(text))
    by_frequency = sorted(counts, key=lambda word: (-counts[word], word))
    tokens = dict.fromkeys([EOS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *by_frequency])
    vocabulary = {token: number for number, token in enumerate(list(tokens)[:vocab_size])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        clean_up_tokenization_spaces=False,
    )
