"""Which tokens are trained, for eight model families, and that TRL's own trainers train the very same ones.

There is no hub here: each family's template is TRL's copy of it, on a small byte-level tokenizer with the family's
special tokens.
"""

import pytest

from alignment.errors import MaskError
from alignment.token_mask import mask_row, mask_rows, training_tokenizer
from alignment.training_template import made_template, spans

pytest.importorskip("trl", reason="templates and trainers are TRL's")

TURNS = [
    {"role": "user", "content": "What is two plus two?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "And plus one?"},
    {"role": "assistant", "content": "Fünf 🙂,\n\nso 5."},
]
SYSTEM = [{"role": "system", "content": "Be brief."}]

# family: special tokens, bos, eos, and what is live of the two turns above
FAMILIES = {
    "llama3": (
        ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>"],
        "<|begin_of_text|>",
        "<|eot_id|>",
        ["It is 4.<|eot_id|>", "Fünf 🙂,\n\nso 5.<|eot_id|>"],
    ),
    "qwen2_5": (
        ["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
        None,
        "<|im_end|>",
        ["\nIt is 4.<|im_end|>\n", "\nFünf 🙂,\n\nso 5.<|im_end|>\n"],
    ),
    "qwen3": (
        ["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
        None,
        "<|im_end|>",
        ["<think>\n\n</think>\n\nIt is 4.<|im_end|>\n", "<think>\n\n</think>\n\nFünf 🙂,\n\nso 5.<|im_end|>\n"],
    ),
    "gemma": (
        ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
        "<bos>",
        "<eos>",
        ["It is 4.<end_of_turn>\n", "Fünf 🙂,\n\nso 5.<end_of_turn>\n"],
    ),
    "phi3": (
        ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"],
        None,
        "<|endoftext|>",
        ["It is 4.<|end|>\n", "Fünf 🙂,\n\nso 5.<|end|>\n<|endoftext|>"],
    ),
    "glm4moe": (
        ["[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|endoftext|>"],
        None,
        "<|endoftext|>",
        ["\n<think></think>\nIt is 4.<|user|>", "\n<think></think>\nFünf 🙂,\n\nso 5.<|user|>"],
    ),
    "cohere": (
        ["<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"],
        "<BOS_TOKEN>",
        "<|END_OF_TURN_TOKEN|>",
        ["It is 4.<|END_OF_TURN_TOKEN|>", "Fünf 🙂,\n\nso 5.<|END_OF_TURN_TOKEN|>"],
    ),
    "lfm2": (
        ["<|startoftext|>", "<|im_start|>", "<|im_end|>"],
        "<|startoftext|>",
        "<|im_end|>",
        ["It is 4.<|im_end|>\n", "Fünf 🙂,\n\nso 5.<|im_end|>\n"],
    ),
    "deepseekv3": (
        ["<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"],
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        ["<｜Assistant｜>It is 4.<｜end▁of▁sentence｜>", "<｜Assistant｜>Fünf 🙂,\n\nso 5.<｜end▁of▁sentence｜>"],
    ),
}
# Those whose history reads the same as it was written; the others drop or add reasoning, which no marker can undo.
STEADY = ["llama3", "qwen2_5", "gemma", "phi3", "cohere", "lfm2"]


def template(name):
    from trl import chat_template_utils

    return (chat_template_utils._CHAT_TEMPLATES_DIR / f"{name}.jinja").read_text(encoding="utf-8")


def build(special, bos, eos):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300 + len(special),
        special_tokens=["<pad>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["What is it? It is two plus two, and one more."], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token=bos, eos_token=eos)


@pytest.fixture(scope="module")
def family():
    """family(name, chat_template=None) -> a tokenizer with the family's special tokens and, else, its template."""
    made = {}

    def get(name, chat_template=None):
        import copy

        if name not in made:
            made[name] = build(*FAMILIES[name][:3])
        found = copy.deepcopy(made[name])
        found.chat_template = template(name) if chat_template is None else chat_template
        return found

    return get


def live_text(row):
    """The live stretches, as text."""
    found, before = [], False
    for piece, live in zip(row.pieces, row.live, strict=True):
        if live and not before:
            found.append("")
        if live:
            found[-1] += piece
        before = live
    return found


# Families


@pytest.mark.parametrize("name", FAMILIES)
def test_a_plain_template_is_given_markers_and_what_the_assistant_said_is_live(family, name):
    plain = family(name)
    marked = training_tokenizer(plain)
    assert marked.chat_template == template(f"{name}_training")
    assert plain.chat_template == template(name)
    row = mask_row(marked, {"messages": TURNS}, "messages")
    assert live_text(row) == FAMILIES[name][3]
    assert "".join(row.pieces) == marked.apply_chat_template(TURNS, tokenize=False)
    assert row.ids == tuple(marked.apply_chat_template(TURNS, tokenize=True, return_dict=False))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_token_that_ends_a_turn_is_trained(family, name):
    marked = training_tokenizer(family(name))
    row = mask_row(marked, {"messages": TURNS[:2]}, "messages")
    live = [token for token, one in zip(row.ids, row.live, strict=True) if one and marked.decode([token]).strip()]
    assert live[-1] in marked.get_added_vocab().values()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_training_template_is_kept_as_it_is(family, name):
    given = template(f"{name}_training")
    assert training_tokenizer(family(name, given)).chat_template == given


@pytest.mark.parametrize("name", STEADY)
def test_for_a_template_that_trl_does_not_know_markers_are_made(family, name):
    unknown = "{# our own #}" + template(name)
    marked = training_tokenizer(family(name, unknown))
    assert marked.chat_template == made_template(unknown)
    row = mask_row(marked, {"messages": TURNS}, "messages")
    assert live_text(row) == [text.strip("\n") for text in FAMILIES[name][3]]


@pytest.mark.parametrize("name", STEADY)
def test_what_is_made_renders_the_same_text_with_tools_and_system_and_marks_what_trls_does(family, name):
    tokenizer = family(name)
    made, trls = made_template(template(name)), template(f"{name}_training")
    conversations = [TURNS, TURNS[:3], TURNS[:2]] + ([SYSTEM + TURNS] if name != "gemma" else [])
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    for messages in conversations:
        for context in ({}, {"add_generation_prompt": True}, {"tools": tools}):
            text, found = spans(tokenizer, messages, made, **context)
            expected, other = spans(tokenizer, messages, trls, **context)
            assert text == spans(tokenizer, messages, template(name), **context)[0] == expected
            other = [(a, b) for a, b in other if expected[a:b].strip() != tokenizer.eos_token or name != "phi3"]
            ours = [text[a:b].removesuffix("\n<|endoftext|>") for a, b in found]
            assert ours == [expected[a:b].strip() for a, b in other]


def test_families_that_trl_has_no_training_template_for_get_one(family):
    for name in ("llama3_1", "llama3_2"):
        marked = training_tokenizer(family("llama3", template(name)))
        row = mask_row(marked, {"messages": TURNS}, "messages")
        assert live_text(row) == FAMILIES["llama3"][3]


def test_the_small_model_of_the_tests_gets_one_too(tiny_llama):
    from transformers import AutoTokenizer

    marked = training_tokenizer(AutoTokenizer.from_pretrained(tiny_llama))
    assert live_text(mask_row(marked, {"messages": SYSTEM + TURNS}, "messages")) == [
        "It is 4.<|end|>",
        "Fünf 🙂,\n\nso 5.<|end|>",
    ]


# What is refused

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}"
    "{% else %}{{ message.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_markers_that_leave_the_end_of_a_turn_out_are_refused(family):
    with pytest.raises(MaskError, match=r"leaves the end-of-turn token out.*model\.chat_template"):
        training_tokenizer(family("qwen2_5", CHATML))


def test_an_end_of_turn_that_belongs_to_the_next_turn_is_refused(family):
    late = (
        "{% for message in messages %}{% if not loop.first %}<|im_end|>\n{% endif %}<|im_start|>{{ message.role }}\n"
        "{{ message.content }}{% endfor %}{% if add_generation_prompt %}<|im_end|>\n<|im_start|>assistant\n{% endif %}"
    )
    with pytest.raises(MaskError, match="none can be added: its turns end with no token of their own"):
        training_tokenizer(family("qwen2_5", late))


def test_an_end_of_turn_that_is_no_token_is_refused(family):
    with pytest.raises(MaskError, match="end with no token of their own"):
        training_tokenizer(family("gemma", template("qwen2_5").replace("You are Qwen", "You are one")))


def test_a_history_that_is_rewritten_is_refused(family):
    with pytest.raises(MaskError, match="none can be added"):
        training_tokenizer(family("qwen3", "{# our own #}" + template("qwen3")))


def test_a_template_that_is_no_template_is_refused(family):
    for broken in ("{% for message in messages %}", "{{ raise_exception('no') }}", "{{ messages[0].nope.nope }}"):
        with pytest.raises(MaskError, match="none can be added"):
            training_tokenizer(family("qwen2_5", broken))


def test_no_template_is_refused(family):
    with pytest.raises(MaskError, match="has no chat template"):
        training_tokenizer(family("qwen2_5", ""))


def test_a_conversation_that_the_template_refuses_says_why(family):
    marked = training_tokenizer(family("gemma"))
    with pytest.raises(MaskError, match="System role not supported"):
        mask_row(marked, {"messages": SYSTEM + TURNS}, "messages")


# The same as TRL trains. Real trainers on a model of a few thousand weights; nothing is trained.

PAIR = {
    "prompt": TURNS[:1],
    "chosen": [{"role": "assistant", "content": "It is 4."}],
    "rejected": [{"role": "assistant", "content": "I would say 5, perhaps, or it is two, and one more."}],
}
MERGING_PAIR = {"prompt": "What is i", "chosen": "t? It is.", "rejected": "? No."}
PLAIN_PAIR = {"prompt": "What is two plus two?", "chosen": " It is 4.", "rejected": " It is 5, and more."}


@pytest.fixture(scope="module")
def small_model():
    from transformers import LlamaConfig, LlamaForCausalLM

    def make(tokenizer):
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
        )
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
        config.bos_token_id = tokenizer.bos_token_id
        return LlamaForCausalLM(config)

    return make


def arguments(tmp_path, **more):
    return {
        "output_dir": str(tmp_path / "run"), "use_cpu": True, "bf16": False, "report_to": "none",
        "gradient_checkpointing": None, "activation_checkpointing": False, "disable_tqdm": True, **more,
    }  # fmt: skip


def sft_labels(tmp_path, model, tokenizer, rows, **more):
    """Ids and labels of each row, as SFTTrainer prepares and collates them."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(**arguments(tmp_path, shuffle_dataset=False, **more))
    trainer = SFTTrainer(model, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    batches = [trainer.data_collator([trainer.train_dataset[at]]) for at in range(len(trainer.train_dataset))]
    return [(tuple(one["input_ids"][0].tolist()), tuple(one["labels"][0].tolist())) for one in batches]


def as_labels(row):
    return row.ids, tuple(token if live else -100 for token, live in zip(row.ids, row.live, strict=True))


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("name", FAMILIES)
def test_sft_trains_what_is_live_in_conversations(family, small_model, tmp_path, name, cut):
    tokenizer = training_tokenizer(family(name))
    rows = [{"messages": TURNS}, {"messages": TURNS[:2]}]
    max_length = len(mask_row(tokenizer, rows[0], "messages").ids) - 6 if cut else None
    found = sft_labels(
        tmp_path, small_model(tokenizer), tokenizer, rows, assistant_only_loss=True, max_length=max_length
    )
    assert found == [as_labels(mask_row(tokenizer, row, "messages", max_length)) for row in rows]


def test_sft_trains_what_is_live_under_a_template_that_was_made(family, small_model, tmp_path):
    tokenizer = training_tokenizer(family("llama3", template("llama3_1")))
    rows = [{"messages": SYSTEM + TURNS}]
    found = sft_labels(tmp_path, small_model(tokenizer), tokenizer, rows, assistant_only_loss=True)
    assert found == [as_labels(mask_row(tokenizer, row, "messages")) for row in rows]


@pytest.mark.parametrize("name", ["llama3", "gemma", "phi3", "qwen3"])
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": TURNS[:1], "completion": TURNS[1:2]},
        {"prompt": "What is two plus two?", "completion": " It is 4."},
        {"prompt": "What is it", "completion": "? It is"},
    ],
    ids=["conversation", "plain", "across a token"],
)
def test_sft_trains_what_is_live_in_completions(family, small_model, tmp_path, name, row):
    tokenizer = family(name)
    found = sft_labels(tmp_path, small_model(tokenizer), tokenizer, [row], completion_only_loss=True)
    masked = mask_row(tokenizer, row, "prompt_completion")
    assert found == [as_labels(masked)]
    assert masked.ids[-1] == tokenizer.eos_token_id or isinstance(row["prompt"], list)


def test_sft_trains_all_of_a_text(family, small_model, tmp_path):
    tokenizer = family("llama3")
    found = sft_labels(tmp_path, small_model(tokenizer), tokenizer, [{"text": "It is two."}])
    assert found == [as_labels(mask_row(tokenizer, {"text": "It is two."}, "text"))]


@pytest.mark.parametrize("max_length", [None, 36])
@pytest.mark.parametrize(
    "row", [PAIR, PLAIN_PAIR, MERGING_PAIR], ids=["conversation", "plain", "across a token in one of the two"]
)
@pytest.mark.parametrize("name", ["llama3", "phi3"])
def test_dpo_trains_what_is_live_in_pairs(family, small_model, tmp_path, name, row, max_length):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    tokenizer = family(name)
    config = DPOConfig(**arguments(tmp_path, max_length=max_length))
    model, data = small_model(tokenizer), Dataset.from_list([row])
    trainer = DPOTrainer(model, small_model(tokenizer), config, train_dataset=data, processing_class=tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    masked = mask_rows(tokenizer, row, "preference", max_length)
    assert [one.name for one in masked] == ["chosen", "rejected"]
    for at, one in enumerate(masked):
        kept = batch["attention_mask"][at].bool()
        assert tuple(batch["input_ids"][at][kept].tolist()) == one.ids
        assert tuple(map(bool, batch["completion_mask"][at][kept].tolist())) == one.live


def test_kto_trains_what_is_live(family, small_model, tmp_path):
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    tokenizer = family("llama3")
    rows = [
        {"prompt": PAIR["prompt"], "completion": PAIR[side], "label": side == "chosen"}
        for side in ("chosen", "rejected")
    ]
    config = KTOConfig(**arguments(tmp_path, per_device_train_batch_size=2))
    model, data = small_model(tokenizer), Dataset.from_list(rows)
    trainer = KTOTrainer(model, small_model(tokenizer), config, train_dataset=data, processing_class=tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[at] for at in range(2)])
    for at, row in enumerate(rows):
        one = mask_row(tokenizer, row, "kto")
        kept = batch["attention_mask"][at].bool()
        assert tuple(batch["input_ids"][at][kept].tolist()) == one.ids
        assert tuple(map(bool, batch["completion_mask"][at][kept].tolist())) == one.live


def test_of_a_ranking_each_response_is_live_the_best_first(family):
    tokenizer = family("llama3")
    row = {"prompt": TURNS[:1], "responses": ["5", "4", "3"], "ranks": [2, 1, 2]}
    found = mask_rows(tokenizer, row, "ranking")
    assert [(one.name, live_text(one)) for one in found] == [
        ("rank 1", ["4<|eot_id|>"]),
        ("rank 2", ["5<|eot_id|>"]),
        ("rank 2", ["3<|eot_id|>"]),
    ]


def test_of_a_prompt_nothing_is_live_and_the_assistants_header_is_there(family):
    row = mask_row(family("llama3"), {"prompt": TURNS[:1]}, "prompt")
    assert not any(row.live)
    assert "".join(row.pieces).endswith("assistant<|end_header_id|>\n\n")


def test_the_pieces_of_a_tokenizer_that_adds_tokens_and_skips_white_space_are_whole():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2, "one": 3, "two": 4}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", bos_token="<s>", unk_token="<unk>")
    row = mask_row(tokenizer, {"text": "one  two"}, "text")
    assert row.pieces == ("<s>", "one", "  two", "</s>")
