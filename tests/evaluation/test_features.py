import pytest
import torch
from evaluation_inputs import PixelViews, SmallCNN, noise
from torch import nn

from likewise.data.arrays import ArraySource
from likewise.evaluation.features import FeatureTable, encode, evenly_spaced, raw_features, stream
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.linear import apply, fit_linear

CPU = ComputeSettings(torch.device("cpu"), batch_size=7)


def test_encode_is_the_encoder_in_evaluation_mode_whatever_the_batch():
    source, encoder = noise(23, 0, "s"), SmallCNN().train()
    statistics = encoder.body[1].running_mean.clone()
    features = encode(encoder, PixelViews(), source, compute=CPU)
    assert encoder.training
    assert torch.equal(encoder.body[1].running_mean, statistics)
    with torch.no_grad():
        expected = encoder.eval()(PixelViews().clean(source.batch))
    torch.testing.assert_close(features, expected)
    chosen = torch.tensor([5, 2, 5])
    torch.testing.assert_close(encode(encoder, PixelViews(), source, chosen, compute=CPU), expected[chosen])


def test_stream_reads_one_batch_at_a_time():
    source, sizes = noise(10, 0, "s"), []

    def featurize(source, indices):
        sizes.append(len(indices))
        return source.read(indices).float().flatten(1)

    parts = stream(featurize, source, batch_size=4)
    assert len(next(parts)) == 4
    assert sizes == [4]
    assert [len(part) for part in parts] == [4, 2]


@pytest.mark.parametrize(("shape", "dim"), [((3, 8, 8), 192), ((3, 96, 96), 972), ((1, 50, 50), 1024)])
def test_large_raw_views_are_pooled(shape, dim):
    batch = torch.randint(0, 256, (2, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = raw_features(PixelViews(), CPU)(ArraySource(batch.numpy(), name="noise"), torch.arange(2))
    assert features.shape == (2, dim)
    flat = PixelViews().clean(batch).flatten(1)
    torch.testing.assert_close(features.mean(1), flat.mean(1), atol=0.02, rtol=0)


def table(one_scale=False):
    def featurize(source, indices):
        return source.read(indices).float().flatten(1) * torch.tensor([1.0, 10.0, 0.0, *[3.0] * 33])

    train, test = noise(50, 0, "a"), noise(20, 1, "b")
    needed = torch.tensor([40, 3])
    return (
        train,
        featurize,
        FeatureTable(
            featurize, train, test, needed=needed, reference=torch.arange(30), batch_size=8, one_scale=one_scale
        ),
    )


def test_features_are_standardised_by_the_reference_samples_but_flat_dimensions_stay_flat():
    train, featurize, features = table()
    torch.testing.assert_close(features.train(torch.tensor([40])), featurize(train, torch.tensor([40])))
    standard = features.standardize(features.train(torch.arange(30)))
    torch.testing.assert_close(standard.mean(0), torch.zeros(36), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0, *[1.0] * 33]))


def test_one_scale_keeps_proportions():
    _, _, features = table(one_scale=True)
    plain = features.train(torch.arange(30)).std(0)
    scaled = features.standardize(features.train(torch.arange(30))).std(0)
    torch.testing.assert_close(scaled * plain[1] / scaled[1], plain)


def test_an_unfolded_head_takes_plain_features():
    _, _, features = table()
    head = nn.Linear(36, 4)
    torch.testing.assert_close(
        features.unfold(head)(features.test), head(features.standardize(features.test)), atol=1e-4, rtol=1e-4
    )


def halves(source, indices):
    """Two thirds of the pixels set to 0, sparse."""
    pixels = source.read(indices).float().flatten(1)
    return (pixels * (torch.arange(36) % 3 == 0)).to_sparse()


def test_sparse_features_are_gathered_and_their_head_is_the_one_of_all_dimensions():
    train, test = noise(60, 0, "a"), noise(21, 1, "b")
    wide = halves(train, torch.arange(60)).to_dense()
    needed = torch.arange(40)
    sparse, dense = (
        FeatureTable(f, train, test, needed=needed, reference=torch.arange(60), batch_size=8, one_scale=True)
        for f in (halves, lambda source, indices: halves(source, indices).to_dense())
    )
    chosen = torch.tensor([7, 3, 39, 0, 12, 13, 14, 1])
    assert sparse.train(chosen).is_sparse
    torch.testing.assert_close(sparse.train(chosen).to_dense(), wide[chosen])
    features, asked = sparse.drawn(chosen)
    assert features.shape == (8, 12)
    assert asked.shape == (21, 12)
    whole = sparse.train(chosen).to_dense() / sparse.scale
    # Rows keep their length relative to the root of the number of dimensions: a prior on logits means the same.
    torch.testing.assert_close(features.to_dense() @ features.to_dense().T / 12, whole @ whole.T / 36)
    labels = train.labels()[chosen]
    heads = [fit_linear(x, labels, 4, variance=1.0, iterations=500) for x in (features, whole)]
    answers = [apply(heads[0], asked), apply(heads[1], sparse.test.to_dense() / sparse.scale)]
    torch.testing.assert_close(answers[0].softmax(1), answers[1].softmax(1), atol=5e-4, rtol=0)
    shown, dense_test = dense.drawn(chosen)
    torch.testing.assert_close(shown, dense.standardize(wide[chosen]))
    torch.testing.assert_close(dense_test, dense.standardize(dense.test))


@pytest.mark.parametrize(
    ("length", "count", "expected"), [(10, 4, [0, 2, 5, 7]), (3, 5, [0, 1, 2]), (6, 6, [0, 1, 2, 3, 4, 5])]
)
def test_evenly_spaced_indices_cover_the_whole_length(length, count, expected):
    assert evenly_spaced(length, count).tolist() == expected
