"""A chat model small enough to train in a test, made on the spot.

In: texts that its tokenizer should know. Out: a folder with an untrained Qwen2-like model, a
byte-pair tokenizer and a chat template that writes tool calls.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

END, PAD = "<|end|>", "<|pad|>"
SPECIAL = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tools|>")
"""Marks that are one token each; a mark's place here is its id."""
VOCABULARY = 1024
"""Upper bound: 263 for the bytes and marks, the rest merged from the texts."""

# What is written for a turn begins with what is written to ask for one, so that a prompt is always
# the beginning of the prompt with its answer, as TRL needs it.
TEMPLATE = """
{%- if tools %}{{ "<|tools|>" + (tools | tojson) + "<|end|>" }}{% endif %}
{%- for message in messages %}
    {{- "<|" + message.role + "|>" + message.content }}
    {%- for call in message.tool_calls or [] %}
        {{- "<tool_call>" }}
        {{- {"name": call.function.name, "arguments": call.function.arguments} | tojson }}
        {{- "</tool_call>" }}
    {%- endfor %}
    {{- "<|end|>" }}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<|assistant|>" }}{% endif %}
""".strip()


def make(folder: Path, texts: Iterable[str], *, seed: int) -> Path:
    """Make a model of about 140,000 parameters.

    Args:
        folder: Where it is saved; made if missing.
        texts: What the tokenizer learns its words from.
        seed: Of the weights.

    Returns:
        The folder, as `transformers` loads it.
    """
    tokenizer = _tokenizer(texts)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=4096,
                tie_word_embeddings=True,
                eos_token_id=SPECIAL.index(END),
                pad_token_id=SPECIAL.index(PAD),
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pairs.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=pairs, eos_token=END, pad_token=PAD, chat_template=TEMPLATE
    )
