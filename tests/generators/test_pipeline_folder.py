"""A pipeline's folder is data that somebody else wrote: what is hostile in it is refused by name, before it loads."""

import importlib.util
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from generators.errors import ModelError, PipelineRefused
from generators.pipeline_folder import check_folder
from generators.pipelines_loading import count_parameters, load_pipeline

pytest.importorskip("diffusers", reason="diffusers is in the generate extra")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("pipelines_support")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return support.save_pipeline("sd", tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound, tmp_path):
    """A copy of a sound pipeline, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "pipeline"))


class Trap:
    """What a pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("trap-was-sprung",)


def change(file, **keys):
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, **keys}))
    return file


def test_a_sound_folder_is_what_it_says(folder):
    layout = check_folder(folder)
    assert layout.pipeline == "StableDiffusionPipeline"
    assert set(layout.components) == {"vae", "text_encoder", "tokenizer", "unet", "scheduler"}
    assert folder / "unet" / "diffusion_pytorch_model.safetensors" in layout.files
    pipeline = load_pipeline(folder, device="cpu").pipeline
    parts = (pipeline.vae, pipeline.text_encoder, pipeline.unet)
    assert count_parameters(layout.files) == sum(p.numel() for part in parts for p in part.state_dict().values())


def pickled_weights(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    return _pickle(folder / "unet" / "diffusion_pytorch_model.bin")


def _pickle(file):
    file.write_bytes(pickle.dumps(Trap()))
    return file


def pickle_named_safetensors(folder):
    return _pickle(folder / "unet" / "diffusion_pytorch_model.safetensors")


def pickled_tokenizer(folder):
    return _pickle(folder / "tokenizer" / "vocab.pkl")


def code_beside(folder):
    (folder / "unet" / "my_unet.py").write_text("import os; os.mkdir('trap-was-sprung')")
    change(folder / "model_index.json", unet=["my_unet", "MyUnet"])
    return folder / "unet" / "my_unet.py"


def code_at_the_top(folder):
    (folder / "pipeline.py").write_text("import os; os.mkdir('trap-was-sprung')")
    return folder / "pipeline.py"


def a_module_of_python(folder):
    return change(folder / "model_index.json", unet=["subprocess", "Popen"])


def a_module_by_its_path(folder):
    return change(folder / "model_index.json", unet=["diffusers.utils", "import_utils"])


def a_class_that_is_no_part(folder):
    return change(folder / "model_index.json", unet=["diffusers", "logging"])


def a_whole_pipeline_as_a_part(folder):
    return change(folder / "model_index.json", unet=["diffusers", "StableDiffusionPipeline"])


def a_part_that_loads_in_a_way_of_its_own(folder):
    return change(folder / "model_index.json", tokenizer=["transformers", "RagRetriever"])


def a_part_of_two_letters(folder):
    return change(folder / "model_index.json", unet="ab")


def onnx(folder):
    return change(folder / "model_index.json", unet=["diffusers", "OnnxRuntimeModel"])


def a_pipeline_of_its_own(folder):
    return change(folder / "model_index.json", _class_name=["pipeline", "MyPipeline"])


def a_class_that_is_no_pipeline(folder):
    return change(folder / "model_index.json", _class_name="UNet2DModel")


def a_part_outside(folder):
    return change(folder / "model_index.json", **{"../outside": ["diffusers", "UNet2DModel"]})


def a_part_of_an_odd_shape(folder):
    return change(folder / "model_index.json", unet={"library": "diffusers"})


def an_index_that_is_a_list(folder):
    (folder / "model_index.json").write_text("[]")
    return folder / "model_index.json"


def an_index_of_deep_brackets(folder):
    (folder / "model_index.json").write_text("[" * 100_000)
    return folder / "model_index.json"


def no_index(folder):
    (folder / "model_index.json").unlink()
    return folder


def automatic_code(folder):
    return change(folder / "text_encoder" / "config.json", auto_map={"AutoModel": "modeling.Mine"})


def trust(folder):
    return change(folder / "tokenizer" / "tokenizer_config.json", nested={"trust_remote_code": True})


def words_elsewhere(folder):
    return change(folder / "tokenizer" / "tokenizer_config.json", vocab_file="/etc/passwd")


def words_above(folder):
    return change(folder / "tokenizer" / "tokenizer_config.json", nested=[{"tokenizer_file": "../../words.json"}])


def a_backbone_of_the_hub(folder):
    return change(folder / "text_encoder" / "config.json", backbone="someone/else", use_pretrained_backbone=True)


def a_configuration_as_deep_as_json_goes(folder):
    (folder / "unet" / "config.json").write_text("[" * 900 + "]" * 900)
    return folder / "unet" / "config.json"


def a_shape_without_end(folder):
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**4000] * 1000, "data_offsets": [0, 0]}}).encode()
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    return file


def a_kernel_of_the_hub(folder):
    return change(folder / "text_encoder" / "config.json", _attn_implementation="someone/kernel")


def an_adapter_that_names_another_model(folder):
    (folder / "text_encoder" / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    return folder / "text_encoder" / "adapter_config.json"


def a_link_outside(folder):
    (folder.parent / "outside.safetensors").write_bytes(b"")
    link = folder / "unet" / "extra.safetensors"
    link.symlink_to(folder.parent / "outside.safetensors")
    return link


def a_folder_link_outside(folder):
    shutil.move(folder / "vae", folder.parent / "vae")
    (folder / "vae").symlink_to(folder.parent / "vae")
    return folder / "vae"


def a_folder_link_within(folder):
    shutil.move(folder / "tokenizer", folder / "words")
    (folder / "tokenizer").symlink_to("words")
    return folder / "tokenizer"


def a_pipe(folder):
    os.mkfifo(folder / "unet" / "waiting")
    return folder / "unet" / "waiting"


def a_shard_outside(folder):
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.move(weights, folder / "unet" / "diffusion_pytorch_model-00001-of-00001.safetensors")
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"a": "../../outside.safetensors"}}))
    return index


def a_shard_of_a_pickle(folder):
    index = a_shard_outside(folder)
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"a": "weights.bin"}}))
    return index


def a_truncated_file(folder):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    return file


HOSTILE = [
    pickled_weights, pickle_named_safetensors, pickled_tokenizer, code_beside, code_at_the_top, a_module_of_python,
    a_module_by_its_path, a_class_that_is_no_part, onnx, a_pipeline_of_its_own, a_class_that_is_no_pipeline,
    a_part_outside, a_part_of_an_odd_shape, an_index_that_is_a_list, an_index_of_deep_brackets, no_index,
    automatic_code, trust, a_kernel_of_the_hub, an_adapter_that_names_another_model, a_link_outside,
    a_folder_link_outside, a_pipe, a_shard_outside, a_whole_pipeline_as_a_part, a_part_that_loads_in_a_way_of_its_own,
    a_part_of_two_letters, words_elsewhere, words_above, a_backbone_of_the_hub, a_configuration_as_deep_as_json_goes,
    a_shape_without_end, a_folder_link_within, a_shard_of_a_pickle, a_truncated_file,
]  # fmt: skip


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_what_is_hostile_or_broken_is_refused_by_name_and_nothing_of_it_runs(folder, monkeypatch, spoil):
    monkeypatch.chdir(folder.parent)
    culprit = spoil(folder)
    with pytest.raises(PipelineRefused) as caught:
        load_pipeline(folder, device="cpu")
    assert str(culprit) in str(caught.value)
    assert caught.value.remedy
    assert not Path("trap-was-sprung").exists()


def test_a_folder_that_is_changed_between_its_check_and_its_loading_is_refused(folder, monkeypatch):
    import diffusers

    load_it = diffusers.DiffusionPipeline.from_pretrained

    def change_and_load(*asked, **options):
        change(folder / "scheduler" / "scheduler_config.json", beta_end=0.5)
        return load_it(*asked, **options)

    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", change_and_load)
    with pytest.raises(PipelineRefused, match="was changed while it was loaded"):
        load_pipeline(folder, device="cpu")


def test_pickles_beside_safetensors_are_not_read(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    _pickle(folder / "unet" / "diffusion_pytorch_model.bin")
    loaded = load_pipeline(folder, device="cpu")
    assert loaded.pipeline.unet is not None
    assert not Path("trap-was-sprung").exists()


def test_a_link_within_the_folder_is_followed(folder):
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.move(weights, folder / "blob")
    weights.symlink_to("../blob")
    assert load_pipeline(folder, device="cpu").pipeline.unet is not None


def test_sharded_weights_and_a_variant_are_loaded(folder):
    import diffusers

    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet", max_shard_size="20KB")
    vae = folder / "vae"
    (vae / "diffusion_pytorch_model.safetensors").rename(vae / "diffusion_pytorch_model.fp16.safetensors")
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").is_file()
    assert load_pipeline(folder, device="cpu").pipeline.unet.conv_in.weight.equal(unet.conv_in.weight)


@pytest.mark.parametrize("revision", ["", "main", "0123abc", COMMIT.upper()])
def test_a_name_on_the_hub_needs_a_whole_commit(revision):
    with pytest.raises(PipelineRefused, match="whole commit"):
        load_pipeline("someone/model", revision)


@pytest.mark.parametrize("revision", ["../../refs", "refs/../../x", "a b", "/etc", "-x", "é"])
def test_a_revision_that_is_a_path_is_refused_even_where_any_is_taken(revision):
    with pytest.raises(PipelineRefused, match="is no revision"):
        load_pipeline("someone/model", revision, allow_unpinned=True)


def test_what_is_neither_folder_nor_name_is_told():
    with pytest.raises(ModelError, match="neither a folder nor"):
        load_pipeline("not/a/name")
    with pytest.raises(ModelError, match=r"set generators\.model"):
        load_pipeline()


@pytest.fixture
def cache(sound, tmp_path, monkeypatch):
    """A hub cache as huggingface_hub lays it out, with links to blobs; no network."""
    import huggingface_hub.constants
    from diffusers.utils import constants, hub_utils

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for module in (constants, hub_utils):
        if hasattr(module, "HF_HUB_CACHE"):
            monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--someone--model"
    snapshot = place / "snapshots" / COMMIT
    for file in sorted(path for path in sound.rglob("*") if path.is_file()):
        blob = place / "blobs" / file.relative_to(sound).as_posix().replace("/", "-")
        link = snapshot / file.relative_to(sound)
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def test_a_pinned_name_is_loaded_from_the_cache_without_a_network(cache):
    loaded = load_pipeline("someone/model", COMMIT, device="cpu")
    assert (loaded.identity.name, loaded.identity.revision, loaded.identity.sha256) == ("someone/model", COMMIT, "")


def test_links_out_of_the_models_cache_are_refused(cache):
    link = cache / "unet" / "config.json"
    link.unlink()
    link.symlink_to("/etc/hostname")
    with pytest.raises(PipelineRefused, match="a link that leaves"):
        load_pipeline("someone/model", COMMIT, device="cpu")


def test_without_network_and_cache_the_remedy_is_told(cache):
    with pytest.raises(ModelError, match=r"hf download someone/other --revision 0123"):
        load_pipeline("someone/other", COMMIT, device="cpu")


def test_weights_that_do_not_fit_their_configuration_are_a_typed_error(folder):
    change(folder / "unet" / "config.json", block_out_channels=[32, 64])
    with pytest.raises(ModelError, match="loading the pipeline"):
        load_pipeline(folder, device="cpu")


def test_a_device_that_is_not_there_is_told(folder):
    with pytest.raises(ModelError, match="there is no device"):
        load_pipeline(folder, device="toaster")
    with pytest.raises(ModelError, match="dtype float8"):
        load_pipeline(folder, device="cpu", dtype="float8")
