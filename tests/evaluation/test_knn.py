import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from likewise.evaluation.knn import choose_k, knn_classify, nearest_neighbors


def clusters(count, seed, spread=0.3, classes=3):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    return F.one_hot(labels, 8).float() + spread * torch.randn(count, 8, generator=generator), labels


def test_neighbours_are_exact_in_any_batch():
    samples, _ = clusters(200, 0)
    queries, _ = clusters(37, 1)
    similarities, positions = nearest_neighbors(queries, samples, 5, batch_size=10)
    distances, expected = NearestNeighbors(metric="cosine").fit(samples).kneighbors(queries, 5)
    assert positions.tolist() == expected.tolist()
    torch.testing.assert_close(similarities.double(), 1 - torch.from_numpy(distances).double(), atol=1e-5, rtol=0)


def test_a_query_can_leave_itself_out():
    samples, _ = clusters(50, 0)
    _, with_self = nearest_neighbors(samples, samples, 4, batch_size=7)
    _, without = nearest_neighbors(samples[:23], samples, 3, exclude_self=True, batch_size=7)
    assert with_self[:, 0].tolist() == list(range(50))
    assert without.tolist() == with_self[:23, 1:].tolist()


def test_clusters_are_told_apart_and_scale_does_not_matter():
    samples, labels = clusters(90, 0, spread=0.1)
    queries, truth = clusters(60, 1, spread=0.1)
    assert torch.equal(knn_classify(1000 * queries, samples, labels, 3, k=5), truth)


def test_the_nearest_weigh_most():
    samples = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    labels = torch.tensor([1, 0, 0])
    assert knn_classify(torch.tensor([[1.0, 0.1]]), samples, labels, 2, k=3).tolist() == [1]


def test_noisy_classes_ask_for_more_neighbours():
    one_a_class, labels = clusters(3, 0)
    assert choose_k(one_a_class, labels, 3) == 1
    clean, labels = clusters(300, 0, spread=0.01)
    assert choose_k(clean, labels, 3) == 1
    noisy, labels = clusters(300, 0, spread=0.7)
    assert choose_k(noisy, labels, 3) >= 5


def test_sparse_samples_have_the_neighbours_of_dense_ones():
    generator = torch.Generator().manual_seed(0)
    samples, queries = torch.randn(30, 12, generator=generator).relu(), torch.randn(9, 12, generator=generator).relu()
    samples[4] = 0
    expected = nearest_neighbors(queries, samples, 5)
    found = nearest_neighbors(queries.to_sparse(), samples.to_sparse(), 5, batch_size=4)
    torch.testing.assert_close(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    labels = torch.arange(30) % 3
    assert choose_k(samples.to_sparse(), labels, 3) == choose_k(samples, labels, 3)
