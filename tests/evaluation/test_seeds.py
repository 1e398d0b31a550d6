import torch

from likewise.evaluation.seeds import seeded, trial_seed


def test_every_trial_has_a_seed_of_its_own():
    trials = [(seed, protocol, count) for seed in (0, 1) for protocol in ("a", "b") for count in (1, 10, "all")]
    seeds = [trial_seed(*trial) for trial in trials]
    assert len(set(seeds)) == len(trials)
    assert seeds == [trial_seed(*trial) for trial in trials]


def test_global_generators_are_seeded_inside_and_restored_afterwards():
    state = torch.get_rng_state()
    with seeded(3, torch.device("cpu")):
        first = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), state)
    with seeded(3, torch.device("cpu")):
        assert torch.equal(torch.rand(4), first)
