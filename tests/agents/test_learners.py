"""What an update does: the contrastive step, the encoder that actor and critic share, and its randomness."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

import tiny_environments
from gymnasium import spaces
from torch import Tensor

from likewise.agents.contrast import MOMENTUM, CropContrast
from likewise.agents.environment import pixel_environment
from likewise.agents.extractor import FramesExtractor
from likewise.agents.learners import PixelDQN, PixelSAC, Updates, build_learner
from likewise.agents.variants import VARIANTS, crops_of
from likewise.seeding import generator_for

SIDE = tiny_environments.GRID * tiny_environments.PIXELS
UPDATES = Updates(lr=1e-3, batch_size=8, buffer_size=1000, every=2, starts=8)


def learner(method: str, env: str = "tiny/Catch-v0", seed: int = 0) -> PixelDQN | PixelSAC:
    variant = VARIANTS[method]
    torch.manual_seed(seed)
    env_ = pixel_environment(env, size=variant.rendered(SIDE), seed=seed)
    return build_learner(
        env_,
        discrete=isinstance(env_.action_space, spaces.Discrete),
        extractor_class=FramesExtractor,
        extractor_options={"name": "nature_cnn", "size": SIDE},
        updates=UPDATES,
        steps=40,
        augment=variant.augmentation(SIDE),
        contrast_views=crops_of(SIDE) if variant.contrast else None,
        seed=seed,
        device="cpu",
    )


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def crops(n: int = 12) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(0)
    observations = torch.from_numpy(random.integers(256, size=(n, 9, 24, 24), dtype=np.uint8))
    generator = generator_for(0)
    views = crops_of(SIDE)
    return views(observations, generator), views(observations, generator)


def test_the_contrastive_step_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    extractor = FramesExtractor(spaces.Box(0, 255, (9, SIDE, SIDE), np.uint8), name="nature_cnn", size=SIDE)
    contrast = CropContrast(extractor, lr=1e-3)
    with torch.no_grad():
        for parameter in extractor.parameters():
            parameter.add_(0.01)  # the agent has learned since
    before, keys_before = copy.deepcopy(extractor), copy.deepcopy(contrast.keys)
    weight_before = contrast.weight.detach().clone()
    queries, keys = crops()
    loss = contrast.step(extractor, queries, keys)
    mixed = [
        MOMENTUM * k + (1 - MOMENTUM) * p for k, p in zip(keys_before.parameters(), before.parameters(), strict=True)
    ]
    for got, wanted in zip(contrast.keys.parameters(), mixed, strict=True):
        torch.testing.assert_close(got, wanted)
    with torch.no_grad():
        logits = before(queries.float() / 255) @ weight_before @ contrast.keys(keys.float() / 255).T
    wanted_loss = torch.nn.functional.cross_entropy(logits - logits.max(1, keepdim=True).values, torch.arange(12))
    torch.testing.assert_close(loss, wanted_loss)
    assert not torch.equal(contrast.weight, weight_before)
    changed = [not torch.equal(a, b) for a, b in zip(extractor.parameters(), before.parameters(), strict=True)]
    assert all(changed)
    assert not any(p.requires_grad for p in contrast.keys.parameters())


def test_the_contrastive_loss_falls() -> None:
    torch.manual_seed(0)
    extractor = FramesExtractor(spaces.Box(0, 255, (9, SIDE, SIDE), np.uint8), name="nature_cnn", size=SIDE)
    contrast = CropContrast(extractor, lr=1e-3)
    losses = [float(contrast.step(extractor, *crops())) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("method", ["curl", "rad", "drq", "pixel"])
def test_a_variant_learns_from_what_it_should(method: str) -> None:
    agent = learner(method)
    agent.learn(30, log_interval=100)
    assert (agent.contrast is not None) == (method == "curl")
    assert ("train/contrast" in agent.logger.name_to_value) == (method == "curl")
    assert agent._n_updates == (30 - 8) // 2
    seen = agent.replay_buffer.sample(8).observations
    assert seen.shape[2:] == (SIDE, SIDE)
    whole = agent.replay_buffer.last
    assert whole is not None
    assert whole.shape[2] == (24 if method in ("curl", "rad") else SIDE)
    if method == "pixel":
        assert torch.equal(seen, whole)
    if method == "drq":
        assert not torch.equal(seen, whole)


def test_only_curl_differs_from_rad_by_its_loss() -> None:
    with_loss, without = learner("curl"), learner("rad")
    for name, tensor in weights(with_loss.policy).items():
        assert torch.equal(tensor, weights(without.policy)[name])
    with_loss.contrast = None
    for agent in (with_loss, without):
        agent.learn(30, log_interval=100)
    for name, tensor in weights(with_loss.policy).items():
        assert torch.equal(tensor, weights(without.policy)[name])


@pytest.mark.parametrize("env", ["tiny/Catch-v0", pytest.param("tiny/CatchWithForce-v0", marks=pytest.mark.slow)])
def test_a_training_is_a_function_of_its_seed(env: str) -> None:
    def trained(seed: int, disturbed: int) -> dict[str, Any]:
        agent = learner("curl", env, seed)
        torch.manual_seed(disturbed)
        np.random.seed(disturbed)
        agent.learn(24, log_interval=100)
        return weights(agent.policy)

    once, again, other = trained(0, 1), trained(0, 2), trained(1, 1)
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not all(torch.equal(once[name], other[name]) for name in once)


def test_the_critic_trains_the_encoder_and_the_actor_does_not() -> None:
    agent = learner("pixel", "tiny/CatchWithForce-v0")
    assert isinstance(agent, PixelSAC)
    names = {name for name, _ in agent.actor.named_parameters()}
    assert names
    assert not any("features_extractor" in name for name in names)
    observations = torch.rand(4, 9, SIDE, SIDE)
    agent.actor(observations).sum().backward()
    assert all(p.grad is None for p in agent.critic.parameters())
    before = weights(agent.extractor)
    agent.learn(24, log_interval=100)
    assert not all(torch.equal(before[name], tensor) for name, tensor in weights(agent.extractor).items())
    with torch.no_grad():
        shared = agent.actor.features_extractor(observations)
        torch.testing.assert_close(shared, agent.critic.features_extractor(observations))
