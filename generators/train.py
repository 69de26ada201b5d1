"""One trainer for every family: train(recipe) -> the run's folder."""

from __future__ import annotations

import time

from decoder.runs.folder import RunFolder, open_run
from generators.recipe import as_plain, fingerprint, folder_of
from generators.sections import Recipe


def train(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Train a recipe's model in this process and return its run's folder, whose `model` is the result.

    Raises:
        GeneratorError, RecipeError: the recipe or the data cannot be used.
        TrainingError: the run did not end as it should; its last checkpoint is whole.
    """
    import torch

    from generators.data import load_pictures
    from generators.families import family_class, family_config

    cls, config = family_class(recipe.family), family_config(recipe.family, recipe.model)
    split = load_pictures(recipe.data)
    folder = folder_of(recipe)
    open_run(folder, as_plain(recipe), fingerprint(recipe), resume, family=recipe.family, name=recipe.name)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.training.threads or torch.get_num_threads())
    model = cls.build(config, split.train)
    budget, limit = recipe.training.budget_seconds, recipe.training.max_steps
    optimizers: dict[str, torch.optim.Optimizer] = {}
    step, spent = 0, 0.0
    while (not limit or step < limit) and (not budget or spent < budget):
        begun = time.process_time()
        for phase in model.phases(max(step / limit if limit else 0, spent / budget if budget else 0)):
            if phase.name not in optimizers:
                model.before(phase.name, split.train)
                weights = [p for part in phase.parts for p in getattr(model, part).parameters()]
                optimizers[phase.name] = torch.optim.AdamW(
                    weights, phase.learning_rate, phase.betas, weight_decay=phase.weight_decay
                )
            for _ in range(phase.repeats):
                index = torch.randint(len(split.train), (recipe.training.batch_size,))
                losses = model(phase.name, split.train.batch(index))
                optimizers[phase.name].zero_grad(set_to_none=True)
                losses["loss"].backward()
                optimizers[phase.name].step()
        step, spent = step + 1, spent + time.process_time() - begun
    model.save(folder.model)
    folder.note(status="finished", steps=step, seconds=spent)
    return folder
