import torch
from conftest import golden

from satl.models import GatedGraph
from satl.models.graph import cooccurrence


def test_golden_cooccurrence():
    g = golden("cooccurrence_graph")
    ours = cooccurrence(torch.from_numpy(g["labels"]))
    assert torch.allclose(ours, torch.from_numpy(g["graph"]), rtol=0, atol=1e-12)


def test_unknown_labels_and_categories_without_positives():
    labels = torch.tensor([[1, 0, -1], [1, 1, 0]], dtype=torch.int8)
    expected = [[1.0, 0.5, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert cooccurrence(labels).tolist() == expected


def test_golden_states_after_three_steps():
    g = {key: torch.from_numpy(value) for key, value in golden("gated_gnn").items()}
    graph = GatedGraph(feature_dim=16, steps=int(g["steps"]))
    weights = {k.replace("_weight", ".weight"): v for k, v in g.items() if k.startswith("fc_")}
    graph.load_state_dict({k.replace("_bias", ".bias"): v for k, v in weights.items()})
    assert torch.allclose(graph(g["nodes"], g["adjacency"]), g["out"], rtol=0, atol=1e-5)
