"""TRL's RewardTrainer taught to take rankings: a batch is whole prompts with all their responses, in one forward.

Only training imports this module: it subclasses TRL.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from trl.trainer.reward_trainer import RewardTrainer

from alignment.reward_loss import paired, ranking_loss
from alignment.reward_rows import RankingCollator, tokenised


class RankingTrainer(RewardTrainer):
    """A RewardTrainer over rows of format `preference` or `ranking`, in batches of `reward_rows.RankingCollator`.

    `per_device_train_batch_size` counts prompts, as InstructGPT does to keep a prompt's comparisons in one batch
    (Ouyang et al. 2022, section 3.5). It logs what TRL's logs, under the same names.
    """

    def __init__(self, *, args: Any, processing_class: Any, data_collator: Any = None, **others: Any) -> None:
        data_collator = data_collator or RankingCollator(processing_class.pad_token_id, args.pad_to_multiple_of)
        super().__init__(args=args, processing_class=processing_class, data_collator=data_collator, **others)

    def _send_telemetry(self) -> None:
        """Nothing is sent."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        """Rows of `reward_rows.tokenised`, every one: TRL's own preparation drops long ones without a word."""
        if "response_ids" in dataset.column_names:
            return dataset
        prepare = partial(tokenised, processing_class)
        return dataset.map(
            prepare, with_indices=True, remove_columns=dataset.column_names, num_proc=args.dataset_num_proc
        )

    def _set_signature_columns_if_needed(self) -> None:
        signature: Any = self
        signature._signature_columns = ["response_ids", "ranks"]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of `reward_loss.ranking_loss`, and TRL's figures of the batch."""
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        scores = outputs.logits.squeeze(-1)
        args: Any = self.args
        loss = ranking_loss(scores, inputs["pairs"], inputs["weights"], args.center_rewards_coefficient)
        self._record(scores.detach(), inputs, "train" if model.training else "eval")
        return (loss, outputs) if return_outputs else loss

    def _record(self, scores: Any, inputs: Any, mode: str) -> None:
        """`accuracy` and `margin` over pairs; least, mean and greatest score; tokens seen."""
        better, worse = paired(scores, inputs["pairs"])
        figures = {
            "min_reward": scores.min(),
            "mean_reward": scores.mean(),
            "max_reward": scores.max(),
            "accuracy": (better > worse).float().mean(),
            "margin": (better - worse).mean(),
        }
        gathered = {name: self.accelerator.gather(value.float().reshape(1)) for name, value in figures.items()}
        for name, values in gathered.items():
            reduced = {"min_reward": values.min, "max_reward": values.max}.get(name, values.mean)()
            self._metrics[mode][name].append(reduced.item())
        tokens = self.accelerator.gather(inputs["attention_mask"].sum().reshape(1)).sum().item()
        if mode == "train":
            self._total_train_tokens += tokens // self._tp_size
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
