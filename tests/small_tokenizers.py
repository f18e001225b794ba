"""Three kinds of tokenizers, trained on a few texts."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tinysql.models.tokenizer import train_tokenizer


def word_tokenizer(texts):
    """Ours: every word is one token."""
    return train_tokenizer(texts, vocab_size=5000)


def trained_bpe(texts, tokenizer, alphabet, **model) -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=2500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", **model)


def gpt2_tokenizer(texts):
    """As GPT-2's, with so few merges that many names are several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return trained_bpe(texts, tokenizer, pre_tokenizers.ByteLevel.alphabet())


def llama_tokenizer(texts):
    """As Llama 2's: a sign for the blank before a word, and a token that begins every text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    # SentencePiece cuts between letters and signs, and every digit is a token.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    trained = trained_bpe(texts, tokenizer, [], unk_token="<unk>")
    tokenizer.add_special_tokens(["<s>"])
    begin = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token=trained.eos_token, unk_token="<unk>"
    )


TOKENIZERS = {"word": word_tokenizer, "gpt2": gpt2_tokenizer, "llama": llama_tokenizer}
