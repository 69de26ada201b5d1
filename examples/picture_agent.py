"""An agent that draws: a tool from the darkroom, wrapped as one that writes, and a human who is asked before it does.

    python examples/picture_agent.py                       # pictures go to pictures/
    python examples/picture_agent.py my/pictures --base-url http://127.0.0.1:8000/v1

The pipeline is the settings' (`model` of [generators]); without one, a small one of random weights is made on the
spot, which draws colourful noise.
"""

import sys
import tempfile
from pathlib import Path

from which_decoder import call, which_decoder

from agents import Agent, ApprovalRequest, Policy, tool
from generators.picture_tool import picture_tool
from generators.settings import generator_settings
from generators.text_to_image import TextToImage

SCRIPT = [
    "I draw what the user wants to see.",
    call("draw_picture", prompt="a red cat"),
    "The picture is there.",
    call("final_answer", answer="The cat is in picture-0001.png."),
]


def approve(request: ApprovalRequest) -> bool:
    """Yes to at most a hundred letters; a human could be asked here."""
    prompt = str(request.call.arguments["prompt"])
    agreed = len(prompt) <= 100
    print(f"  asked about {request.call.tool} {prompt!r}: {'approved' if agreed else 'refused'}")
    return agreed


def small_pipeline(folder: Path) -> Path:
    """A Stable Diffusion of some forty thousand random weights, made from parts and saved."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "red": 2, "cat": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<pad>", unk_token="<unk>", model_max_length=16
    )
    text = CLIPTextConfig(
        vocab_size=4, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, eos_token_id=0,
        max_position_embeddings=16, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, sample_size=32)
    unet = UNet2DConditionModel(
        sample_size=32, block_out_channels=(8,), layers_per_block=1, cross_attention_dim=16, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",), attention_head_dim=2,
    )  # fmt: skip
    schedule = DDIMScheduler(
        beta_schedule="scaled_linear", clip_sample=False, timestep_spacing="trailing", steps_offset=1
    )
    pipeline = StableDiffusionPipeline(
        vae, CLIPTextModel(text), tokenizer, unet, schedule, None, None, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("--") else "pictures"
    with tempfile.TemporaryDirectory() as scratch, which_decoder(SCRIPT) as decoder:
        maker = TextToImage(generator_settings().model or small_pipeline(Path(scratch)))
        draw = tool(effect="write", timeout=600)(picture_tool(maker, given, steps=20))
        policy = Policy(ask_for={"write"}, limits={"draw_picture": 3}, approve=approve)
        result = Agent(decoder, [draw], policy=policy).run("Draw me a red cat.")
    print(result.answer)
