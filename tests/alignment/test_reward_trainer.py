"""The trainer over rankings: of pairs it is TRL's RewardTrainer, of rankings InstructGPT's, and it learns."""

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer
from trl import RewardConfig, RewardTrainer

from alignment.errors import DataError
from alignment.reward_model import new_reward_model
from alignment.reward_rows import RankingCollator, encode, tokenised
from alignment.reward_trainer import RankingTrainer
from alignment.sections import ModelSection

PAIRS = [
    {"prompt": "How is bread baked?", "chosen": " In an oven, slowly.", "rejected": " No."},
    {"prompt": "Where is the hearth?", "chosen": " In the middle.", "rejected": " Outside, in the rain and wind."},
    {"prompt": "What is one and one?", "chosen": " Two.", "rejected": " Three, I believe."},
    {"prompt": "Who gathers round?", "chosen": " People do, in the evening.", "rejected": " Nobody at all."},
]
RANKINGS = [
    {"prompt": row["prompt"], "responses": [row["rejected"], row["chosen"], " I do not know."], "ranks": [2, 1, 2]}
    for row in PAIRS
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer(tiny_llama):
    return AutoTokenizer.from_pretrained(tiny_llama)


def make(kind, tiny_llama, tokenizer, folder, rows, **settings):
    settings = {"per_device_train_batch_size": 2, "max_steps": 3, "logging_steps": 1, **settings}
    args = RewardConfig(
        str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=None,
        activation_checkpointing=False,
        **settings,
    )
    model = new_reward_model(ModelSection(path=str(tiny_llama)), None, 0)
    return kind(model=model, args=args, processing_class=tokenizer, train_dataset=Dataset.from_list(rows))


@pytest.mark.parametrize("center", [None, 0.01])
def test_of_pairs_the_loss_is_trls_own(tiny_llama, tokenizer, tmp_path, center):
    """The same rows in the same batch: as exact as float32 adds."""
    losses = []
    for kind in (RewardTrainer, RankingTrainer):
        trainer = make(kind, tiny_llama, tokenizer, tmp_path, PAIRS, center_rewards_coefficient=center)
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        losses.append((loss.item(), trainer.model.score.weight.grad.clone(), dict(trainer._metrics["train"])))
    (theirs, their_slope, their_figures), (ours, our_slope, our_figures) = losses
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert torch.allclose(our_slope, their_slope, rtol=1e-4, atol=1e-5)
    assert our_figures.keys() == their_figures.keys()
    for name, values in their_figures.items():
        assert our_figures[name] == pytest.approx(values, abs=1e-5), name


def test_training_on_pairs_ends_where_trls_training_ends(tiny_llama, tokenizer, tmp_path):
    ends = []
    for kind in (RewardTrainer, RankingTrainer):
        trainer = make(kind, tiny_llama, tokenizer, tmp_path, PAIRS)
        trainer.train()
        ends.append([log["loss"] for log in trainer.state.log_history if "loss" in log])
    assert ends[1] == pytest.approx(ends[0], abs=1e-4)


def test_a_batch_is_whole_prompts(tokenizer):
    rows = [tokenised(tokenizer, row, 0) for row in (RANKINGS[0], PAIRS[1])]
    batch = RankingCollator(tokenizer.pad_token_id)(rows)
    assert batch["input_ids"].shape[0] == 5
    assert batch["pairs"].tolist() == [[1, 0], [1, 2], [3, 4]]
    assert batch["weights"].tolist() == [0.5, 0.5, 1.0]
    kept = [ids[mask == 1].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    assert kept == [ids for row in rows for ids in row["response_ids"]]


def test_one_forward_over_a_ranking_has_the_loss_of_its_pairs(tiny_llama, tokenizer, tmp_path):
    """The tie of the first and the last response makes no pair."""
    trainer = make(RankingTrainer, tiny_llama, tokenizer, tmp_path, RANKINGS)
    as_pairs = [
        {"prompt": row["prompt"], "chosen": row["responses"][1], "rejected": row["responses"][worse]}
        for row in RANKINGS
        for worse in (0, 2)
    ]
    other = make(RankingTrainer, tiny_llama, tokenizer, tmp_path, as_pairs)
    whole = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    apart = other.data_collator([other.train_dataset[i] for i in range(8)])
    loss = trainer.compute_loss(trainer.model, whole).item()
    assert loss == pytest.approx(other.compute_loss(trainer.model, apart).item(), abs=1e-5)


def test_every_sequence_ends_with_one_end_token(tokenizer):
    end = tokenizer.eos_token_id
    chat = encode(tokenizer, [{"role": "user", "content": "Bread?"}], "Baked.")
    assert chat[-1] == end and chat.count(end) == 2  # the user's turn has one as well
    assert encode(tokenizer, "Bread? ", "Baked.")[-2:] == [*encode(tokenizer, "", "Baked.")[-2:-1], end]
    assert encode(tokenizer, "Bread? ", "Baked." + tokenizer.eos_token).count(end) == 1
    messages = [{"role": "user", "content": "Bread?"}, {"role": "assistant", "content": "Baked."}]
    assert encode(tokenizer, messages[:1], messages[1:]) == encode(tokenizer, "", messages) == chat


def test_a_line_break_that_a_template_writes_after_the_turn_is_not_where_the_score_is_read(tokenizer):
    """As Qwen's template does; a decoder stops before it."""
    other = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    other.chat_template = tokenizer.chat_template.replace("<|end|>", "<|end|>\n")
    assert encode(other, [{"role": "user", "content": "Bread?"}], "Baked.")[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"prompt": "a", "responses": ["b", "c"], "ranks": [1, 1]}, "ranks"),
        ({"prompt": "a", "responses": ["b", "c"], "ranks": [1, 2, 3]}, "ranks"),
        ({"prompt": "a", "responses": ["b"], "ranks": [1]}, "ranks"),
        ({"prompt": "a", "completion": "b"}, ""),
    ],
)
def test_a_row_that_prefers_nothing_is_refused_by_its_index(tokenizer, row, field):
    with pytest.raises(DataError, match="row 7") as caught:
        tokenised(tokenizer, row, 7)
    assert (caught.value.row, caught.value.field) == (7, field)
