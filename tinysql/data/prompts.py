"""The text a model reads and writes for one row.

The layout is the Alpaca-like prompt of the TinySQL project (withmartian/TinySQL,
TinySQL/training_data). One deviation: the blank after "### Response:" opens the completion
instead of closing the prompt, so that the tokens of a prompt are always a prefix of the tokens of
prompt + completion (byte-level tokenizers bind a blank to the word after it).
"""


def format_prompt(question: str, schema_sql: str) -> str:
    """The text given to the model: instruction, schema, and the cue to answer."""
    return f"### Instruction: {question} ### Context: {schema_sql} ### Response:"


def format_completion(sql: str) -> str:
    """The text the model should write after the prompt, without the end-of-sequence token."""
    return f" {sql}"
