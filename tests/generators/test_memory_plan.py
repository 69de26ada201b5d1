"""How a pipeline is put into the memory there is, as a table, and that a plan is carried out."""

import pytest

from generators.errors import ModelError
from generators.memory_plan import GIB, MemoryPlan, apply_plan, choose_device, free_memory, plan_memory

ALL = {"attention_slicing": True, "vae_slicing": True, "vae_tiling": True}
VAE = {"vae_slicing": True, "vae_tiling": True}


@pytest.mark.parametrize(
    ("weights", "largest", "free", "device", "plan"),
    [
        (5, 4, 24, "cuda", MemoryPlan("cuda", "float16")),
        (5, 4, 10, "cuda", MemoryPlan("cuda", "float16", vae_slicing=True)),
        (5, 4, 8, "cuda:1", MemoryPlan("cuda:1", "float16", **VAE)),
        (5, 4, 6.5, "cuda", MemoryPlan("cuda", "float16", "model", **VAE)),
        (5, 4, 4, "cuda", MemoryPlan("cuda", "float16", "sequential", **ALL)),
        (33, 24, 24, "cuda", MemoryPlan("cuda", "float16", "sequential", **ALL)),
        (33, 24, 40, "cuda", MemoryPlan("cuda", "float16")),
        (33, 24, 27, "cuda", MemoryPlan("cuda", "float16", "model", **VAE)),
        (33, 0, 27, "cuda", MemoryPlan("cuda", "float16", "sequential", **ALL)),
        (5, 4, 0.5, "cuda", MemoryPlan("cuda", "float16", "none", **ALL, fits=False)),
        (5, 4, 24, "mps", MemoryPlan("mps", "float16")),
        (5, 4, 6, "mps", MemoryPlan("mps", "float16", "none", **ALL, fits=False)),
        (5, 4, 24, "cpu", MemoryPlan("cpu", "float32")),
        (5, 4, 11, "cpu", MemoryPlan("cpu", "float32", **ALL)),
        (5, 4, 8, "cpu", MemoryPlan("cpu", "bfloat16", **ALL)),
        (5, 4, 5, "cpu", MemoryPlan("cpu", "bfloat16", **ALL, fits=False)),
    ],
)
def test_the_plan_for_weights_in_gib_and_memory_in_gib(weights, largest, free, device, plan):
    assert plan_memory(int(weights * GIB), int(free * GIB), device, largest_bytes=int(largest * GIB)) == plan


def test_the_fast_half_precision_is_taken():
    assert plan_memory(GIB, 24 * GIB, "cuda", "bfloat16").dtype == "bfloat16"


def test_a_plan_never_grows_hungrier_as_memory_shrinks():
    order = {"none": 0, "model": 1, "sequential": 2}
    plans = [plan_memory(5 * GIB, free * GIB // 4, "cuda", largest_bytes=4 * GIB) for free in range(120, 4, -1)]
    ranks = [(order[plan.offload], plan.vae_tiling, plan.vae_slicing) for plan in plans]
    assert ranks == sorted(ranks)
    assert {plan.offload for plan in plans} == set(order)


def test_the_device_is_found_and_a_word_that_is_none_refused():
    assert choose_device("cuda:1") == "cuda:1"
    assert choose_device() in ("cpu", "cuda", "mps")
    assert free_memory("cpu") > 0
    with pytest.raises(ModelError, match="there is no device toaster"):
        choose_device("toaster")


class Part:
    """Takes down what is asked of it."""

    model_cpu_offload_seq = "text_encoder->unet->vae"

    def __init__(self, **parts):
        self.asked = []
        self.__dict__.update(parts)

    def __getattr__(self, name):
        if not name.startswith(("enable_", "to")):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.asked.append(name)


def test_a_plan_is_carried_out_on_the_pipeline_and_its_autoencoder():
    pipeline = Part(vae=Part())
    apply_plan(pipeline, MemoryPlan("cuda", "float16", "model", **ALL))
    assert pipeline.asked == ["enable_model_cpu_offload", "enable_attention_slicing"]
    assert pipeline.vae.asked == ["enable_slicing", "enable_tiling"]
    plain = Part(vae=Part())
    apply_plan(plain, MemoryPlan("cpu", "float32"))
    assert (plain.asked, plain.vae.asked) == (["to"], [])
    slow = Part()
    apply_plan(slow, MemoryPlan("cuda", "float16", "sequential"))
    assert slow.asked == ["enable_sequential_cpu_offload"]
