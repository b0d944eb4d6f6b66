"""Sessions: one hook, a pure callable, nothing left behind, nested, compiled, empty and small
batches.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stir_hf import RequestError, RunError, load_encoder
from stir_hf.models.run.precision import float32_precision
from tests.conftest import TinyModels
from tests.models.networks import IMAGES, Classifier, Small, as_checkpoint
from tests.models.test_encoders import state_of

FAMILIES = ("resnet", "vit", "mobilenet")


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small()


def passes_of(module: nn.Module) -> list[int]:
    """Grows by one with every forward pass."""
    passes: list[int] = []
    module.register_forward_pre_hook(lambda *_: passes.append(1))
    return passes


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", ["penultimate", "logits", "hidden_states[1]"])
def test_a_session_gives_what_the_encoder_gives(
    family: str, layer: str, tiny_models: TinyModels
) -> None:
    encoder = load_encoder(getattr(tiny_models, family), layer, device="cpu")
    expected = encoder(IMAGES)
    hooks = state_of(encoder.module)[1]
    with encoder.session() as session:
        held = state_of(encoder.module)[1]
        assert sum(map(sum, held)) == sum(map(sum, hooks)) + 1
        for _ in range(2):
            assert torch.equal(session(IMAGES), expected)
        assert torch.equal(encoder(IMAGES), expected)
    assert state_of(encoder.module)[1] == hooks


def test_a_session_is_opened_once_and_used_while_open(small: Small) -> None:
    encoder = load_encoder(small)
    encoder.find_layer((32, 32))
    session = encoder.session()
    with pytest.raises(RuntimeError, match="not open"):
        session(IMAGES)
    with session, pytest.raises(RuntimeError, match="open already"):
        session.__enter__()
    with pytest.raises(RuntimeError, match="not open"):
        session(IMAGES)


class Touchy(Small):
    """Changes its buffers in eval mode too: one in place, one by another tensor."""

    count: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("last", torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        self.count += 1
        self.last = torch.full((2,), images.sum().item())
        return super().forward(images)


@pytest.mark.parametrize("fails", [False, True])
def test_leaving_a_session_restores_all(fails: bool) -> None:
    torch.manual_seed(0)
    module = Touchy().train()
    module.drop.eval()
    module.conv.bias.requires_grad_(False)  # type: ignore[union-attr]
    last, encoder = module.last, load_encoder(module)
    before, weights = state_of(module), copy.deepcopy(module.state_dict())
    encoder.find_layer((32, 32))
    try:
        with encoder.session() as session:
            session(IMAGES)
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert state_of(module) == before
    assert module.last is last
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def test_sessions_of_one_network_may_be_nested_and_end_in_any_order(small: Small) -> None:
    small.train()
    before = state_of(small)
    encoders = [load_encoder(small, layer) for layer in ("conv", "act", "conv", "output")]
    expected = [encoder(IMAGES) for encoder in encoders]
    sessions = [encoder.session().__enter__() for encoder in encoders]
    for _ in range(2):
        for session, value in zip(sessions, expected, strict=True):
            assert torch.equal(session(IMAGES), value)
    for i in (1, 0, 3):
        sessions[i].__exit__(None, None, None)
        assert not small.training
    assert torch.equal(sessions[2](IMAGES), expected[2])
    sessions[2].__exit__(None, None, None)
    assert state_of(small) == before


def test_a_hook_acts_in_its_own_session_only(small: Small) -> None:
    encoder = load_encoder(small, "conv")
    encoder.find_layer((32, 32))
    with encoder.session() as session:
        assert session(IMAGES).shape == (3, 5)
        assert small(IMAGES).shape == (3, 4)  # the whole network still runs for its owner


def test_an_error_in_a_pass_leaves_the_session_usable(small: Small) -> None:
    encoder = load_encoder(small, "act")
    expected = encoder(IMAGES)
    fails = [True]

    def fail(*_: Any) -> None:
        if fails:
            raise KeyError("on purpose")

    with small.norm.register_forward_hook(fail), encoder.session() as session:
        with pytest.raises(KeyError, match="on purpose"):
            session(IMAGES)
        fails.clear()
        assert small(IMAGES).shape == (3, 4)
        assert torch.equal(session(IMAGES), expected)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off(off: Callable[[], Any], tiny_models: TinyModels) -> None:
    plain = load_encoder(tiny_models.resnet, device="cpu")
    expected = plain(IMAGES)
    with off():
        encoder = load_encoder(tiny_models.resnet, device="cpu")
        with encoder.session() as session:
            assert torch.equal(session(IMAGES), expected)
            assert session.check(session.network.kind((32, 32)), gradient=False).shape == (2, 16)
            with torch.inference_mode(False), torch.enable_grad():
                images = IMAGES.clone().requires_grad_()
                (gradient,) = torch.autograd.grad(session(images).sum(), images)
    assert gradient.any()


def test_a_network_that_was_made_in_inference_mode() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        module = Small()
    before = state_of(module)
    encoder = load_encoder(module)
    with torch.no_grad():
        assert torch.equal(encoder(IMAGES), encoder(IMAGES))
    assert state_of(module) == before


@pytest.mark.parametrize("layer", ["penultimate", "resnet.encoder", "logits"])
def test_an_empty_batch(layer: str, tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.resnet, layer, device="cpu")
    width = encoder(IMAGES).shape[1]
    assert encoder(IMAGES[:0]).shape == (0, width)


def test_small_batches_give_the_same_and_their_copies_no_gradient(small: Small) -> None:
    encoder = load_encoder(small.double())
    images = torch.rand(6, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    (whole,) = torch.autograd.grad(encoder(images).square().sum(), images)
    for count in (1, 2, 3):
        some = images.detach()[:count].clone().requires_grad_()
        torch.testing.assert_close(encoder(some), encoder(images)[:count])
        (gradient,) = torch.autograd.grad(encoder(some).square().sum(), some)
        torch.testing.assert_close(gradient, whole[:count])


class InPlace(nn.Module):
    """Normalises the tensor that it is given in place."""

    def forward(self, images: Tensor) -> Tensor:
        return images.sub_(0.5).div_(0.25).flatten(1)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_the_callers_images_are_left_alone(count: int) -> None:
    images = torch.rand(count, 3, 4, 4)
    kept, encoder = images.clone(), load_encoder(InPlace())
    expected = ((kept - 0.5) / 0.25).flatten(1)
    torch.testing.assert_close(encoder(images), expected)
    assert torch.equal(images, kept)
    leaf = images.requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(leaf).sum(), leaf)
    assert torch.equal(gradient, torch.full_like(gradient, 4))


@pytest.mark.verify
@pytest.mark.parametrize("family", ["resnet", "vit"])
def test_a_session_compiles_as_one_graph(family: str, tiny_models: TinyModels) -> None:
    encoder = load_encoder(getattr(tiny_models, family), device="cpu")
    with encoder.session() as session:
        compiled = torch.compile(session, fullgraph=True, backend="eager")
        for count in (5, 2):
            images = torch.rand(count, 3, 32, 32).requires_grad_()
            found, expected = compiled(images), session(images)
            assert torch.equal(found, expected)
            (ours,) = torch.autograd.grad(found.square().sum(), images)
            (plain,) = torch.autograd.grad(expected.square().sum(), images)
            torch.testing.assert_close(ours, plain)
            assert session._found is None


def precision() -> list[Any]:
    backends: Any = torch.backends
    cuda, cudnn = backends.cuda, backends.cudnn
    old = [cuda.matmul.allow_tf32, cudnn.allow_tf32, torch.get_float32_matmul_precision()]
    if not hasattr(cuda.matmul, "fp32_precision"):
        return old
    new = [cuda.matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision]
    return [*old, *new, backends.mkldnn.matmul.fp32_precision]


@pytest.mark.parametrize("before", ["highest", "high", "medium"])
@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_set_while_open_and_restored(before: str, tf32: bool, small: Small) -> None:
    encoder = load_encoder(small)
    encoder.find_layer((32, 32))
    original = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(before)
        kept = precision()
        with encoder.session(tf32=tf32):
            assert torch.backends.cuda.matmul.allow_tf32 is tf32
            assert torch.backends.cudnn.allow_tf32 is tf32
            with encoder.session(tf32=not tf32):
                assert torch.backends.cuda.matmul.allow_tf32 is not tf32
            assert torch.backends.cuda.matmul.allow_tf32 is tf32
        assert precision() == kept
        with pytest.raises(KeyError), float32_precision(tf32):
            raise KeyError
        assert precision() == kept
    finally:
        torch.set_float32_matmul_precision(original)


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="terms of torch 2.9"
)
@pytest.mark.parametrize("name", ["conv", "rnn"])
@pytest.mark.parametrize("before", ["ieee", "tf32"])
def test_the_new_terms_of_precision_are_restored(name: str, before: str) -> None:
    part = getattr(torch.backends.cudnn, name)
    kept = part.fp32_precision
    try:
        part.fp32_precision = before
        with float32_precision(True):
            assert part.fp32_precision == "tf32"
        assert part.fp32_precision == before
        with float32_precision(False):
            assert part.fp32_precision != "tf32"
        assert part.fp32_precision == before
    finally:
        part.fp32_precision = kept


@pytest.mark.parametrize("layer", ["penultimate", "logits", "vit.layers.1:cls", "hidden_states[2]"])
def test_one_pass_finds_the_layer_and_two_check_it(layer: str, tiny_models: TinyModels) -> None:
    passes: list[int] = []
    import transformers

    def count(*_: Any, **__: Any) -> None:
        passes.append(1)

    kept = transformers.ViTForImageClassification.forward

    def forward(*args: Any, **options: Any) -> Any:
        count()
        return kept(*args, **options)

    vit: Any = transformers.ViTForImageClassification
    vit.forward = forward
    try:
        encoder = load_encoder(tiny_models.vit, layer, device="cpu")
        encoder.find_layer((32, 32))
        assert encoder.layers
        assert encoder.penultimate
        assert len(passes) == 1
        with encoder.session() as session:
            found = session.check(session.network.kind((32, 32)), gradient=True)
        assert len(passes) == 3
    finally:
        vit.forward = kept
    assert found.shape[0] == 2
    assert not found.requires_grad
    probe = encoder.network.probe(encoder.kind((32, 32)))
    torch.testing.assert_close(found, encoder(probe), rtol=0, atol=1e-6)


def test_a_module_takes_one_pass_for_each_size(small: Small) -> None:
    encoder, passes = load_encoder(small, "act"), passes_of(small)
    for size, expected in (((9, 8), 1), ((9, 8), 1), ((12, 8), 2)):
        encoder.find_layer(size)
        assert len(passes) == expected
    with encoder.session() as session:
        session.check(session.network.kind((12, 8)), gradient=True)
    assert len(passes) == 4


class Draws(nn.Module):
    """Draws at random in eval mode too, in one of its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.noise = Noise()

    def forward(self, images: Tensor) -> Tensor:
        return self.third(self.noise(self.second(self.first(images)))).flatten(1)  # type: ignore[no-any-return]


class Noise(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + 0.1 * torch.randn_like(images)


def test_a_network_that_draws_at_random_is_refused_and_the_module_named() -> None:
    encoder = load_encoder(Draws())
    encoder.find_layer((6, 6))
    with (
        encoder.session() as session,
        pytest.raises(RequestError, match=r"Draws gives different representations .* 'noise'"),
    ):
        session.check(session.network.kind((6, 6)), gradient=True)
    steady = load_encoder(encoder.module, "second")
    steady.find_layer((6, 6))
    with steady.session() as session:
        session.check(session.network.kind((6, 6)), gradient=True)


def test_a_masked_autoencoder_is_refused() -> None:
    import transformers as tf

    torch.manual_seed(0)
    config = tf.ViTMAEConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=32,
        patch_size=8,
    )
    encoder = as_checkpoint(tf.ViTMAEModel(config))
    with (
        encoder.session() as session,
        pytest.raises(RequestError, match=r"different representations .*'embeddings'"),
    ):
        session.check(session.network.kind((32, 32)), gradient=False)


def test_a_network_that_was_trained_since_is_not_refused() -> None:
    encoder = as_checkpoint(Classifier())
    with torch.no_grad():
        encoder.module.stem.weight.mul_(2)  # type: ignore[union-attr, operator]
    with encoder.session() as session:
        found = session.check(session.network.kind((32, 32)), gradient=True)
        assert torch.equal(found, session.check(session.network.kind((32, 32)), gradient=True))
    torch.testing.assert_close(found, encoder(encoder.network.probe(encoder.kind((32, 32)))))


class Detached(Classifier):
    def features(self, pixel_values: Tensor) -> Tensor:
        return super().features(pixel_values.detach())


class Rounded(Classifier):
    def features(self, pixel_values: Tensor) -> Tensor:
        return super().features(pixel_values.mul(4).round())


class Off(Classifier):
    @torch.no_grad()
    def features(self, pixel_values: Tensor) -> Tensor:
        return super().features(pixel_values)


@pytest.mark.parametrize("kind", [Detached, Rounded, Off])
def test_a_network_without_a_gradient_is_refused_where_one_is_needed(
    kind: type[Classifier],
) -> None:
    encoder = as_checkpoint(kind())
    with encoder.session() as session:
        assert session.check(session.network.kind((32, 32)), gradient=False).shape == (2, 6)
        with pytest.raises(RequestError, match="toy carries no gradient"):
            session.check(session.network.kind((32, 32)), gradient=True)


class Fails(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("only 5x5"), RequestError, "does not run on images of shape 3x8x8: only 5x5"),
        (RuntimeError("mat1 and mat2 shapes"), RequestError, "does not run on images"),
        (RuntimeError("expected 3 channels"), RequestError, "does not run on images"),
        (AssertionError("wrong image size"), RequestError, "does not run on images"),
        (AssertionError("something else"), AssertionError, "something else"),
        (RuntimeError("device-side assert triggered"), RuntimeError, "device-side"),
        (KeyError("weights"), KeyError, "weights"),
        (AttributeError("no shape"), AttributeError, "no shape"),
        (TypeError("size"), TypeError, "size"),
        (torch.OutOfMemoryError("CUDA"), RunError, "out of memory .* smaller --batch-size"),
        (MemoryError(), RunError, "out of memory .* smaller --batch-size"),
        (RuntimeError("CUDA error: out of memory"), RunError, "out of memory .*--batch-size"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 5 bytes"),
            RunError,
            "out of memory .*--batch-size",
        ),
    ],
    ids=repr,
)
def test_what_an_error_of_a_pass_means(
    error: BaseException, kind: type[BaseException], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised:
        load_encoder(Fails(error))(torch.rand(2, 3, 8, 8))
    assert type(raised.value) is kind
