"""The word tokenizer: names are single tokens, any text survives, the same corpus the same file."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tinysql.models.files import load_tokenizer
from tinysql.models.tokenizer import EOS, leading_tokens, train_tokenizer

CORPUS = [
    "### Instruction: List unit_price, and name2 from orders. ### Context: CREATE TABLE orders "
    "( unit_price DECIMAL(10,2), name2 TEXT ) ### Response: SELECT unit_price FROM orders",
    " SELECT name2 FROM orders ORDER BY unit_price DESC, name2 ASC",
]
NUM_BYTES = 256


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(CORPUS, vocab_size=400)


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_leading_tokens_are_what_the_tokenizer_begins_texts_with() -> None:
    own = train_tokenizer(CORPUS, vocab_size=400)
    assert leading_tokens(own) == []
    own.backend_tokenizer.post_processor = processors.TemplateProcessing(
        f"{EOS} $A {EOS}", special_tokens=[(EOS, own.eos_token_id)]
    )
    assert leading_tokens(own) == [own.eos_token_id]


@settings(deadline=None, max_examples=300)
@given(text=st.one_of(st.text(), st.text(alphabet=" \t\n_aZ9,.()#'é漢🙂\u0301\u00a0")))
@example(text="  SELECT  unit_price ,\n\tname2 ")
@example(text="unit_price.name2(10,2)don't ")
@example(text=f"a{EOS}b")
def test_round_trip_of_any_text_is_the_text(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    assert tokenizer.decode(ids_of(tokenizer, text)) == text


@pytest.mark.parametrize("word", ["unit_price", "name2", "orders", "SELECT", "ASC", "FROM"])
def test_word_of_the_corpus_is_one_token_with_its_blank(
    tokenizer: PreTrainedTokenizerFast, word: str
) -> None:
    for context in ("x {} y", "( {} (", "x {}, y", "x {}. y", "x {}"):
        before, after = context.split(" {}")
        (token,) = ids_of(tokenizer, f" {word}")
        ids = [*ids_of(tokenizer, before), token, *ids_of(tokenizer, after)]
        assert ids_of(tokenizer, context.format(word)) == ids


def test_word_outside_the_corpus_falls_back_to_bytes(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = ids_of(tokenizer, " unit_prices")
    assert len(ids) == len(" unit_prices")
    assert max(ids) <= NUM_BYTES


def test_prompt_tokens_are_a_prefix_of_those_of_the_whole_row(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    prompt, answer = CORPUS[0].split("Response:")
    whole = ids_of(tokenizer, CORPUS[0])
    assert whole == ids_of(tokenizer, f"{prompt}Response:") + ids_of(tokenizer, answer)


def test_vocabulary_is_bounded_and_keeps_the_most_frequent_words() -> None:
    small = train_tokenizer([" b b b c c a a d"], vocab_size=1 + NUM_BYTES + 2)
    assert len(small) == 1 + NUM_BYTES + 2
    lengths = {word: len(ids_of(small, f" {word}")) for word in "abcd"}
    assert lengths == {"b": 1, "a": 1, "c": 2, "d": 2}


def test_end_token_ends_and_pads_and_nothing_begins(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.eos_token == tokenizer.pad_token == EOS
    assert tokenizer.bos_token is None
    assert tokenizer(" orders")["input_ids"] == ids_of(tokenizer, " orders")
    assert ids_of(tokenizer, EOS) == [tokenizer.eos_token_id]


def test_same_corpus_in_any_order_gives_the_same_tokenizer(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    again = train_tokenizer(iter(CORPUS[::-1]), vocab_size=400)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_saved_tokenizer_loads_the_same_from_our_loader_and_from_transformers(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    for loaded in (load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)):
        assert loaded.get_vocab() == tokenizer.get_vocab()
        assert (loaded.eos_token_id, loaded.pad_token_id) == (0, 0)
        for text in (*CORPUS, " unit_prices,\n don't", "é漢🙂"):
            assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
            assert loaded.decode(loaded(text)["input_ids"]) == text
