import numpy as np
import pytest

from satl.core.errors import UserError
from satl.data.embeddings import SUBSTITUTE_DIM, word_embeddings


@pytest.fixture
def glove(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("traffic 1 2 3\nlight 3 4 5\ncat 0 0 1\n. . . 9 9 9\n")
    return str(path)


def test_a_name_of_several_words_is_the_mean_of_its_words(glove):
    found = word_embeddings(("traffic light", "Cat", "traffic_light"), glove)
    assert found.tolist() == [[2, 3, 4], [0, 0, 1], [2, 3, 4]]


def test_missing_words_and_files_are_named(glove, tmp_path):
    with pytest.raises(UserError, match=r"glove\.txt: no word vector for dog"):
        word_embeddings(("cat", "dog"), glove)
    with pytest.raises(UserError, match="no such word vector file"):
        word_embeddings(("cat",), str(tmp_path / "none.txt"))


def test_malformed_lines_are_named(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text("dog 1 2\ncat 1 x\n")
    with pytest.raises(UserError, match=r"bad\.txt, line 2"):
        word_embeddings(("cat", "dog"), str(path))
    path.write_text("dog 1 2\ncat 1\n")
    with pytest.raises(UserError, match=r"different lengths: \[1, 2\]"):
        word_embeddings(("cat", "dog"), str(path))


def test_the_substitute_depends_on_the_name_alone():
    first, other = word_embeddings(("cat", "dog"), None), word_embeddings(("dog",), None)
    assert first.shape == (2, SUBSTITUTE_DIM)
    assert np.array_equal(first[1], other[0])
    assert abs(np.corrcoef(first)[0, 1]) < 0.3
